"""`Policy`: pictures, instruction and past actions in, logits of the next action's tokens out, for whole clips.

One step holds the tokens [text | image | thinking | action_out | action], or all that is seen in one token; the
backbone runs once over all steps, then the action decoder is teacher-forced over all steps in parallel. Architecture:
Open P2P (arXiv 2601.04575); its weights give its numbers here. Knows no files, no games, no optimiser; step-by-step
inference is in `inference`.

Shapes: B clips, T steps, N text tokens, D width (text_dim for text), A action slots.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eyehand.model.action_decoder import ActionDecoder, IndependentDecoder
from eyehand.model.backbone import Backbone
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.vision import ImageEncoder

__all__ = ["Policy"]

_VECTOR_STD = 0.1
_EMBEDDING_STD = 0.3
_TEXT_STD = 0.5


class Policy(nn.Module):
    """The policy network of one PolicyConfig, with random weights."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.space = config.space
        self.image_encoder = ImageEncoder(config)
        self.text_projection = nn.Linear(config.text_dim, config.width, bias=False)
        self.no_text = _vectors(config.num_text_tokens, config.width)
        self.text_positions = _vectors(config.num_text_tokens, config.width)
        self.image_positions = _vectors(config.num_image_tokens, config.width)
        self.thinking = _vectors(config.num_thinking_tokens, config.width)
        self.action_out = _vectors(config.num_out_tokens, config.width)
        self.action_positions = _vectors(config.num_action_tokens, config.width)
        # An autoregressive decoder has one table and one output layer for all slots of a head, an independent one has
        # rows for each, and needs a table only where actions are seen.
        is_independent = self.space.is_independent
        rows = [head.num_choices * (head.num_slots if is_independent else 1) for head in self.space.heads]
        is_embedded = config.action_lag > 0 or not is_independent
        self.embeddings = nn.ModuleList(nn.Embedding(n, config.width) for n in rows if is_embedded)
        self.heads = nn.ModuleList(nn.Linear(config.width, n) for n in rows)
        self.backbone = Backbone(config)
        self.decoder = IndependentDecoder(config) if is_independent else ActionDecoder(config)
        self._initialise()

    def _initialise(self) -> None:
        """Token vectors of comparable size (the image token has unit variance), residual branches scaled by depth."""
        nn.init.normal_(self.text_projection.weight, std=_TEXT_STD)  # instructions have unit length
        for index in range(len(self.embeddings)):
            nn.init.normal_(self.embedding(index), std=_EMBEDDING_STD)
        for blocks in (self.backbone.blocks(), self.decoder.blocks()):
            for block in blocks:
                block.scale_residual((2 * len(blocks)) ** -0.5)

    def forward(
        self,
        frames: Tensor,
        text_BTND: Tensor,
        executed_BTA: Tensor,
        target_BTA: Tensor,
        valid_BT: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Logits of every step's action tokens under teacher forcing.

        Args:
            frames: uint8 RGB (B, T, 3, S, S), or features of it by the image trunk, float (B, T, F).
            text_BTND: float embedding of each step's instruction; all zeros where there is none.
            executed_BTA: int64 tokens of the action executed at each step (until the next); the backbone's history.
            target_BTA: int64 target tokens, also the decoder's input (teacher forcing). They differ from `executed`
                where an expert labelled a policy's action.
            valid_BT: bool, False on padding steps, which lie at the clip's end (so nothing valid attends to them).

        Returns:
            One tensor per head of the ActionSpace, (B, T, slots of the head, choices).
        """
        batch, steps = frames.shape[:2]
        image_BTKD = self._images(frames, valid_BT)
        tokens_BTLD = torch.cat(
            (self.seen(image_BTKD, text_BTND), self.out((batch, steps)), self.acted(executed_BTA)), dim=2
        )
        y_BTLD = self.backbone(tokens_BTLD.flatten(1, 2), steps).unflatten(1, (steps, -1))
        out_ND = y_BTLD[:, :, self.config.out_place].flatten(0, 1)
        logits = self.action_logits(out_ND, target_BTA.flatten(0, 1))
        return tuple(logits_NSC.view(batch, steps, *logits_NSC.shape[1:]) for logits_NSC in logits)

    def _images(self, frames: Tensor, valid_BT: Tensor | None) -> Tensor:
        """Image tokens (B, T, K, D). Padding is not encoded: it costs time, and a BatchNorm would count it."""
        if valid_BT is None:
            image_BTKD: Tensor = self.image_encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
            return image_BTKD
        image_VKD = self.image_encoder(frames[valid_BT])
        image_BTKD = image_VKD.new_zeros(*valid_BT.shape, *image_VKD.shape[1:])
        image_BTKD[valid_BT] = image_VKD
        return image_BTKD

    def seen(self, image_BTKD: Tensor, text_BTND: Tensor) -> Tensor:
        """The S tokens of each step: text, image, thinking, or the fused one; float32 (B, T, S, D)."""
        lead = image_BTKD.shape[:2]
        projected = self.text_projection(text_BTND.to(self.text_projection.weight.dtype)).float()
        is_empty = (projected == 0).all(dim=-1).all(dim=-1)[..., None, None]
        text_BTNW = torch.where(is_empty, self.no_text, projected) + self.text_positions
        image_BTKD = image_BTKD.float() + self.image_positions
        if self.config.is_step_fused:
            return text_BTNW + image_BTKD
        return torch.cat((text_BTNW, image_BTKD, self.thinking.expand(*lead, -1, -1)), dim=2)

    def out(self, lead: tuple[int, int]) -> Tensor:
        """The O token of each step, (B, T, 1 or 0, D)."""
        return self.action_out.expand(*lead, -1, -1)

    def acted(self, executed_BTA: Tensor) -> Tensor:
        """The A tokens of each step: one per slot, or their sum, or none; (B, T, tokens, D)."""
        if self.config.action_lag == 0:
            return self.action_positions.expand(*executed_BTA.shape[:2], -1, -1)
        embedded_BTAD = self.embed(executed_BTA)
        if self.space.is_independent:
            embedded_BTAD = embedded_BTAD.sum(dim=-2, keepdim=True)
        return embedded_BTAD + self.action_positions

    def embed(self, ids_XA: Tensor) -> Tensor:
        """Embeddings of action tokens, (..., A, D); the tables serve backbone and decoder."""
        parts = []
        for head, table, ids_XS in zip(self.space.heads, self.embeddings, self._split(ids_XA, -1), strict=True):
            if self.space.is_independent:  # rows of its own for every slot
                ids_XS = ids_XS + torch.arange(head.num_slots, device=ids_XS.device) * head.num_choices
            parts.append(table(ids_XS))
        return torch.cat(parts, dim=-2)

    def action_logits(self, out_ND: Tensor, target_NA: Tensor) -> tuple[Tensor, ...]:
        """Logits of every slot, one tensor per head (N, slots, choices).

        Args:
            out_ND: the backbone's output that the action is read from.
            target_NA: the tokens that later slots see (teacher forcing); of no effect with an independent decoder.
        """
        if isinstance(self.decoder, IndependentDecoder):
            features_ND = self.decoder(out_ND)
            return tuple(
                linear(features_ND).view(-1, head.num_slots, head.num_choices)
                for head, linear in zip(self.space.heads, self.heads, strict=True)
            )
        features_NAD = self.decoder(out_ND, self.embed(target_NA))
        return tuple(linear(part) for linear, part in zip(self.heads, self._split(features_NAD, 1), strict=True))

    def _split(self, x: Tensor, dim: int) -> tuple[Tensor, ...]:
        """The heads' shares of a tensor that has the slots in this dimension."""
        return torch.split(x, [head.num_slots for head in self.space.heads], dim=dim)

    def embedding(self, head: int) -> Tensor:
        """The embedding table of the head with this index, (choices, D)."""
        table = self.embeddings[head]
        assert isinstance(table, nn.Embedding)
        return table.weight

    def head(self, head: int) -> nn.Linear:
        """The output layer of the head with this index."""
        linear = self.heads[head]
        assert isinstance(linear, nn.Linear)
        return linear

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())


def _vectors(num: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(num, width) * _VECTOR_STD)
