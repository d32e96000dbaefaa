"""The transformer block that backbone and action decoder share. Knows no tokens, no masks, no time.

Pre-norm, RMSNorm in float32, one packed projection to (q, k, v) without biases, q and k normalised over their full
width before the split into heads, rotary positions on interleaved pairs, optional learned key/value sinks, SwiGLU.
Source: arXiv 2601.04575 and its public code. Shapes: B batch, L tokens, D width, H heads, E features of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attention", "Block", "RMSNorm", "SwiGLU", "reach_of", "rope_at", "rope_frequencies", "rope_table", "rotate"]

ROPE_BASE = 10_000.0
NORM_EPS = 1e-5
CHUNK = 192
"""Queries per piece of `attend_in_chunks`."""


def rope_table(positions_L: Tensor, head_dim: int) -> Tensor:
    """Cosines and sines of rotary positions, float32 (2, L, head_dim / 2)."""
    return rope_at(positions_L, rope_frequencies(head_dim, positions_L.device))


def rope_frequencies(head_dim: int, device: torch.device) -> Tensor:
    """Angle by which each pair turns per position, float32 (head_dim / 2,)."""
    powers = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    return 1.0 / ROPE_BASE**powers


def rope_at(positions_L: Tensor, frequency_F: Tensor) -> Tensor:
    """`rope_table` from given frequencies."""
    angles = positions_L.to(torch.float32)[:, None] * frequency_F
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x_BHLE: Tensor, rope_2LF: Tensor) -> Tensor:
    """Rotate each pair (x0, x1), (x2, x3), ... by its token's angles. Keeps the dtype; computes in float32."""
    even, odd = x_BHLE.float().view(*x_BHLE.shape[:-1], -1, 2).unbind(-1)
    cos, sin = rope_2LF.unbind(0)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(x_BHLE.dtype)


class RMSNorm(nn.Module):
    """x / rms(x) * scale, computed in float32 and returned in the dtype of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        normalised = F.rms_norm(x.float(), self.scale.shape, self.scale.float(), NORM_EPS)
        return normalised.to(x.dtype)


def reach_of(mask_LK: Tensor) -> tuple[int, ...]:
    """For each chunk of queries of `attend_in_chunks`, the number of keys up to the last one that it may see."""
    return tuple(int(part.any(dim=0).nonzero()[-1]) + 1 for part in torch.split(mask_LK, CHUNK))


def attend_in_chunks(q_BHLE: Tensor, k_BHKE: Tensor, v_BHKE: Tensor, mask_LK: Tensor, reach: tuple[int, ...]) -> Tensor:
    """Softmax attention by plain matrix products, for training on a CPU.

    The fused kernel's backward pass is slow there; and where late keys are forbidden to early queries, a chunk of
    queries needs the keys up to the last allowed one only, which halves the work of a causal mask.
    """
    batch, heads, length, head_dim = q_BHLE.shape
    bias_LK = torch.zeros(mask_LK.shape, dtype=q_BHLE.dtype, device=mask_LK.device).masked_fill_(~mask_LK, -30_000.0)
    q_NLE, k_NKE, v_NKE = (x.reshape(batch * heads, -1, head_dim) for x in (q_BHLE, k_BHKE, v_BHKE))
    parts = []
    for first, keys in zip(range(0, length, CHUNK), reach, strict=True):
        last = min(first + CHUNK, length)
        bias_1CK = bias_LK[None, first:last, :keys].expand(batch * heads, -1, -1)
        scores_NCK = torch.baddbmm(
            bias_1CK, q_NLE[:, first:last], k_NKE[:, :keys].transpose(1, 2), alpha=head_dim**-0.5
        )
        parts.append(scores_NCK.softmax(dim=-1) @ v_NKE[:, :keys])
    return torch.cat(parts, dim=1).view(batch, heads, length, head_dim)


class Attention(nn.Module):
    """Grouped-query attention with normalised, rotated queries and keys, and optional sinks."""

    def __init__(self, width: int, num_q_heads: int, num_kv_heads: int, num_sinks: int, dropout: float) -> None:
        super().__init__()
        self.head_dim = width // num_q_heads
        self.num_q_heads, self.num_kv_heads, self.num_sinks = num_q_heads, num_kv_heads, num_sinks
        kv_width = num_kv_heads * self.head_dim
        self.widths = [width, kv_width, kv_width]
        self.qkv = nn.Linear(width, sum(self.widths), bias=False)
        self.q_norm = RMSNorm(width)
        self.k_norm = RMSNorm(kv_width)
        self.out = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        if num_sinks:
            # Raw vectors: neither normalised nor rotated, in front of the keys.
            self.k_sinks = nn.Parameter(torch.randn(1, num_kv_heads, num_sinks, self.head_dim) * 0.02)
            self.v_sinks = nn.Parameter(torch.randn(1, num_kv_heads, num_sinks, self.head_dim) * 0.02)

    def project(self, x_BLD: Tensor, rope_2LF: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, Hq, L, E), keys and values (B, Hkv, L, E), normalised and rotated."""
        q, k, v = self.qkv(x_BLD).split(self.widths, dim=-1)
        q = rotate(self._heads(self.q_norm(q), self.num_q_heads), rope_2LF)
        k = rotate(self._heads(self.k_norm(k), self.num_kv_heads), rope_2LF)
        return q, k, self._heads(v, self.num_kv_heads)

    def _heads(self, x_BLD: Tensor, num_heads: int) -> Tensor:
        batch, length = x_BLD.shape[:2]
        return x_BLD.view(batch, length, num_heads, self.head_dim).transpose(1, 2)

    def forward(self, x_BLD: Tensor, rope_2LF: Tensor, mask_LK: Tensor, reach: tuple[int, ...]) -> Tensor:
        """Attend within x. `mask_LK` is boolean, True where allowed; its K counts the sinks in front."""
        q, k, v = self.project(x_BLD, rope_2LF)
        if self.num_sinks:
            batch = x_BLD.shape[0]
            k = torch.cat((self.k_sinks.to(k.dtype).expand(batch, -1, -1, -1), k), dim=2)
            v = torch.cat((self.v_sinks.to(v.dtype).expand(batch, -1, -1, -1), v), dim=2)
        if self.num_q_heads != self.num_kv_heads:
            # The fused kernels that take a mask know no grouped queries.
            group = self.num_q_heads // self.num_kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        is_training_on_cpu = torch.is_grad_enabled() and q.device.type == "cpu"
        if is_training_on_cpu:
            return self.project_out(attend_in_chunks(q, k, v, mask_LK, reach))
        return self.project_out(F.scaled_dot_product_attention(q, k, v, mask_LK))

    def project_out(self, y_BHLE: Tensor) -> Tensor:
        """Join the heads and project back to the width."""
        y_BLD: Tensor = self.dropout(self.out(y_BHLE.transpose(1, 2).flatten(-2)))
        return y_BLD


class SwiGLU(nn.Module):
    """w2(silu(x1) * x3) with [x1, x3] = w13(x), no biases."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w13 = nn.Linear(width, 2 * hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x1, x3 = self.w13(x).chunk(2, dim=-1)
        y: Tensor = self.w2(F.silu(x1) * x3)
        return y


class Block(nn.Module):
    """h = x + Attention(norm(x)); y = h + SwiGLU(norm(h))."""

    def __init__(
        self, width: int, num_q_heads: int, num_kv_heads: int, ffn_hidden: int, num_sinks: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(width)
        self.attention = Attention(width, num_q_heads, num_kv_heads, num_sinks, dropout)
        self.ffn_norm = RMSNorm(width)
        self.ffn = SwiGLU(width, ffn_hidden)

    def forward(self, x_BLD: Tensor, rope_2LF: Tensor, mask_LK: Tensor, reach: tuple[int, ...]) -> Tensor:
        """Output (B, L, D) for whole sequences; `reach` is `reach_of(mask_LK)`."""
        h_BLD = x_BLD + self.attention(self.attention_norm(x_BLD), rope_2LF, mask_LK, reach)
        y_BLD: Tensor = h_BLD + self.ffn(self.ffn_norm(h_BLD))
        return y_BLD

    def scale_residual(self, factor: float) -> None:
        """Shrink what this block adds at initialisation, so that depth does not blow up the residual stream."""
        with torch.no_grad():
            self.attention.out.weight.mul_(factor)
            self.ffn.w2.weight.mul_(factor)
