"""Statistics between two log records: mean losses, frames per second, time spent waiting for data."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from eyehand.train.prefetcher import Prefetcher

__all__ = ["Meter", "Pace"]


class Meter:
    """Sums of the losses since the last log record, kept on the device so that no step waits for them."""

    def __init__(self, num_heads: int, device: torch.device) -> None:
        self._sums = torch.zeros(1 + num_heads, dtype=torch.float64, device=device)
        self._count = 0

    def add(self, loss: Tensor, cross_entropy_H: Tensor) -> None:
        self._sums += torch.cat((loss[None], cross_entropy_H)).double()
        self._count += 1

    def take(self) -> tuple[float, list[float]]:
        """Mean loss and mean cross-entropy per head in nats since the last call; resets the sums."""
        loss, *entropies = (self._sums / max(self._count, 1)).tolist()
        self._sums.zero_()
        self._count = 0
        return loss, entropies

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums.cpu(), "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums.copy_(state["sums"])
        self._count = int(state["count"])


class Pace:
    """Frames per second and the share of time spent waiting for data, since the last restart."""

    def __init__(self, prefetcher: Prefetcher) -> None:
        self._prefetcher = prefetcher
        self.restart()

    def restart(self) -> None:
        self._started, self._waited_s, self._frames = time.perf_counter(), self._prefetcher.waited_s, 0

    def count(self, frames: int) -> None:
        self._frames += frames

    @property
    def frames_per_s(self) -> float:
        return self._frames / max(time.perf_counter() - self._started, 1e-9)

    @property
    def wait_share(self) -> float:
        return (self._prefetcher.waited_s - self._waited_s) / max(time.perf_counter() - self._started, 1e-9)
