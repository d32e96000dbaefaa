"""`Prefetcher`: batches on the device, the next one copied while the current one is trained on.

Takes decoded batches from a ClipLoader, corrupts their inputs, sends them over a stream of its own (on CUDA, from
page-locked memory) and augments the pictures there. All randomness of batch k is drawn from (seed, k), so that a
resumed run needs no saved generator states. Knows nothing about networks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyehand.action import NOTHING
from eyehand.action_space import ActionSpace
from eyehand.data.augment import augment
from eyehand.data.loader import Batch
from eyehand.train.corruption import corrupt_history, drop_instructions
from eyehand.train.device import copy_stream, mark
from eyehand.train.train_config import TrainConfig

__all__ = ["DeviceBatch", "Prefetcher", "to_device"]


@dataclass(frozen=True)
class DeviceBatch:
    """A Batch as tensors on the training device.

    Attributes:
        number: its place in the stream.
        num_frames: frames that are not padding.
        frames: uint8 RGB (B, T, 3, H, W), channels last in memory, or features (B, T, F).
        text_BTND: float embeddings of the instructions.
        executed_BTA, target_BTA: int64 tokens.
        learn_BT: bool.
        valid_BT: bool, or None where no step is padding.
    """

    number: int
    num_frames: int
    frames: Tensor
    text_BTND: Tensor
    executed_BTA: Tensor
    target_BTA: Tensor
    learn_BT: Tensor
    valid_BT: Tensor | None


class Prefetcher:
    """An iterator of DeviceBatches.

    Attributes:
        waited_s: total time that the training loop has waited for decoded frames.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        text_table_MND: Tensor,
        space: ActionSpace,
        config: TrainConfig,
        device: torch.device,
    ) -> None:
        """`text_table_MND`: the embedded instructions of the data set, on the device."""
        self.waited_s = 0.0
        self._batches = batches
        self._text_table_MND = text_table_MND
        self._nothing_A = space.encode(NOTHING)
        self._config = config
        self._device = device
        self._stream = copy_stream(device)
        self._ahead: DeviceBatch | None = None
        self._copied: torch.cuda.Event | None = None

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> DeviceBatch:
        batch = self._ahead if self._ahead is not None else self._load()
        self._ahead = None
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
            for tensor in _tensors(batch):
                tensor.record_stream(torch.cuda.current_stream(self._device))
        return batch

    def prefetch(self) -> None:
        """Start copying the next batch; called when the work on the current one is queued."""
        if self._stream is not None and self._ahead is None:
            self._ahead = self._load()

    def _load(self) -> DeviceBatch:
        if self._copied is not None:
            self._copied.synchronize()  # the loader may overwrite a slot only after its copy
        started = time.perf_counter()
        batch = next(self._batches)
        self.waited_s += time.perf_counter() - started
        rng = np.random.default_rng((self._config.seed, batch.number, 1))
        corrupted = self._corrupted(batch, rng)
        if self._stream is None:
            return self._augmented(to_device(corrupted, self._text_table_MND, self._device), rng)
        with torch.cuda.stream(self._stream):
            sent = to_device(corrupted, self._text_table_MND, self._device)
            self._copied = mark()
            return self._augmented(sent, rng)

    def _corrupted(self, batch: Batch, rng: np.random.Generator) -> Batch:
        executed_BTA = corrupt_history(
            batch.executed_BTA,
            batch.valid_BT,
            rng,
            step_probability=self._config.action_corruption,
            clip_probability=self._config.history_dropout,
            nothing_A=self._nothing_A,
        )
        text_BT = drop_instructions(batch.text_BT, rng, self._config.text_dropout)
        return Batch(
            *(batch.number, batch.frames_BTX, text_BT, executed_BTA),
            *(batch.target_BTA, batch.learn_BT, batch.valid_BT),
        )

    def _augmented(self, batch: DeviceBatch, rng: np.random.Generator) -> DeviceBatch:
        if batch.frames.is_floating_point():
            frames = _without_some(batch.frames, rng, self._config.feature_dropout)
        else:
            frames = augment(batch.frames, rng, self._config.augment)
        return replace(batch, frames=frames)


def _without_some(features_BTF: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """Features with a share of them set to zero, the same ones for a whole clip."""
    if share <= 0:
        return features_BTF
    kept_B1F = rng.random((len(features_BTF), 1, features_BTF.shape[-1]), dtype=np.float32) >= share
    return features_BTF * torch.from_numpy(kept_B1F).to(features_BTF.device)


def to_device(batch: Batch, text_table_MND: Tensor, device: torch.device) -> DeviceBatch:
    """Copy a batch to the device. On CUDA asynchronously: the arrays must not change until the stream is done."""

    def send(values: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(values)
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

    frames = torch.from_numpy(batch.frames_BTX).to(device, non_blocking=True)
    return DeviceBatch(
        number=batch.number,
        num_frames=int(batch.valid_BT.sum()),
        frames=frames.permute(0, 1, 4, 2, 3) if frames.ndim == 5 else frames,
        text_BTND=text_table_MND[send(batch.text_BT)],
        executed_BTA=send(batch.executed_BTA),
        target_BTA=send(batch.target_BTA),
        learn_BT=send(batch.learn_BT),
        valid_BT=None if batch.valid_BT.all() else send(batch.valid_BT),
    )


def _tensors(batch: DeviceBatch) -> Iterator[Tensor]:
    yield from (batch.frames, batch.text_BTND, batch.executed_BTA, batch.target_BTA, batch.learn_BT)
    if batch.valid_BT is not None:
        yield batch.valid_BT
