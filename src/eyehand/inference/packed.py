"""A transformer block packed for stepping: few operations, weights laid out for small batches, a cache that is given.

The same arithmetic as `block.Block` in evaluation mode up to float32 rounding. At a dozen tokens a tick the time goes
into the number of operations rather than into arithmetic, so they are merged: the scales of the norms before a
projection are multiplied into its weights; queries, keys and values are normalised and turned together (values by 1);
grouped queries are folded into the query length, so that the cache is read once and never repeated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyehand.model.block import NORM_EPS, Block

__all__ = ["PackedBlock", "packed_weight"]


def packed_weight(linear: nn.Linear, device: torch.device, dtype: torch.dtype, scale_D: Tensor | None = None) -> Tensor:
    """The weight as (in, out), which small matrix products read about twice as fast as (out, in).

    `scale_D`, if given, is multiplied into the inputs.
    """
    weight = linear.weight.detach().float()
    if scale_D is not None:
        weight = weight * scale_D.detach().float()
    return weight.t().contiguous().to(device, dtype)


class PackedBlock:
    """One block's weights on one device, and the step that uses them."""

    def __init__(self, block: Block, device: torch.device, dtype: torch.dtype) -> None:
        attention = block.attention
        self.num_q_heads, self.num_kv_heads = attention.num_q_heads, attention.num_kv_heads
        self.group = self.num_q_heads // self.num_kv_heads
        self.head_dim, self.num_sinks = attention.head_dim, attention.num_sinks
        self.width = attention.widths[0]
        self.qkv = packed_weight(attention.qkv, device, dtype, block.attention_norm.scale)
        self.out = packed_weight(attention.out, device, dtype)
        self.w13 = packed_weight(block.ffn.w13, device, dtype, block.ffn_norm.scale)
        self.w2 = packed_weight(block.ffn.w2, device, dtype)
        self.hidden = self.w2.shape[0]
        self.eps_111 = torch.full((1, 1, 1), NORM_EPS, device=device)
        self._pack_qkv_norm(block, device)
        self.sinks: Tensor | None = None
        if attention.num_sinks:
            self.sinks = torch.cat((attention.k_sinks, attention.v_sinks), dim=1).detach().to(device, dtype)

    def _pack_qkv_norm(self, block: Block, device: torch.device) -> None:
        """Matrices that give the mean square of q and of k, and spread their inverse roots; values are left alone."""
        q_width, kv_width, _ = block.attention.widths
        part_X = torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor(block.attention.widths))
        member_X3 = F.one_hot(part_X, 3).float()
        self.mean_X3 = (member_X3 * torch.tensor([1 / q_width, 1 / kv_width, 0.0])).to(device)
        self.bias_3 = torch.tensor([NORM_EPS, NORM_EPS, 1.0], device=device)
        scale_X = torch.cat(
            (
                block.attention.q_norm.scale.detach().float().cpu(),
                block.attention.k_norm.scale.detach().float().cpu(),
                torch.ones(kv_width),
            )
        )
        self.spread_3X = (member_X3.t() * scale_X).contiguous().to(device)

    def rope(self, rope_2BLF: Tensor) -> Tensor:
        """Unit complex numbers (B, L, heads, F) that turn queries and keys by their positions and values not at all."""
        turns_BL1F = torch.complex(rope_2BLF[0], rope_2BLF[1])[:, :, None]
        turned = turns_BL1F.expand(-1, -1, self.num_q_heads + self.num_kv_heads, -1)
        return torch.cat((turned, torch.ones_like(turns_BL1F).expand(-1, -1, self.num_kv_heads, -1)), dim=2)

    def new_cache(self, batch: int, length: int) -> Tensor:
        """Keys, then values, of the sinks, already there, and of `length` tokens: (B, 2 x kv heads, places, E)."""
        shape = (batch, 2 * self.num_kv_heads, self.num_sinks + length, self.head_dim)
        cache = torch.zeros(shape, device=self.qkv.device, dtype=self.qkv.dtype)
        if self.sinks is not None:
            cache[:, :, : self.num_sinks] = self.sinks
        return cache

    def step(
        self, x_ND: Tensor, rope_BLHF: Tensor, cache: Tensor, place: int | Tensor, num_read: int, mask: Tensor | None
    ) -> Tensor:
        """Run L new tokens of each episode.

        Args:
            x_ND: tokens, N = batch x L rows.
            rope_BLHF: from `rope`, for the new tokens; one for all episodes (B = 1) or one each.
            cache: from `new_cache`; the new keys and values are written at `place` (sinks not counted).
            place: of the first; or, on the device, of each (L,).
            num_read: how many tokens of the cache the queries may see, from its beginning, sinks not counted.
            mask: additive, broadcastable to (B, 1, group x L, sinks + num_read).
        """
        batch, length = len(cache), rope_BLHF.shape[1]
        qkv_NX = torch.mm(self._normalised(x_ND), self.qkv).float()
        inverse_N3 = torch.addmm(self.bias_3, qkv_NX * qkv_NX, self.mean_X3).rsqrt_()
        qkv_NX = qkv_NX.mul_(torch.mm(inverse_N3, self.spread_3X))
        pairs = torch.view_as_complex(qkv_NX.view(batch, length, -1, self.head_dim // 2, 2))
        qkv_BLHE = torch.view_as_real(pairs * rope_BLHF).flatten(-2)
        first, seen = self.num_sinks + place, self.num_sinks + num_read
        new_BHLE = qkv_BLHE[:, :, self.num_q_heads :].transpose(1, 2)
        if isinstance(first, Tensor):
            cache.index_copy_(2, first, new_BHLE.to(cache.dtype))
        else:
            cache[:, :, first : first + length] = new_BHLE
        q = qkv_BLHE[:, :, : self.num_q_heads].view(batch, length, self.num_kv_heads, self.group, self.head_dim)
        q = q.permute(0, 2, 3, 1, 4).reshape(batch, self.num_kv_heads, -1, self.head_dim).to(x_ND.dtype)
        keys, values = cache[:, : self.num_kv_heads, :seen], cache[:, self.num_kv_heads :, :seen]
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        y = y.view(batch, self.num_kv_heads, self.group, length, self.head_dim).permute(0, 3, 1, 2, 4)
        x_ND = torch.addmm(x_ND, y.reshape(-1, self.width), self.out)
        x13 = torch.mm(self._normalised(x_ND), self.w13)
        hidden = F.silu(x13[:, : self.hidden]).mul_(x13[:, self.hidden :])
        return torch.addmm(x_ND, hidden, self.w2)

    def _normalised(self, x_ND: Tensor) -> Tensor:
        """x / rms(x), in float32; the scale is in the weights that follow."""
        x32 = x_ND.float()
        mean_square_N11 = torch.baddbmm(self.eps_111, x32[:, None], x32[:, :, None], alpha=1 / self.width)
        return (x32 * mean_square_N11.rsqrt_()[:, 0]).to(x_ND.dtype)
