"""Drawing one token from logits with a given uniform number: temperature, top-p, inverse CDF.

Deterministic: the same logits and uniforms give the same tokens, on every machine that rounds alike.
Source of the rule: arXiv 2601.04575's public code (first index whose cumulative probability reaches the uniform).
"""

from __future__ import annotations

import torch
from torch import Tensor

from eyehand.inference.packed import as_dtype

__all__ = ["draw", "draw_by_tensors"]


def draw(
    logits_BC: Tensor, uniforms_B: Tensor, temperature: float | Tensor = 1.0, top_p: float | Tensor = 1.0
) -> Tensor:
    """Token ids (B,), int64.

    Args:
        logits_BC: one row of choices per draw.
        uniforms_B: in [0, 1).
        temperature: divides the logits; 0 takes the likeliest choice.
        top_p: below 1, only the fewest likeliest choices that together reach this probability stay.

    Where the draw is exported, both are tensors of one element, and the temperature is above 0.
    """
    is_number = not isinstance(temperature, Tensor)
    if is_number and temperature == 0:
        return logits_BC.argmax(dim=-1)
    logits_BC = as_dtype(logits_BC, torch.float32)
    probabilities_BC = (logits_BC if is_number and temperature == 1 else logits_BC / temperature).softmax(dim=-1)
    if isinstance(top_p, Tensor) or top_p < 1:
        probabilities_BC = _nucleus(probabilities_BC, top_p)
    return _at(probabilities_BC, uniforms_B)


def draw_by_tensors(logits_BC: Tensor, uniforms_B: Tensor, temperature: Tensor, top_p: Tensor) -> Tensor:
    """As `draw`, with temperature and top-p (one element each) on the device, whose values the host never asks for."""
    logits_BC = logits_BC.float()
    is_greedy = temperature == 0
    probabilities_BC = (logits_BC / temperature.masked_fill(is_greedy, 1.0)).softmax(dim=-1)
    probabilities_BC = torch.where(top_p < 1, _nucleus(probabilities_BC, top_p), probabilities_BC)
    return torch.where(is_greedy, logits_BC.argmax(dim=-1), _at(probabilities_BC, uniforms_B))


def _at(probabilities_BC: Tensor, uniforms_B: Tensor) -> Tensor:
    """The first choice whose cumulative probability reaches the uniform."""
    below_BC = probabilities_BC.cumsum(dim=-1) < uniforms_B[:, None]
    # Rounding can leave the last cumulative probability below the uniform.
    return below_BC.sum(dim=-1).clamp_(max=probabilities_BC.shape[-1] - 1)


def _nucleus(probabilities_BC: Tensor, top_p: float | Tensor) -> Tensor:
    """Zero all but the fewest likeliest choices that together reach `top_p`, and normalise again."""
    ordered_BC, order_BC = probabilities_BC.sort(dim=-1, descending=True)
    is_beyond_BC = ordered_BC.cumsum(dim=-1) - ordered_BC >= top_p
    kept_BC = torch.zeros_like(ordered_BC).scatter(-1, order_BC, ordered_BC.masked_fill(is_beyond_BC, 0.0))
    return kept_BC / kept_BC.sum(dim=-1, keepdim=True)
