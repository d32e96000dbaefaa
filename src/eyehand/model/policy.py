"""`Policy`: pictures, instruction and past actions in, logits of the next action's tokens out, for whole clips.

One step holds the tokens [text | image | thinking | action_out | action]; the backbone runs once over all steps, then
the action decoder is teacher-forced over all steps in parallel. Architecture: Open P2P (arXiv 2601.04575); its weights
give its numbers here. Knows no files, no games, no optimiser; step-by-step inference is in `inference`.

Shapes: B clips, T steps, N text tokens, D width (text_dim for text), A action slots.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eyehand.model.action_decoder import ActionDecoder
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
        self.action_out = _vectors(1, config.width)
        self.action_positions = _vectors(self.space.num_slots, config.width)
        self.embeddings = nn.ModuleList(nn.Embedding(head.num_choices, config.width) for head in self.space.heads)
        self.heads = nn.ModuleList(nn.Linear(config.width, head.num_choices) for head in self.space.heads)
        self.backbone = Backbone(config)
        self.decoder = ActionDecoder(config)
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
        frames_BTCHW: Tensor,
        text_BTND: Tensor,
        executed_BTA: Tensor,
        target_BTA: Tensor,
        valid_BT: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Logits of every step's action tokens under teacher forcing.

        Args:
            frames_BTCHW: uint8 RGB.
            text_BTND: float embedding of each step's instruction; all zeros where there is none.
            executed_BTA: int64 tokens of the action executed at each step (until the next); the backbone's history.
            target_BTA: int64 target tokens, also the decoder's input (teacher forcing). They differ from `executed`
                where an expert labelled a policy's action.
            valid_BT: bool, False on padding steps, which lie at the clip's end (so nothing valid attends to them).

        Returns:
            One tensor per head of the ActionSpace, (B, T, slots of the head, choices).
        """
        batch, steps = frames_BTCHW.shape[:2]
        image_BTKD = self._images(frames_BTCHW, valid_BT)
        tokens_BTLD = torch.cat(
            (self.seen(image_BTKD, text_BTND), self.out((batch, steps)), self.acted(executed_BTA)), dim=2
        )
        y_BTLD = self.backbone(tokens_BTLD.flatten(1, 2), steps).unflatten(1, (steps, -1))
        out_ND = y_BTLD[:, :, self.config.num_seen_tokens].flatten(0, 1)
        features_NAD = self.decoder(out_ND, self.embed(target_BTA).flatten(0, 1))
        return self.logits(features_NAD.unflatten(0, (batch, steps)))

    def _images(self, frames_BTCHW: Tensor, valid_BT: Tensor | None) -> Tensor:
        """Image tokens (B, T, K, D). Padding is not encoded: it costs time, and a BatchNorm would count it."""
        if valid_BT is None:
            image_BTKD: Tensor = self.image_encoder(frames_BTCHW.flatten(0, 1)).unflatten(0, frames_BTCHW.shape[:2])
            return image_BTKD
        image_VKD = self.image_encoder(frames_BTCHW[valid_BT])
        image_BTKD = image_VKD.new_zeros(*valid_BT.shape, *image_VKD.shape[1:])
        image_BTKD[valid_BT] = image_VKD
        return image_BTKD

    def seen(self, image_BTKD: Tensor, text_BTND: Tensor) -> Tensor:
        """The S tokens of each step: text, image, thinking; float32 (B, T, S, D)."""
        lead = image_BTKD.shape[:2]
        projected = self.text_projection(text_BTND.to(self.text_projection.weight.dtype)).float()
        is_empty = (projected == 0).all(dim=-1).all(dim=-1)[..., None, None]
        text_BTNW = torch.where(is_empty, self.no_text, projected) + self.text_positions
        image_BTKD = image_BTKD.float() + self.image_positions
        return torch.cat((text_BTNW, image_BTKD, self.thinking.expand(*lead, -1, -1)), dim=2)

    def out(self, lead: tuple[int, int]) -> Tensor:
        """The O token of each step, (B, T, 1, D)."""
        return self.action_out.expand(*lead, -1, -1)

    def acted(self, executed_BTA: Tensor) -> Tensor:
        """The A tokens of each step, (B, T, A, D)."""
        return self.embed(executed_BTA) + self.action_positions

    def embed(self, ids_XA: Tensor) -> Tensor:
        """Embeddings of action tokens, (..., A, D); the tables serve backbone and decoder."""
        parts, first = [], 0
        for head, table in zip(self.space.heads, self.embeddings, strict=True):
            parts.append(table(ids_XA[..., first : first + head.num_slots]))
            first += head.num_slots
        return torch.cat(parts, dim=-2)

    def logits(self, features_XAD: Tensor) -> tuple[Tensor, ...]:
        """Logits of decoder features (..., A, D), one tensor per head."""
        parts, first = [], 0
        for head, linear in zip(self.space.heads, self.heads, strict=True):
            parts.append(linear(features_XAD[..., first : first + head.num_slots, :]))
            first += head.num_slots
        return tuple(parts)

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
