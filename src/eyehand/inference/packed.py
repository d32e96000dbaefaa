"""Weights packed for stepping, and a transformer block on them: few operations, attention that is given.

The same arithmetic as `block.Block` in evaluation mode up to float32 rounding. At a dozen tokens a tick the time goes
into the number of operations rather than into arithmetic, so they are merged: the scales of the norms before a
projection are multiplied into its weights; queries and keys are turned together; grouped queries are folded into the
query length, so that the cache is read once and never repeated. Where keys and values lie is the engine's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyehand.model.block import NORM_EPS, Block

__all__ = ["Packed", "PackedBlock", "Packing", "Turns", "as_dtype", "new_cache"]

Turns = Tensor | tuple[Tensor, Tensor]
"""Rotary positions of new tokens: unit complex numbers (B or 1, L, 1, F); exported, cosines and sines (L, 1, F, 1)."""


@dataclass(frozen=True)
class Packing:
    """How weights and caches are kept.

    Attributes:
        device, dtype: where, and in which numbers.
        is_exported: for OpenVINO, which takes matrices (out, in) in memory as well; torch's small products read
            (in, out) about twice as fast.
    """

    device: torch.device
    dtype: torch.dtype
    is_exported: bool = False

    def turns(self, rope_2BLF: Tensor) -> Turns:
        """For `PackedBlock.project`: torch needs one operation on complex numbers, OpenVINO fuses those on reals."""
        cos_BLF, sin_BLF = rope_2BLF
        if self.is_exported:
            return cos_BLF[0, :, None, :, None], sin_BLF[0, :, None, :, None]
        return torch.complex(cos_BLF, sin_BLF)[:, :, None]

    def copied(self, tensor: Tensor) -> Tensor:
        """A copy of a small tensor of the network's."""
        return tensor.detach().to(self.device, self.dtype, copy=True)


class Packed(nn.Module):
    """A module whose matrices are kept as a Packing says."""

    def __init__(self, packing: Packing) -> None:
        super().__init__()
        self.packing = packing

    def pack(
        self, name: str, linear: nn.Linear, scale_I: Tensor | None = None, dtype: torch.dtype | None = None
    ) -> None:
        """Keep a layer's matrix under this name; `scale_I`, if given, is multiplied into its inputs."""
        weight_OI = linear.weight.detach().to(self.packing.device, torch.float32)
        weight_OI = weight_OI.clone() if scale_I is None else weight_OI * scale_I.detach().to(weight_OI)
        if not self.packing.is_exported:
            weight_OI = weight_OI.t().contiguous().t()
        self.register_buffer(name, weight_OI.to(dtype or self.packing.dtype))

    def product(self, name: str, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x times the matrix, plus a bias."""
        weight_OI = self._buffers[name]
        assert weight_OI is not None
        return F.linear(x, weight_OI, bias)


class PackedBlock(Packed):
    """One block's weights, and what it does with L new tokens of each of B episodes (N = B x L rows).

    A cache is (B, 2 x kv heads, places, E): keys, then values, the learned sinks in front.
    """

    def __init__(self, block: Block, packing: Packing) -> None:
        super().__init__(packing)
        attention = block.attention
        self.num_q_heads, self.num_kv_heads = attention.num_q_heads, attention.num_kv_heads
        self.group = self.num_q_heads // self.num_kv_heads
        self.head_dim, self.widths, self.hidden = attention.head_dim, attention.widths, block.ffn.w2.in_features
        self.pack("qkv", attention.qkv, block.attention_norm.scale)
        self.pack("out", attention.out)
        self.pack("w13", block.ffn.w13, block.ffn_norm.scale)
        self.pack("w2", block.ffn.w2)
        self.q_scale, self.k_scale = (
            norm.scale.detach().to(packing.device, torch.float32, copy=True)
            for norm in (attention.q_norm, attention.k_norm)
        )
        self.sinks = torch.zeros(1, 2 * self.num_kv_heads, 0, self.head_dim, device=packing.device, dtype=packing.dtype)
        if attention.num_sinks:
            self.sinks = packing.copied(torch.cat((attention.k_sinks, attention.v_sinks), dim=1))

    def project(self, x_ND: Tensor, turns: Turns, batch: int, length: int) -> tuple[Tensor, Tensor]:
        """Queries (B, kv heads, group x L, E), and what goes into the cache (B, 2 x kv heads, L, E)."""
        q, k, v = torch.split(as_dtype(self.product("qkv", self._normalised(x_ND)), torch.float32), self.widths, dim=1)
        q = F.rms_norm(q, self.widths[:1], self.q_scale, NORM_EPS)
        k = F.rms_norm(k, self.widths[1:2], self.k_scale, NORM_EPS)
        pairs = torch.cat((q, k), dim=1).view(batch, length, -1, self.head_dim // 2, 2)
        if isinstance(turns, Tensor):
            turned = torch.view_as_real(torch.view_as_complex(pairs) * turns)
        else:
            cos, sin = turns
            even, odd = torch.split(pairs.view(length, -1, self.head_dim // 2, 2), [1, 1], dim=-1)
            turned = torch.cat((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
        turned = turned.view(batch, length, -1, self.head_dim)
        q, k = torch.split(as_dtype(turned, x_ND.dtype), [self.num_q_heads, self.num_kv_heads], dim=2)
        v = as_dtype(v.view(batch, length, -1, self.head_dim), x_ND.dtype)
        new = torch.cat((k, v), dim=2)
        if length == 1:
            q = q.reshape(batch, self.num_kv_heads, self.group, self.head_dim)
            return q, new.view(batch, -1, 1, self.head_dim)
        q = q.view(batch, length, self.num_kv_heads, self.group, self.head_dim).permute(0, 2, 3, 1, 4)
        return q.reshape(batch, self.num_kv_heads, -1, self.head_dim), new.transpose(1, 2)

    def finish(self, x_ND: Tensor, y_BHXE: Tensor, batch: int, length: int) -> Tensor:
        """Join the heads' outputs (shaped as the queries), project them, and run the feed-forward part."""
        if length > 1:
            y_BHXE = y_BHXE.view(batch, self.num_kv_heads, self.group, length, self.head_dim).permute(0, 3, 1, 2, 4)
        x_ND = x_ND + self.product("out", y_BHXE.reshape(-1, self.widths[0]))
        x1, x3 = torch.split(self.product("w13", self._normalised(x_ND)), [self.hidden, self.hidden], dim=1)
        return x_ND + self.product("w2", F.silu(x1).mul_(x3))

    def split(self, cache: Tensor) -> tuple[Tensor, ...]:
        """Keys and values of a cache."""
        return torch.split(cache, [self.num_kv_heads, self.num_kv_heads], dim=1)

    def attended(self, q_BHXE: Tensor, cache: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention over a whole cache; `mask` is additive, broadcastable to (B, 1, group x L, places)."""
        keys, values = self.split(cache)
        return F.scaled_dot_product_attention(q_BHXE, keys, values, attn_mask=mask)

    def _normalised(self, x_ND: Tensor) -> Tensor:
        """x / rms(x), in float32; the scale is in the weights that follow."""
        normalised_ND = F.rms_norm(as_dtype(x_ND, torch.float32), self.widths[:1], None, NORM_EPS)
        return as_dtype(normalised_ND, x_ND.dtype)


def new_cache(sinks: Tensor, batch: int, length: int) -> Tensor:
    """The sinks, already there, and places for `length` tokens."""
    _, num_heads, num_sinks, head_dim = sinks.shape
    cache = torch.zeros(batch, num_heads, num_sinks + length, head_dim, device=sinks.device, dtype=sinks.dtype)
    cache[:, :, :num_sinks] = sinks
    return cache


def as_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x.to(dtype)`, which an export would keep even where it does nothing."""
    return x if x.dtype == dtype else x.to(dtype)
