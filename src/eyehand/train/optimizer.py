"""AdamW with selective weight decay, the learning rate schedule, and the exponential moving average of the weights.

Knows the network only as a torch module.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["WeightMean", "adamw", "learning_rate"]

_FINAL_SHARE = 0.01
_WARMUP_SHARE = 0.05


def adamw(model: nn.Module, *, lr: float, weight_decay: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    """AdamW that decays the weights of linear and convolution layers only: not norms, biases, embeddings, vectors."""
    decayed = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if id(p) in decayed], "weight_decay": weight_decay},
        {"params": [p for p in parameters if id(p) not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=parameters[0].device.type == "cuda")


def learning_rate(peak: float, share_done: float) -> float:
    """Linear over the first 5% of the run, and a cosine over all of it down to 1% of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(share_done, 1.0)))
    return peak * min(1.0, share_done / _WARMUP_SHARE) * (_FINAL_SHARE + (1 - _FINAL_SHARE) * cosine)


class WeightMean:
    """Exponential running mean of a module's weights and buffers (BatchNorm's statistics belong to the weights).

    Attributes:
        module: a copy of the network that holds the mean.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        # Parameters and buffers themselves: their storage stays the same for the whole run.
        self._means = _state_tensors(self.module)
        self._sources = _state_tensors(model)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the mean after optimiser step number `step`, counted from 1; the decay is smaller early on."""
        decay = min(self.decay, step / (10 + step))
        torch._foreach_lerp_(self._means[0], self._sources[0], 1 - decay)
        for mean, source in zip(self._means[1], self._sources[1], strict=True):
            mean.copy_(source)


def _state_tensors(module: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Everything in the module's state, floating-point tensors first, then the others (counters)."""
    tensors = [value.detach() for value in module.state_dict(keep_vars=True).values()]
    return [t for t in tensors if t.is_floating_point()], [t for t in tensors if not t.is_floating_point()]
