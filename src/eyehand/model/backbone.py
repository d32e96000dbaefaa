"""The backbone: a causal transformer over the tokens of the last T steps, with the reference's mask.

Token kinds of a step, in order: S (text, image, thinking), O (action_out), A (the executed action). A step may lack O
and A. This module knows kinds and steps, not what the tokens mean. Source of the mask: arXiv 2601.04575 and its public
code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eyehand.model.block import Block, reach_of, rope_table
from eyehand.model.policy_config import PolicyConfig

__all__ = ["Backbone", "attention_mask"]


def attention_mask(
    num_steps: int, num_seen: int, num_actions: int, history: int, *, num_outs: int = 1, action_lag: int = 1
) -> Tensor:
    """The attention mask, boolean (L, L) with L = num_steps x (num_seen + num_outs + num_actions), queries first.

    Every query sees the S of earlier steps while q_step - kv_step <= history, and of these the A from
    q_step - kv_step >= action_lag on. Within its own step S sees S; O sees S and itself; A sees S and A. No other query
    sees an O.
    """
    num_tokens = num_seen + num_outs + num_actions
    step_L = torch.arange(num_steps, dtype=torch.int16).repeat_interleave(num_tokens)
    place_L = torch.arange(num_tokens).repeat(num_steps)
    is_seen, is_action = place_L < num_seen, place_L >= num_seen + num_outs
    is_out = ~is_seen & ~is_action
    age_LL = step_L[:, None] - step_L[None, :]
    earlier = (age_LL > 0) & (age_LL <= history) & ~is_out[None, :] & ((age_LL >= action_lag) | ~is_action[None, :])
    own = is_seen[None, :] | (is_out[:, None] & is_out[None, :]) | (is_action[:, None] & is_action[None, :])
    return earlier | ((age_LL == 0) & own)


class Backbone(nn.Module):
    """`num_layers` blocks over (B, T x tokens, D); no final norm."""

    rope_2LF: Tensor
    masks_HLK: Tensor

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            Block(
                config.width,
                config.num_q_heads,
                config.num_kv_heads,
                config.ffn_hidden,
                config.num_sinks,
                config.dropout,
            )
            for _ in range(config.num_layers)
        )
        self._histories = sorted({config.history_of(index) for index in range(config.num_layers)})
        # Tables are no weights: they are there also in a network that is built without memory (on the meta device).
        with torch.device("cpu"):
            self.register_buffer("rope_2LF", torch.empty(0), persistent=False)
            self.register_buffer("masks_HLK", torch.empty(0), persistent=False)
            self.prepare(config.history_steps)

    def prepare(self, num_steps: int) -> None:
        """Cache the rotary table and masks for clips of this many steps."""
        self._num_steps = num_steps
        rope_2LF, masks = self._tables(num_steps)
        self.rope_2LF = rope_2LF.to(self.rope_2LF.device)
        self.masks_HLK = torch.stack(masks).to(self.masks_HLK.device)
        self._reaches = [reach_of(mask) for mask in masks]

    def forward(self, x_BLD: Tensor, num_steps: int) -> Tensor:
        """Outputs (B, L, D) for whole clips. `num_steps` may exceed the history: the mask is a sliding window."""
        if num_steps != self._num_steps:
            self.prepare(num_steps)
        for index, layer in enumerate(self.layers):
            history = self._histories.index(self.config.history_of(index))
            x_BLD = layer(x_BLD, self.rope_2LF, self.masks_HLK[history], self._reaches[history])
        return x_BLD

    def blocks(self) -> list[Block]:
        return [layer for layer in self.layers if isinstance(layer, Block)]

    def _tables(self, num_steps: int) -> tuple[Tensor, list[Tensor]]:
        """The rotary table, and one mask per distinct history limit with the sinks in front of its keys."""
        config = self.config
        positions_L = torch.arange(num_steps * config.num_step_tokens)
        sinks = torch.ones(len(positions_L), config.num_sinks, dtype=torch.bool)
        sizes = (num_steps, config.num_seen_tokens, config.num_action_tokens)
        options = {"num_outs": config.num_out_tokens, "action_lag": config.action_lag}
        masks = [torch.cat((sinks, attention_mask(*sizes, limit, **options)), dim=1) for limit in self._histories]
        return rope_table(positions_L, config.width // config.num_q_heads), masks
