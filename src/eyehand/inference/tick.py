"""The arithmetic of a live tick, once for all engines: `BackboneStep`, and `DecodeAction` or `DecodeIndependent`.

(The stage before them, encode_image, is `vision.ImageEncoder`.) An engine says where keys and values lie (`Attend`) and
how tokens are chosen (`Pick`); so the same modules run eagerly, are captured as a CUDA graph, and are exported to
OpenVINO. Equal to `Policy.forward` up to rounding (tested). Shapes: B episodes, A action slots, S of them, D width, Q
new tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyehand.inference.packed import Packed, PackedBlock, Packing, Turns, as_dtype
from eyehand.inference.tokens import Tokens
from eyehand.model.action_decoder import ActionDecoder, IndependentDecoder
from eyehand.model.block import NORM_EPS, rope_table
from eyehand.model.policy import Policy

__all__ = ["Attend", "BackboneStep", "DecodeAction", "DecodeIndependent", "Pick", "decode_action"]

Attend = Callable[[int, Tensor, Tensor], Tensor]
"""Layer, then queries and new keys and values as `PackedBlock.project` gives them, to outputs shaped as the queries."""

Pick = Callable[[slice, Tensor], Tensor]
"""Neighbouring slots and their logits (B, S, choices) to token ids (B, S)."""


class BackboneStep(nn.Module):
    """One step of the backbone."""

    def __init__(self, policy: Policy, packing: Packing) -> None:
        super().__init__()
        self.tokens = Tokens(policy, packing)
        self.num_new = policy.config.num_step_tokens
        self.blocks = [PackedBlock(block, packing) for block in policy.backbone.blocks()]
        self.layers = nn.ModuleList(self.blocks)

    def forward(
        self,
        previous_BA: Tensor,
        text_BND: Tensor,
        image_BKD: Tensor,
        turns: Turns,
        attend: Attend,
        batch: int = 1,
    ) -> Tensor:
        """The backbone's output at the token from which the action is read, the last one; (B, D)."""
        x_ND = self.tokens.step(previous_BA, text_BND, image_BKD, batch).flatten(0, 1)
        for layer, block in enumerate(self.blocks):
            y_BHXE = attend(layer, *block.project(x_ND, turns, batch, self.num_new))
            x_ND = block.finish(x_ND, y_BHXE, batch, self.num_new)
        return x_ND.view(batch, self.num_new, -1)[:, -1]


class DecodeAction(Packed):
    """The action's tokens, one after another.

    From the second slot on the decoder's input depends on the token before alone, so that it and the first layer's
    queries, keys and values are looked up instead of computed.
    """

    @torch.no_grad()
    def __init__(self, policy: Policy, packing: Packing) -> None:
        super().__init__(packing)
        decoder, self.heads = policy.decoder, policy.space.head_of_slot
        assert isinstance(decoder, ActionDecoder)
        self.blocks = [PackedBlock(block, packing) for block in decoder.blocks()]
        self.layers = nn.ModuleList(self.blocks)
        positions_AD = packing.copied(decoder.positions)
        self.pack("input", decoder.input)
        self.input_bias = packing.copied(decoder.input.bias) + positions_AD[0]
        # Logits are float32 whatever the dtype: bfloat16 would round the probabilities that are drawn from.
        for index in range(len(policy.space.heads)):
            self.pack(f"head{index}", policy.head(index), dtype=torch.float32)
        self.head_biases = [
            policy.head(head).bias.detach().to(packing.device, torch.float32, copy=True) for head in self.heads
        ]
        first = self.blocks[0]
        slots = torch.arange(len(self.heads), device=packing.device)
        table_2AF = rope_table(slots, first.head_dim)
        self.turns = [packing.turns(table_2AF[:, None, slot, None]) for slot in range(len(slots))]
        self.parts = [first.widths[0], first.widths[0], 2 * first.widths[1]]
        self.next_rows = []
        for slot, head in enumerate(self.heads[:-1]):
            x_CD = packing.copied(policy.embedding(head)) + positions_AD[slot + 1]
            q, new = first.project(x_CD, self.turns[slot + 1], len(x_CD), 1)
            self.next_rows.append(torch.cat((x_CD, q.flatten(1), new.flatten(1)), dim=1))

    def forward(self, out_BD: Tensor, pick: Pick, batch: int = 1) -> tuple[list[Tensor], list[Tensor]]:
        """Every slot's logits (B, 1, choices) and token (B, 1), given the backbone's output."""
        first = self.blocks[0]
        caches = [[block.sinks.expand(batch, -1, -1, -1)] for block in self.blocks]
        x_BD = self.product("input", out_BD, self.input_bias)
        q, new = first.project(x_BD, self.turns[0], batch, 1)
        logits: list[Tensor] = []
        ids: list[Tensor] = []
        for slot, turns in enumerate(self.turns):
            for block, cache in zip(self.blocks, caches, strict=True):
                if block is not first:
                    q, new = block.project(x_BD, turns, batch, 1)
                cache.append(new)
                x_BD = block.finish(x_BD, block.attended(q, torch.cat(cache, dim=2)), batch, 1)
            logits_BC = self.product(f"head{self.heads[slot]}", as_dtype(x_BD, torch.float32), self.head_biases[slot])
            logits.append(logits_BC[:, None])
            ids.append(pick(slice(slot, slot + 1), logits[-1]))
            if slot + 1 < len(self.turns):
                row = self.next_rows[slot].index_select(0, ids[-1][:, 0])
                x_BD, q, new = torch.split(row, self.parts, dim=1)
                q = q.view(batch, first.num_kv_heads, first.group, first.head_dim)
                new = new.view(batch, -1, 1, first.head_dim)
        return logits, ids


class DecodeIndependent(Packed):
    """The action's tokens, all at once."""

    def __init__(self, policy: Policy, packing: Packing) -> None:
        super().__init__(packing)
        self.heads = policy.space.heads
        decoder = policy.decoder
        assert isinstance(decoder, IndependentDecoder)
        self.biases = []
        for index in range(len(self.heads)):  # float32, as of `DecodeAction`
            linear = policy.head(index)
            self.pack(f"head{index}", linear, decoder.norm.scale, torch.float32)
            self.biases.append(linear.bias.detach().to(packing.device, torch.float32, copy=True))

    def forward(self, out_BD: Tensor, pick: Pick, batch: int = 1) -> tuple[list[Tensor], list[Tensor]]:
        """Every head's logits (B, S, choices) and tokens (B, S), given the backbone's output."""
        x_BD = as_dtype(out_BD, torch.float32)
        x_BD = F.rms_norm(x_BD, x_BD.shape[1:], None, NORM_EPS)
        logits: list[Tensor] = []
        ids: list[Tensor] = []
        first = 0
        for index, head in enumerate(self.heads):
            logits_BX = self.product(f"head{index}", x_BD, self.biases[index])
            logits.append(logits_BX.view(batch, head.num_slots, head.num_choices))
            ids.append(pick(slice(first, first + head.num_slots), logits[-1]))
            first += head.num_slots
        return logits, ids


def decode_action(policy: Policy, packing: Packing) -> DecodeAction | DecodeIndependent:
    """What decodes this policy's actions."""
    kind = DecodeIndependent if policy.space.is_independent else DecodeAction
    return kind(policy, packing)
