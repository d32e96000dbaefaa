"""Pictures, text and actions as input tokens of one step, and the decoder's outputs as logits: `Tokens`."""

from __future__ import annotations

import torch
from torch import Tensor

from eyehand.inference.packed import packed_weight
from eyehand.model.policy import Policy

__all__ = ["Tokens"]


class Tokens:
    """Tables and projections that turn pictures, text and actions into tokens, with the positions added beforehand."""

    def __init__(self, policy: Policy, device: torch.device, dtype: torch.dtype) -> None:
        self.text_weight = policy.text_projection.weight.detach().to(device, torch.float32, copy=True)
        vectors = {
            name: getattr(policy, name).detach().to(device, dtype, copy=True)
            for name in ("no_text", "text_positions", "image_positions", "thinking", "action_out", "action_positions")
        }
        self.no_text, self.text_positions = vectors["no_text"], vectors["text_positions"]
        self.image_positions = vectors["image_positions"]
        self.constant_1XD = torch.cat((vectors["thinking"], vectors["action_out"]))[None]
        heads = [index for index, head in enumerate(policy.space.heads) for _ in range(head.num_slots)]
        embeddings = [policy.embedding(head).detach().to(device, dtype) for head in heads]
        tables = [table + vectors["action_positions"][slot] for slot, table in enumerate(embeddings)]
        sizes = torch.tensor([0] + [len(table) for table in tables[:-1]])
        self.action_table, self.action_offsets_A = torch.cat(tables), sizes.cumsum(0).to(device)
        positions = policy.decoder.positions.detach().to(device, dtype)
        self.next_tables = [table + positions[slot + 1] for slot, table in enumerate(embeddings)]
        self.input_weight = packed_weight(policy.decoder.input, device, dtype)
        self.input_bias = policy.decoder.input.bias.detach().to(device, dtype) + positions[0]
        linears = [policy.head(head) for head in heads]
        # Logits are float32 whatever the dtype: bfloat16 would round the probabilities that are drawn from.
        self.head_weights = [packed_weight(linear, device, torch.float32) for linear in linears]
        self.head_biases = [linear.bias.detach().to(device, torch.float32, copy=True) for linear in linears]

    def text(self, text_BND: Tensor) -> Tensor:
        projected = torch.nn.functional.linear(text_BND, self.text_weight)
        is_empty_B11 = (projected == 0).all(dim=-1).all(dim=-1)[:, None, None]
        tokens_BND: Tensor = torch.where(is_empty_B11, self.no_text, projected.to(self.no_text.dtype))
        return tokens_BND.add(self.text_positions)

    def step(self, previous_BA: Tensor, text_BND: Tensor, image_BKD: Tensor) -> Tensor:
        """The new tokens of a tick: A of the previous step, S, O."""
        acted_BAD = self.action_table[previous_BA + self.action_offsets_A]
        constant_BXD = self.constant_1XD.expand(len(previous_BA), -1, -1)
        return torch.cat((acted_BAD, text_BND, image_BKD + self.image_positions, constant_BXD), dim=1)

    def decoder_input(self, out_BD: Tensor) -> Tensor:
        return torch.addmm(self.input_bias, out_BD, self.input_weight)

    def decoder_next(self, slot: int, ids_B: Tensor) -> Tensor:
        return self.next_tables[slot].index_select(0, ids_B)

    def logits(self, slot: int, x_BD: Tensor) -> Tensor:
        return torch.addmm(self.head_biases[slot], x_BD.float(), self.head_weights[slot])
