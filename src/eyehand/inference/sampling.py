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
    logits_XC: Tensor, uniforms_X: Tensor, temperature: float | Tensor = 1.0, top_p: float | Tensor = 1.0
) -> Tensor:
    """Token ids (...), int64.

    Args:
        logits_XC: one row of choices per draw, (..., choices).
        uniforms_X: in [0, 1), (...).
        temperature: divides the logits; 0 takes the likeliest choice.
        top_p: below 1, only the fewest likeliest choices that together reach this probability stay.

    Where the draw is exported, both are tensors of one element, and the temperature is above 0.
    """
    is_number = not isinstance(temperature, Tensor)
    if is_number and temperature == 0:
        return logits_XC.argmax(dim=-1)
    logits_XC = as_dtype(logits_XC, torch.float32)
    probabilities_XC = (logits_XC if is_number and temperature == 1 else logits_XC / temperature).softmax(dim=-1)
    if isinstance(top_p, Tensor) or top_p < 1:
        probabilities_XC = _nucleus(probabilities_XC, top_p)
    return _at(probabilities_XC, uniforms_X)


def draw_by_tensors(logits_XC: Tensor, uniforms_X: Tensor, temperature: Tensor, top_p: Tensor) -> Tensor:
    """As `draw`, with temperature and top-p (one element each) on the device, whose values the host never asks for."""
    logits_XC = logits_XC.float()
    is_greedy = temperature == 0
    probabilities_XC = (logits_XC / temperature.masked_fill(is_greedy, 1.0)).softmax(dim=-1)
    probabilities_XC = torch.where(top_p < 1, _nucleus(probabilities_XC, top_p), probabilities_XC)
    return torch.where(is_greedy, logits_XC.argmax(dim=-1), _at(probabilities_XC, uniforms_X))


def _at(probabilities_XC: Tensor, uniforms_X: Tensor) -> Tensor:
    """The first choice whose cumulative probability reaches the uniform."""
    below_XC = probabilities_XC.cumsum(dim=-1) < uniforms_X[..., None]
    # Rounding can leave the last cumulative probability below the uniform.
    return below_XC.sum(dim=-1).clamp_(max=probabilities_XC.shape[-1] - 1)


def _nucleus(probabilities_XC: Tensor, top_p: float | Tensor) -> Tensor:
    """Zero all but the fewest likeliest choices that together reach `top_p`, and normalise again."""
    ordered_XC, order_XC = probabilities_XC.sort(dim=-1, descending=True)
    is_beyond_XC = ordered_XC.cumsum(dim=-1) - ordered_XC >= top_p
    kept_XC = torch.zeros_like(ordered_XC).scatter(-1, order_XC, ordered_XC.masked_fill(is_beyond_XC, 0.0))
    return kept_XC / kept_XC.sum(dim=-1, keepdim=True)
