"""Batches of clips, decoded by worker processes straight into shared memory, in exactly the order asked for.

A ring of batch slots lies in anonymous shared memory (not in /dev/shm, which containers keep small). Every clip of a
batch is one task, so all workers share the work on each batch, and a batch is handed out when its last clip is in:
the order and the content never depend on the number of workers. With a frame cache, decoded frames stay in memory and
are decoded once. Workers are forked where that is safe (Linux) and threads elsewhere; they touch numpy and PyAV only.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.data.dataset import Dataset
from eyehand.data.label_store import shared_bytes
from eyehand.data.sampler import ClipKey
from eyehand.errors import UserError
from eyehand.foreign import problem_of
from eyehand.frame import MODEL_SIZE
from eyehand.machine import num_cores
from eyehand.recording.recompress import RandomRecompression

__all__ = ["Batch", "ClipLoader", "default_workers"]

FRAME_BYTES = MODEL_SIZE * MODEL_SIZE * 3

_POLL_S = 2.0
"""How often a waiting process looks whether the others still live."""


@dataclass(frozen=True)
class Batch:
    """A batch of B clips of T steps, A action slots each.

    `frames_BTX` lies in a slot of the loader's ring: it is valid until the next but one batch is asked for.

    Attributes:
        number: its place in the stream.
        frames_BTX: uint8 RGB (B, T, 192, 192, 3), or float16 features (B, T, F); zero on padding.
        text_BT: int64, row of the data set's table of instructions; 0: no instruction.
        executed_BTA: int64 tokens of the executed actions: the policy's history.
        target_BTA: int64 tokens of the user's actions or labels.
        learn_BT: bool, whether the target is known (a user's action, not padding).
        valid_BT: bool, False on padding, which lies at the end of a clip.
    """

    number: int
    frames_BTX: NDArray[Any]
    text_BT: NDArray[np.int64]
    executed_BTA: NDArray[np.int64]
    target_BTA: NDArray[np.int64]
    learn_BT: NDArray[np.bool_]
    valid_BT: NDArray[np.bool_]


def default_workers() -> int:
    """One worker per core that this process may use, one core left for the training loop; at most 14."""
    return max(1, min(14, num_cores() - 1))


class ClipLoader:
    """Decodes the clips of a Dataset. A context manager; `batches` may be called once."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        clip_steps: int,
        workers: int = 0,
        num_slots: int = 4,
        cache_frames_gb: float = 0.0,
        recompression: RandomRecompression | None = None,
    ) -> None:
        """Reserve the memory and start the workers.

        Args:
            dataset: its episodes are numbered by `ClipKey.episode`.
            batch_size, clip_steps: B and T.
            workers: 0 decodes in the caller's thread, when a batch is asked for.
            num_slots: batches in memory: one in use, one just used, the others being decoded. At least 3.
            cache_frames_gb: how many gigabytes of decoded frames to keep; episodes beyond are decoded each time.
            recompression: augmentation of clips; the frame cache holds frames without it.
        """
        if num_slots < 3:
            raise ValueError("a loader needs at least 3 slots")
        self._dataset = dataset
        self._clip_steps = clip_steps
        shape, dtype = (num_slots, batch_size, clip_steps, *dataset.frame_shape), dataset.frame_dtype
        self.slots_SBTX = shared_bytes(int(np.prod(shape)) * dtype.itemsize).view(dtype).reshape(shape)
        self._filler = _Filler(dataset, self.slots_SBTX, _FrameCache.reserve(dataset, cache_frames_gb), recompression)
        self._tasks: Any = None
        self._results: Any = None
        self._workers: list[Any] = []
        if workers > 0:
            self._start(workers)

    def batches(self, keys: Iterator[Sequence[ClipKey]], first_batch: int = 0) -> Iterator[Batch]:
        """The batches of these clips, in order, counted from `first_batch`.

        Raises:
            UserError: a recording's video cannot be decoded.
            RuntimeError: a worker was killed.
        """
        num_slots = self.slots_SBTX.shape[0]
        in_flight: deque[tuple[int, Sequence[ClipKey]]] = deque()
        missing = [0] * num_slots
        ordered = enumerate(keys)

        def ask_ahead() -> None:
            # Two slots belong to the caller (this batch and the one before); what is left is decoded ahead.
            while len(in_flight) < (num_slots - 2 if self._workers else 1):
                upcoming = next(ordered, None)
                if upcoming is None:
                    return
                slot = upcoming[0] % num_slots
                in_flight.append((slot, upcoming[1]))
                missing[slot] = len(upcoming[1])
                batch_size = self.slots_SBTX.shape[1]
                for row, key in enumerate(upcoming[1]):
                    self._submit(slot, row, key, (first_batch + upcoming[0]) * batch_size + row)

        number = first_batch
        while True:
            ask_ahead()
            if not in_flight:
                return
            slot, clips = in_flight.popleft()
            while missing[slot] and self._workers:
                missing[self._receive()] -= 1
            if self._workers:
                ask_ahead()
            yield self._batch(number, slot, clips)
            number += 1

    def close(self) -> None:
        """Stop the workers; running decodes are abandoned."""
        for worker in self._workers:
            if isinstance(worker, threading.Thread):
                self._tasks.put(None)
            else:
                worker.terminate()
        for worker in self._workers:
            worker.join(timeout=5)
        if self._workers and not isinstance(self._workers[0], threading.Thread):
            for channel in (self._tasks, self._results):
                channel.cancel_join_thread()
                channel.close()
        self._workers = []

    def __enter__(self) -> ClipLoader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self, workers: int) -> None:
        if sys.platform == "linux":
            context = multiprocessing.get_context("fork")
            try:
                self._tasks, self._results = context.Queue(), context.Queue()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                advice = "remove what lies in /dev/shm, or give --workers 0"
                raise UserError(f"Data workers need some shared memory, and there is none: {advice}.") from error
            arguments = (self._tasks, self._results, self._filler, os.getpid())
            self._workers = [context.Process(target=_run, args=arguments, daemon=True) for _ in range(workers)]
        else:
            self._tasks, self._results = queue.Queue(), queue.Queue()
            arguments = (self._tasks, self._results, self._filler, None)
            self._workers = [threading.Thread(target=_run, args=arguments, daemon=True) for _ in range(workers)]
        for worker in self._workers:
            worker.start()

    def _submit(self, slot: int, row: int, key: ClipKey, position: int) -> None:
        if self._workers:
            self._tasks.put((slot, row, key, position))
        else:
            try:
                self._filler.fill(slot, row, key, position)
            except Exception as error:
                raise problem_of(self._dataset.episodes[key.episode].path, error) from error

    def _receive(self) -> int:
        """The slot of the next clip that is ready."""
        while True:
            try:
                slot, problem = self._results.get(timeout=_POLL_S)
            except queue.Empty:
                if not all(worker.is_alive() for worker in self._workers):
                    problem = "a data worker was killed, perhaps for want of memory: use fewer --workers"
                    raise RuntimeError(problem) from None
                continue
            if problem is not None:
                raise UserError(problem)
            return int(slot)

    def _batch(self, number: int, slot: int, clips: Sequence[ClipKey]) -> Batch:
        labels = [self._dataset.labels(key.episode, key.start, self._clip_steps) for key in clips]
        return Batch(
            number,
            self.slots_SBTX[slot, : len(clips)],
            np.stack([clip.text_T for clip in labels]),
            np.stack([clip.executed_TA for clip in labels]),
            np.stack([clip.target_TA for clip in labels]),
            np.stack([clip.learn_T for clip in labels]),
            np.stack([clip.valid_T for clip in labels]),
        )


@dataclass(frozen=True)
class _FrameCache:
    """Decoded frames of the first episodes that fit, shared by all workers and filled as they are met."""

    first_frame: tuple[int, ...]  # per episode; -1: not cached
    frames_NHWC: NDArray[np.uint8]
    is_filled_N: NDArray[np.uint8]

    @staticmethod
    def reserve(dataset: Dataset, gigabytes: float) -> _FrameCache | None:
        room = 0 if dataset.features is not None else int(gigabytes * 1e9) // FRAME_BYTES  # features are not decoded
        first_frame, used = [], 0
        for episode in dataset.episodes:
            fits = used + episode.num_steps <= room
            first_frame.append(used if fits else -1)
            used += episode.num_steps if fits else 0
        if used == 0:
            return None
        frames_NHWC = shared_bytes(used * FRAME_BYTES).reshape(used, MODEL_SIZE, MODEL_SIZE, 3)
        return _FrameCache(tuple(first_frame), frames_NHWC, shared_bytes(used))


@dataclass(frozen=True)
class _Filler:
    """Decodes the frames of a clip into its place in the ring; used by the workers."""

    dataset: Dataset
    slots_SBTX: NDArray[Any]
    cache: _FrameCache | None
    recompression: RandomRecompression | None = None

    def fill(self, slot: int, row: int, key: ClipKey, position: int) -> None:
        """Decode (or copy) the clip `key`, at this position of the stream, into row `row` of slot `slot`.

        Zeros follow where the episode ends.

        Raises:
            UserError: the video cannot be decoded.
        """
        self.dataset.load_labels(key.episode)  # here, for the process that waits for the batch
        target_TX = self.slots_SBTX[slot, row]
        length = min(len(target_TX), self.dataset.episodes[key.episode].num_steps - key.start)
        target_TX[length:] = 0
        self._decode(target_TX, length, key)
        if self.recompression is not None:
            target_TX[:length] = self.recompression(target_TX[:length], position)

    def _decode(self, target_TX: NDArray[Any], length: int, key: ClipKey) -> None:
        first = -1 if self.cache is None else self.cache.first_frame[key.episode]
        if self.cache is not None and first >= 0:
            place = slice(first + key.start, first + key.start + length)
            if self.cache.is_filled_N[place].all():
                target_TX[:length] = self.cache.frames_NHWC[place]
                return
        self.dataset.decode(key.episode, key.start, length, target_TX[:length])
        if self.cache is not None and first >= 0:
            # Two workers may fill the same frames: they write the same bytes, and the flags go last.
            self.cache.frames_NHWC[place] = target_TX[:length]
            self.cache.is_filled_N[place] = 1


def _run(tasks: Any, results: Any, filler: _Filler, parent: int | None) -> None:
    """A worker's main loop. A forked one ends with its parent, however that dies; the parent handles Ctrl-C and the
    end of the terminal."""
    if parent is not None:
        for name in {"SIGINT", "SIGHUP"} & set(dir(signal)):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while parent is None or os.getppid() == parent:
        try:
            task = tasks.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if task is None:
            return
        slot, row, key, position = task
        problem: str | None = None
        try:
            filler.fill(slot, row, key, position)
        except Exception as error:
            problem = str(problem_of(filler.dataset.episodes[key.episode].path, error))
        results.put((slot, problem))
