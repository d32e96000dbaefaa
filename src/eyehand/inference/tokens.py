"""Pictures, text and actions as input tokens of one step: `Tokens`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from eyehand.inference.packed import Packing
from eyehand.model.policy import Policy

__all__ = ["Tokens"]


class Tokens:
    """Tables that turn pictures, text and actions into tokens, with the positions added beforehand."""

    def __init__(self, policy: Policy, packing: Packing) -> None:
        self.text_weight = policy.text_projection.weight.detach().to(packing.device, torch.float32, copy=True)
        self.no_text, self.text_positions = packing.copied(policy.no_text), packing.copied(policy.text_positions)
        self.image_positions = packing.copied(policy.image_positions)
        self.constant_1XD = packing.copied(torch.cat((policy.thinking, policy.action_out)))[None]
        self.is_fused, self.is_summed = policy.config.is_step_fused, policy.space.is_independent
        self.has_actions = policy.config.num_action_tokens > 0
        if not self.has_actions:
            return
        positions_XD = packing.copied(policy.action_positions)
        choices = [policy.space.heads[head].num_choices for head in policy.space.head_of_slot]
        self.action_offsets_A = torch.tensor([0, *choices[:-1]]).cumsum(0).int().to(packing.device)
        if self.is_summed:
            self.action_table = torch.cat([packing.copied(policy.embedding(i)) for i in range(len(policy.space.heads))])
            self.action_table[: choices[0]] += positions_XD[0]  # one row of the first slot is in every sum
        else:
            tables = [packing.copied(policy.embedding(head)) for head in policy.space.head_of_slot]
            self.action_table = torch.cat([table + positions_XD[slot] for slot, table in enumerate(tables)])

    def text(self, text_BND: Tensor) -> Tensor:
        """Text tokens of embedded instructions."""
        projected = F.linear(text_BND, self.text_weight)
        is_empty_B11 = (projected == 0).all(dim=-1).all(dim=-1)[:, None, None]
        tokens_BND: Tensor = torch.where(is_empty_B11, self.no_text, projected.to(self.no_text.dtype))
        return tokens_BND.add(self.text_positions)

    def step(self, previous_BA: Tensor, text_BND: Tensor, image_BKD: Tensor, batch: int) -> Tensor:
        """The new tokens of a tick, (B, Q, D): A of the previous step, S, O, each where the network has it."""
        image_BKD = image_BKD + self.image_positions
        if self.is_fused:
            return text_BND + image_BKD
        tokens = [text_BND, image_BKD, self.constant_1XD.expand(batch, -1, -1)]
        if self.has_actions:
            acted_BAD = F.embedding(previous_BA + self.action_offsets_A, self.action_table)
            if self.is_summed:
                acted_BAD = acted_BAD.sum(dim=1, keepdim=True)
            tokens.insert(0, acted_BAD)
        return torch.cat(tokens, dim=1)
