"""A transformer block packed for stepping: few operations, weights laid out for small batches, a cache that is given.

The same arithmetic as `block.Block` in evaluation mode. Grouped queries are folded into the query length, so that the
cache is read once per key/value head and never repeated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyehand.model.block import NORM_EPS, Block, RMSNorm

__all__ = ["PackedBlock", "packed_weight", "rope_complex"]


def packed_weight(linear: nn.Linear, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The weight as (in, out), which small matrix products read about twice as fast as (out, in)."""
    return linear.weight.detach().to(device, dtype).t().contiguous()


def rope_complex(rope_2LF: Tensor) -> Tensor:
    """Rotary positions as unit complex numbers, (L, 1, F): one multiplication turns all heads."""
    return torch.complex(rope_2LF[0], rope_2LF[1])[:, None]


class PackedBlock:
    """One block's weights on one device, and the step that uses them."""

    def __init__(self, block: Block, device: torch.device, dtype: torch.dtype) -> None:
        attention = block.attention
        self.width = attention.widths[0]
        self.kv_width = attention.widths[1]
        self.num_kv_heads = attention.num_kv_heads
        self.group = attention.num_q_heads // attention.num_kv_heads
        self.head_dim = attention.head_dim
        self.num_sinks = attention.num_sinks
        self.qkv = packed_weight(attention.qkv, device, dtype)
        self.out = packed_weight(attention.out, device, dtype)
        self.w13 = packed_weight(block.ffn.w13, device, dtype)
        self.w2 = packed_weight(block.ffn.w2, device, dtype)
        self.hidden = self.w2.shape[0]
        self.attention_scale = _scale(block.attention_norm, device)
        self.ffn_scale = _scale(block.ffn_norm, device)
        self.q_scale = _scale(attention.q_norm, device)
        self.k_scale = _scale(attention.k_norm, device)
        self.sinks: tuple[Tensor, Tensor] | None = None
        if attention.num_sinks:
            sinks = (attention.k_sinks, attention.v_sinks)
            self.sinks = (sinks[0].detach().to(device, dtype), sinks[1].detach().to(device, dtype))

    def new_cache(self, batch: int, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values for the sinks, already there, and `length` tokens."""
        shape = (batch, self.num_kv_heads, self.num_sinks + length, self.head_dim)
        keys, values = (torch.zeros(shape, device=self.qkv.device, dtype=self.qkv.dtype) for _ in range(2))
        if self.sinks is not None:
            keys[:, :, : self.num_sinks] = self.sinks[0]
            values[:, :, : self.num_sinks] = self.sinks[1]
        return keys, values

    def step(
        self,
        x_ND: Tensor,
        length: int,
        rope_L1F: Tensor,
        cache: tuple[Tensor, Tensor],
        place: int,
        num_read: int,
        mask: Tensor | None,
    ) -> Tensor:
        """Run `length` new tokens of each episode.

        Args:
            x_ND: tokens, N = batch x length rows.
            rope_L1F: complex rotary positions of the new tokens.
            cache: from `new_cache`; the new keys and values are written at `place` (sinks not counted).
            num_read: how many tokens of the cache the queries may see, from its beginning, sinks not counted.
            mask: additive, broadcastable to (B, 1, group x length, sinks + num_read).
        """
        keys, values = cache
        batch, width = x_ND.shape[0] // length, self.width
        qkv = torch.mm(_rms(x_ND, self.attention_scale), self.qkv)
        q, kv = qkv[:, :width], qkv[:, width:]
        k, v = kv.chunk(2, dim=1)
        q = self._turned(_rms(q, self.q_scale), batch, length, rope_L1F)
        k = self._turned(_rms(k, self.k_scale), batch, length, rope_L1F)
        first = self.num_sinks + place
        keys[:, :, first : first + length] = k.transpose(1, 2)
        values[:, :, first : first + length] = v.view(batch, length, self.num_kv_heads, self.head_dim).transpose(1, 2)
        seen = self.num_sinks + num_read
        grouped = (batch, length, self.num_kv_heads, self.group, self.head_dim)
        q = q.view(grouped).permute(0, 2, 3, 1, 4).reshape(batch, self.num_kv_heads, -1, self.head_dim)
        y = F.scaled_dot_product_attention(q, keys[:, :, :seen], values[:, :, :seen], attn_mask=mask)
        y = y.view(batch, self.num_kv_heads, self.group, length, self.head_dim).permute(0, 3, 1, 2, 4)
        x_ND = torch.addmm(x_ND, y.reshape(-1, width), self.out)
        x13 = torch.mm(_rms(x_ND, self.ffn_scale), self.w13)
        hidden = F.silu(x13[:, : self.hidden]).mul_(x13[:, self.hidden :])
        return torch.addmm(x_ND, hidden, self.w2)

    def _turned(self, x_ND: Tensor, batch: int, length: int, rope_L1F: Tensor) -> Tensor:
        """Rotated (B, L, heads, E)."""
        pairs = torch.view_as_complex(x_ND.float().view(batch, length, -1, self.head_dim // 2, 2))
        return torch.view_as_real(pairs * rope_L1F).flatten(-2).to(x_ND.dtype)


def _scale(norm: RMSNorm, device: torch.device) -> Tensor:
    return norm.scale.detach().to(device, torch.float32)


def _rms(x_ND: Tensor, scale_D: Tensor) -> Tensor:
    return F.rms_norm(x_ND.float(), scale_D.shape, scale_D, NORM_EPS).to(x_ND.dtype)
