"""`Dataset`: the recordings to learn from, with all labels in memory and all pictures on disk.

Step i of a recording is frame i with what was done on it, which annotation i + 1 holds; the last frame has no step.
A system's action is history but never a target; steps whose user action is unknown are seen and not learnt from.
Held-out recordings are chosen by a hash of their id, task by task, so that adding data moves no recording across.
Knows nothing about batches, workers or training.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.action_space import ActionSpace
from eyehand.errors import UserError
from eyehand.recording.format import SMALL_FILE
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.video import VideoReader

__all__ = ["ClipLabels", "Dataset", "Episode", "load_dataset"]

_PARALLEL_FROM = 64
"""Recordings from which on it pays to parse in several processes."""


@dataclass(frozen=True)
class Episode:
    """One recording of a Dataset.

    Attributes:
        path: its folder.
        id: unique name; decides whether it is held out.
        task: game and task, for example `doom/aim`.
        num_steps: frames that have an action.
        first_step: where its steps begin in the Dataset's arrays.
        num_learnt: steps with a known user action.
    """

    path: Path
    id: str
    task: str
    num_steps: int
    first_step: int
    num_learnt: int


@dataclass(frozen=True)
class ClipLabels:
    """Everything about a clip except its pictures; padded with zeros and False behind the episode's end."""

    text_T: NDArray[np.int64]
    executed_TA: NDArray[np.int64]
    target_TA: NDArray[np.int64]
    learn_T: NDArray[np.bool_]
    valid_T: NDArray[np.bool_]


@dataclass(frozen=True)
class Dataset:
    """Episodes and their labels; N counts the steps of all episodes together, A the action slots.

    Attributes:
        episodes: in the order of their ids.
        space: the vocabulary of the tokens.
        instructions: every distinct instruction; row 0 is None, "no instruction".
        executed_NA, target_NA: uint8 tokens.
        learn_N: bool, whether the target is known.
        text_N: int32 rows of `instructions`.
    """

    episodes: tuple[Episode, ...]
    space: ActionSpace
    instructions: tuple[str | None, ...]
    executed_NA: NDArray[np.uint8]
    target_NA: NDArray[np.uint8]
    learn_N: NDArray[np.bool_]
    text_N: NDArray[np.int32]

    @property
    def num_steps(self) -> int:
        return sum(episode.num_steps for episode in self.episodes)

    def labels(self, episode: int, start: int, length: int) -> ClipLabels:
        """Labels of `length` steps from `start` on."""
        one = self.episodes[episode]
        here = slice(one.first_step + start, one.first_step + min(start + length, one.num_steps))
        learn_T = _padded(self.learn_N[here], length, np.bool_)
        return ClipLabels(
            _padded(self.text_N[here], length, np.int64),
            _padded(self.executed_NA[here], length, np.int64),
            _padded(self.target_NA[here], length, np.int64),
            learn_T,
            np.arange(length) < here.stop - here.start,
        )

    def decode(self, episode: int, start: int, length: int) -> NDArray[np.uint8]:
        """Frames `start` to `start + length - 1`, uint8 RGB (length, 192, 192, 3).

        Raises:
            UserError: the video is damaged.
        """
        # A reader of its own each time: an open file would be shared with forked workers, position and all.
        reader = VideoReader(self.episodes[episode].path / SMALL_FILE)
        try:
            return reader.clip(start, length)
        finally:
            reader.close()

    def split(self, held_out_share: float) -> tuple[Dataset, Dataset]:
        """Training and held-out part, by recording; both keep the whole table of instructions.

        A recording is held out when the hash of its id falls into the share; a task that would have none gives the
        one with the smallest hash, unless it is the task's only one.
        """
        held: set[str] = set()
        if held_out_share > 0:
            for task in {episode.task for episode in self.episodes}:
                ids = sorted((e.id for e in self.episodes if e.task == task), key=_hash01)
                chosen = [i for i in ids if _hash01(i) < held_out_share] or ids[:1]
                if len(chosen) < len(ids):
                    held.update(chosen)
        kept = tuple(episode for episode in self.episodes if episode.id not in held)
        return replace(self, episodes=kept), replace(self, episodes=tuple(e for e in self.episodes if e.id in held))

    def steps(self) -> NDArray[np.int64]:
        """Rows of the arrays that belong to this part's episodes."""
        rows = [np.arange(e.first_step, e.first_step + e.num_steps) for e in self.episodes]
        return np.concatenate(rows) if rows else np.empty(0, np.int64)


@dataclass(frozen=True)
class _Labels:
    """What one process reads of one recording."""

    id: str
    task: str
    executed_NA: NDArray[np.uint8]
    target_NA: NDArray[np.uint8]
    learn_N: NDArray[np.bool_]
    instructions: tuple[str | None, ...]


def load_dataset(folders: Sequence[Path], space: ActionSpace, workers: int = 1) -> Dataset:
    """Read the labels of every recording below these folders.

    Raises:
        UserError: a folder is missing, holds no recording, or nothing in it can be learnt from; a recording is
            damaged.
    """
    paths = [path for folder in folders for path in find_recordings(folder)]
    read = partial(_read, space=space)
    if len(paths) >= _PARALLEL_FROM and workers > 1 and sys.platform == "linux":
        with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
            found = list(pool.map(read, paths, chunksize=8))
    else:
        found = [read(path) for path in paths]
    by_id = {labels.id: (path, labels) for path, labels in zip(paths, found, strict=True)}
    dataset = _join([by_id[key] for key in sorted(by_id)], space)
    if not dataset.episodes:
        raise UserError(
            f"None of the {len(paths)} recordings in {', '.join(map(str, folders))} holds a user's action: "
            "record a person or a demonstrator, or label them."
        )
    return dataset


def _read(path: Path, space: ActionSpace) -> _Labels:
    recording = Recording.open(path)
    labels = recording.load_labels(space)
    steps = slice(0, len(labels) - 1)  # what was done on the last frame is in no annotation
    return _Labels(
        recording.info.id or path.name,
        f"{recording.info.env}/{recording.info.env_subtype}",
        labels.executed_TA[steps].astype(np.uint8),
        labels.target_TA[steps].astype(np.uint8),
        labels.target_mask_T[steps],
        labels.instructions[steps],
    )


def _join(found: Sequence[tuple[Path, _Labels]], space: ActionSpace) -> Dataset:
    """One Dataset of many recordings; those without a single known user action are left out."""
    texts = sorted({text for _, labels in found for text in labels.instructions if text})
    row_of: dict[str | None, int] = {None: 0, "": 0, **{text: row for row, text in enumerate(texts, start=1)}}
    episodes: list[Episode] = []
    kept: list[_Labels] = []
    first_step = 0
    for path, labels in found:
        num_learnt = int(labels.learn_N.sum())
        if num_learnt == 0:
            continue
        episodes.append(Episode(path, labels.id, labels.task, len(labels.learn_N), first_step, num_learnt))
        kept.append(labels)
        first_step += len(labels.learn_N)
    rows = [np.array([row_of[text] for text in labels.instructions], np.int32) for labels in kept]
    none_NA = np.empty((0, space.num_slots), np.uint8)
    return Dataset(
        tuple(episodes),
        space,
        (None, *texts),
        np.concatenate([none_NA, *(labels.executed_NA for labels in kept)]),
        np.concatenate([none_NA, *(labels.target_NA for labels in kept)]),
        np.concatenate([np.empty(0, np.bool_), *(labels.learn_N for labels in kept)]),
        np.concatenate([np.empty(0, np.int32), *rows]),
    )


def _padded(values: NDArray[Any], length: int, dtype: type) -> NDArray[Any]:
    padded = np.zeros((length, *values.shape[1:]), dtype)
    padded[: len(values)] = values
    return padded


def _hash01(name: str) -> float:
    """A number in [0, 1) that depends on the name alone, on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
