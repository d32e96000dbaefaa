"""The action decoders: from the backbone's output of one step to features of its action's slots.

`ActionDecoder`, the reference's, is a small causal transformer that emits the tokens one after another. Input sequence:
[projected action_out feature] + [embeddings of tokens 1..n-1], each plus a learned position vector; output i predicts
token i + 1. Source: arXiv 2601.04575 and its public code. `IndependentDecoder` normalises and no more. Both know slots,
not what they mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eyehand.model.block import Block, RMSNorm, reach_of, rope_table
from eyehand.model.policy_config import PolicyConfig

__all__ = ["ActionDecoder", "IndependentDecoder"]


class ActionDecoder(nn.Module):
    """The decoder network: features (N, slots, D), one per action token, teacher-forced in one pass."""

    mask_LK: Tensor
    rope_2LF: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        num_slots = config.space.num_slots
        # The reference has one position more (its input ends with the last token, whose output is unused).
        self.positions = nn.Parameter(torch.randn(num_slots + 1, config.width) * 0.1)
        self.input = nn.Linear(config.width, config.width)
        self.layers = nn.ModuleList(
            Block(
                config.width,
                config.decoder_q_heads,
                config.decoder_kv_heads,
                config.decoder_ffn_hidden,
                config.decoder_sinks,
                config.dropout,
            )
            for _ in range(config.decoder_layers)
        )
        with torch.device("cpu"):  # tables, as in `Backbone`
            causal = torch.ones(num_slots, num_slots, dtype=torch.bool).tril()
            sinks = torch.ones(num_slots, config.decoder_sinks, dtype=torch.bool)
            self.register_buffer("mask_LK", torch.cat((sinks, causal), dim=1), persistent=False)
            self._reach = reach_of(self.mask_LK)
            table = rope_table(torch.arange(num_slots), config.width // config.decoder_q_heads)
            self.register_buffer("rope_2LF", table, persistent=False)

    def forward(self, out_ND: Tensor, embedded_NAD: Tensor) -> Tensor:
        """Features (N, slots, D) that predict each action token.

        Args:
            out_ND: the backbone's output at the action_out token.
            embedded_NAD: embeddings of the target tokens; the last one is not used.
        """
        x_NAD = torch.cat((self.input(out_ND)[:, None].to(embedded_NAD.dtype), embedded_NAD[:, :-1]), dim=1)
        x_NAD = x_NAD + self.positions[:-1].to(x_NAD.dtype)
        for layer in self.layers:
            x_NAD = layer(x_NAD, self.rope_2LF, self.mask_LK, self._reach)
        return x_NAD

    def blocks(self) -> list[Block]:
        return [layer for layer in self.layers if isinstance(layer, Block)]


class IndependentDecoder(nn.Module):
    """The decoder without a network of its own: normalised features (N, D) from which every slot is read at once."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.width)

    def forward(self, out_ND: Tensor) -> Tensor:
        """Features (N, D) of the backbone's output."""
        features_ND: Tensor = self.norm(out_ND)
        return features_ND

    def blocks(self) -> list[Block]:
        return []
