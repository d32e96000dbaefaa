"""Open P2P's own algorithm of step-by-step inference, for comparison: `Baseline`, in plain PyTorch.

Each tick embeds the text anew and runs all tokens of the step through the backbone twice, with dummy actions and then
with the drawn ones; keys and values are appended to a growing cache, the oldest step is cut off. Same weights, same
actions as `inference.torch_live.LivePolicy` (tested). Source of the algorithm: arXiv 2601.04575 and its public code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from eyehand.inference.sampling import draw
from eyehand.model.action_decoder import ActionDecoder
from eyehand.model.backbone import attention_mask
from eyehand.model.block import Block, rope_table
from eyehand.model.policy import Policy

__all__ = ["Baseline"]


class Baseline:
    """Step-by-step inference of a policy by Open P2P's algorithm, one episode.

    Args:
        policy: the network; it is put into evaluation mode.
        embed_text: returns the embedding (N, text_dim) of the instruction; called at every tick.
    """

    def __init__(self, policy: Policy, embed_text: Callable[[], Tensor]) -> None:
        self.policy, self.config = policy.eval(), policy.config
        self._embed_text = embed_text
        self._blocks = policy.backbone.blocks()
        self._num_tokens = policy.config.num_step_tokens
        self._steps = 0
        self._caches: list[tuple[Tensor, Tensor]] = []
        for block in self._blocks:
            empty = torch.zeros(1, block.attention.num_kv_heads, 0, block.attention.head_dim)
            self._caches.append((empty, empty))

    def fill(self) -> None:
        """Fill the KV cache, as after a full history."""
        self._steps = self.config.history_steps - 1
        length = self._steps * self._num_tokens
        for index, block in enumerate(self._blocks):
            shape = (1, block.attention.num_kv_heads, length, block.attention.head_dim)
            self._caches[index] = (torch.randn(shape), torch.randn(shape))

    @torch.no_grad()
    def act(self, frame_1CHW: Tensor, uniforms_A: Tensor, temperature: float = 1.0) -> Tensor:
        """Sampled action tokens (A) for a uint8 RGB picture; they count as executed."""
        policy, config = self.policy, self.config
        image_11KD = policy.image_encoder(frame_1CHW)[None]
        seen_SD = policy.seen(image_11KD, self._embed_text()[None, None])[0, 0]
        out_1D = policy.out((1, 1))[0, 0]
        dummy_A = torch.zeros(policy.space.num_slots, dtype=torch.long)
        first_LD = torch.cat((seen_SD, out_1D, policy.acted(dummy_A)))
        y_LD, _ = self._pass(first_LD)
        ids_A = self._decode(y_LD[config.num_seen_tokens], uniforms_A, temperature)
        _, self._caches = self._pass(torch.cat((seen_SD, out_1D, policy.acted(ids_A))))
        self._steps += 1
        kept = min(self._steps, config.history_steps - 1) * self._num_tokens
        self._caches = [(k[:, :, -kept:], v[:, :, -kept:]) for k, v in self._caches]
        return ids_A

    def _pass(self, x_LD: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Run all tokens of the step through the backbone; outputs, and the KV caches with this step appended."""
        config = self.config
        first = self._steps * self._num_tokens
        positions_L = torch.arange(first, first + self._num_tokens)
        rope_2LF = rope_table(positions_L, config.width // config.num_q_heads)
        caches = []
        x_1LD = x_LD[None]
        for layer, (block, (keys, values)) in enumerate(zip(self._blocks, self._caches, strict=True)):
            attention = block.attention
            q, k, v = attention.project(block.attention_norm(x_1LD), rope_2LF)
            keys, values = torch.cat((keys, k), dim=2), torch.cat((values, v), dim=2)
            caches.append((keys, values))
            mask_LK = self._mask(keys.shape[2] // self._num_tokens, config.history_of(layer))
            x_1LD = x_1LD + attention.project_out(_attended(block, q, keys, values, mask_LK))
            x_1LD = x_1LD + block.ffn(block.ffn_norm(x_1LD))
        return x_1LD[0], caches

    def _mask(self, num_steps: int, history: int) -> Tensor:
        whole_LL = attention_mask(num_steps, self.config.num_seen_tokens, self.policy.space.num_slots, history)
        return whole_LL[-self._num_tokens :] if num_steps <= 2 else self._long_mask(num_steps, history)

    def _long_mask(self, num_steps: int, history: int) -> Tensor:
        """The last rows of `attention_mask`, without building all of it."""
        recent = attention_mask(2, self.config.num_seen_tokens, self.policy.space.num_slots, history)
        past_LN, own_LN = torch.split(recent[self._num_tokens :], self._num_tokens, dim=1)
        age_K = torch.arange(num_steps - 1, 0, -1).repeat_interleave(self._num_tokens)
        past_LK = past_LN.repeat(1, num_steps - 1) & (age_K <= history)
        return torch.cat((past_LK, own_LN), dim=1)

    def _decode(self, out_D: Tensor, uniforms_A: Tensor, temperature: float) -> Tensor:
        """Sample the action tokens autoregressively, each from all inputs so far, without a cache."""
        policy, decoder = self.policy, self.policy.decoder
        assert isinstance(decoder, ActionDecoder)
        x_LD = decoder.input(out_D)[None]
        ids: list[Tensor] = []
        for slot, head in enumerate(policy.space.head_of_slot):
            y_1LD = (x_LD + decoder.positions[: slot + 1])[None]
            rope_2LF, mask_LK = decoder.rope_2LF[:, : slot + 1], decoder.mask_LK[: slot + 1]
            for block in decoder.blocks():
                y_1LD = block(y_1LD, rope_2LF, mask_LK[:, : block.attention.num_sinks + slot + 1], ())
            logits_1C = policy.head(head)(y_1LD[:, -1])
            ids.append(draw(logits_1C, uniforms_A[slot : slot + 1], temperature)[0])
            x_LD = torch.cat((x_LD, policy.embedding(head)[ids[-1]][None]))
        return torch.stack(ids)


def _attended(block: Block, q: Tensor, keys: Tensor, values: Tensor, mask_LK: Tensor) -> Tensor:
    attention = block.attention
    if attention.num_sinks:
        keys = torch.cat((attention.k_sinks, keys), dim=2)
        values = torch.cat((attention.v_sinks, values), dim=2)
        mask_LK = torch.cat((torch.ones(len(mask_LK), attention.num_sinks, dtype=torch.bool), mask_LK), dim=1)
    group = attention.num_q_heads // attention.num_kv_heads
    keys, values = keys.repeat_interleave(group, dim=1), values.repeat_interleave(group, dim=1)
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask_LK)
