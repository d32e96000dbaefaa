"""`Dataset`: the recordings to train on: labels in memory (see `label_store.py`), pictures on disk.

Step i of a recording is frame i with the action executed on it, which annotation i + 1 holds; the last frame has no
step. A system's action is history but never a target; steps without a known user action are inputs but not learnt.
Recordings come from folders, or from an index (`index.py`), which names them without opening any: their labels are read
when they are first needed. Which of them are used is decided in `split.py`. Knows nothing about batches or training.
"""

from __future__ import annotations

import multiprocessing
import re
import sys
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eyehand.action_space import ActionSpace
from eyehand.data.features import FeatureFiles
from eyehand.data.label_store import ChangedError, LabelStore
from eyehand.data.split import EVERYTHING, Selection, held_out_from, subset_ids
from eyehand.errors import UserError
from eyehand.foreign import problem_of
from eyehand.frame import MODEL_SIZE
from eyehand.recording.annotation import read_annotation
from eyehand.recording.file_range import FileRange
from eyehand.recording.format import SMALL_FILE
from eyehand.recording.labels import Labels, frame_actions, frame_instructions, make_labels, rate_problem
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.video import VideoReader
from eyehand.terminal import announce, counted

if TYPE_CHECKING:
    from eyehand.data.index import IndexRow

__all__ = ["ClipLabels", "Dataset", "Episode", "load_dataset"]

_MOST_REASONS = 5
"""Why recordings of an index are left out, that are told."""

_PARALLEL_FROM = 64
"""Recordings from which on it pays to parse in several processes."""


@dataclass(frozen=True)
class Episode:
    """One recording of a Dataset.

    Attributes:
        path: its folder, or its archive and the folder inside, for messages.
        video: the file of its pictures.
        id: unique name; decides whether it is held out, and which subsets it is in.
        task: game and task, for example `doom/aim`.
        number: its index in the LabelStore.
        num_steps: frames that have an action.
        first_step: where its steps begin in the Dataset's arrays.
        num_train: steps at its beginning to be learnt from.
        held_from: the first step that is held out; `num_steps`: none is.
        first_frame: of the video, the frame of its first step; above 0 for a held-out end.
    """

    path: Path
    video: Path | FileRange
    id: str
    task: str
    number: int
    num_steps: int
    first_step: int
    num_train: int
    held_from: int
    first_frame: int = 0


@dataclass(frozen=True)
class ClipLabels:
    """The labels of a clip; padded with zeros and False behind the episode's end."""

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
        store: the labels, shared by the parts of a split.
        features: what is read in place of pictures; None: pictures.
    """

    episodes: tuple[Episode, ...]
    space: ActionSpace
    instructions: tuple[str | None, ...]
    store: LabelStore
    features: FeatureFiles | None = None

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Of what `decode` gives for a frame: (192, 192, 3), or (features,)."""
        return (MODEL_SIZE, MODEL_SIZE, 3) if self.features is None else (self.features.size,)

    @property
    def frame_dtype(self) -> np.dtype[Any]:
        """Of what `decode` gives: uint8, or float16."""
        return np.dtype(np.uint8 if self.features is None else np.float16)

    @property
    def num_steps(self) -> int:
        return sum(episode.num_steps for episode in self.episodes)

    def labels(self, episode: int, start: int, length: int) -> ClipLabels:
        """Labels of `length` steps from `start` on; reads the episode's annotation if necessary.

        Raises:
            UserError: it is missing or damaged, or has changed since it was indexed.
        """
        self.load_labels(episode)
        one, store = self.episodes[episode], self.store
        here = slice(one.first_step + start, one.first_step + min(start + length, one.num_steps))
        learn_T = _padded(store.learn_N[here], length, np.bool_)
        return ClipLabels(
            _padded(store.text_N[here], length, np.int64),
            _padded(store.executed_NA[here], length, np.int64),
            _padded(store.target_NA[here], length, np.int64),
            learn_T,
            np.arange(length) < here.stop - here.start,
        )

    def load_labels(self, episode: int) -> None:
        """Read the labels of an episode, for this process and those that it was forked with. Errors as of `labels`."""
        one = self.episodes[episode]
        try:
            self.store.load(one.number)
        except ChangedError as error:
            raise UserError(f"{one.path} has changed since it was indexed ({error}): index the data again.") from error
        except Exception as error:
            raise problem_of(one.path, error) from error

    def loaded(self) -> LabelStore:
        """The labels, once those of all of this part's episodes are read (see `steps`). Errors as of `labels`."""
        for episode in range(len(self.episodes)):
            self.load_labels(episode)
        return self.store

    def decode(self, episode: int, start: int, length: int, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Frames `start` to `start + length - 1`, uint8 RGB (length, 192, 192, 3), or their features (length, F).

        Written to `into` if it is given. Of several views of a frame one is drawn for the clip, by `start`.

        Raises:
            UserError: the video is damaged, or features are missing.
        """
        one = self.episodes[episode]
        first = one.first_frame + start
        if self.features is not None:
            seed = zlib.crc32(f"{episode} {start}".encode())
            features_TF = self.features.read(one.video, first, length, seed)
            if into is not None:
                into[:] = features_TF
            return features_TF
        # A reader of its own each time: an open file would be shared with forked workers, position and all.
        reader = VideoReader(one.video)
        try:
            return reader.clip(first, length, into)
        finally:
            reader.close()

    def split(self) -> tuple[Dataset, Dataset]:
        """Training and held-out part; both keep the whole table of instructions. `load_dataset` has decided what is
        held out (`Selection.held_out`)."""
        kept = tuple(replace(each, num_steps=each.num_train) for each in self.episodes if each.num_train)
        held = tuple(_end_of(each) for each in self.episodes if each.held_from < each.num_steps)
        return replace(self, episodes=kept), replace(self, episodes=held)

    def steps(self) -> NDArray[np.int64]:
        """Rows of the arrays that belong to this part's episodes."""
        rows = [np.arange(e.first_step, e.first_step + e.num_steps) for e in self.episodes]
        return np.concatenate(rows) if rows else np.empty(0, np.int64)


def _end_of(episode: Episode) -> Episode:
    """The held-out steps of an episode."""
    begin = episode.held_from
    return replace(
        episode,
        num_steps=episode.num_steps - begin,
        first_step=episode.first_step + begin,
        first_frame=episode.first_frame + begin,
    )


@dataclass(frozen=True)
class _Found:
    """An episode of a Dataset being made, with its labels, or the row of the index to read them by later."""

    path: Path
    video: Path | FileRange
    id: str
    task: str
    num_steps: int
    num_learnt: int
    texts: frozenset[str]
    labels: Labels | IndexRow


def load_dataset(
    data: Sequence[Path], space: ActionSpace, workers: int = 1, selection: Selection = EVERYTHING
) -> Dataset:
    """Open every recording in these folders and indexes (.parquet), or a selection of them.

    A recording in a folder that cannot be read is left out, and announced.

    Raises:
        UserError: a folder or index is missing, holds no recording, or has no step to learn.
    """
    indexes = [path for path in data if path.suffix == ".parquet"]
    folders = [path for path in data if path.suffix != ".parquet"]
    if selection.where is not None and folders:
        raise UserError(f"A condition needs an index: make one of {folders[0]} with `eyehand data index`.")
    paths = [path for folder in folders for path in find_recordings(folder)]
    indexed = _rows(indexes, selection.where)
    rows = [row for row in indexed if row.error is None and row.user_share > 0]
    read = _read_all(paths, space, workers)
    unread = [each for each in read if isinstance(each, str)]
    for problem in unread:
        announce(f"left out: {problem}")
    _say_left_out(indexed, sum(isinstance(each, _Found) and not each.num_learnt for each in read))
    found = {each.id: each for each in read if isinstance(each, _Found) and each.num_learnt}
    found.update((row.id, _in_index(row)) for row in rows if row.id not in found)
    dataset = _join(found, _parts(found, selection), space)
    if not dataset.episodes:
        num_unusable = len(unread) + sum(row.error is not None for row in indexed)
        raise _nothing(data, len(paths) + len(indexed), num_unusable, selection.where)
    return dataset


def _say_left_out(indexed: Sequence[IndexRow], num_unknown: int) -> None:
    """Say how many recordings are left out for which reasons, of every kind one.

    Args:
        indexed: rows of indexes.
        num_unknown: recordings in folders without a known action of a user.
    """
    kinds: dict[str, list[IndexRow]] = {}
    for row in indexed:
        if row.error is not None:
            kinds.setdefault(re.sub(r"[\d.,]+", "", row.error.replace(row.source, "")), []).append(row)
    for rows in sorted(kinds.values(), key=len, reverse=True)[:_MOST_REASONS]:
        source, error = rows[0].source, rows[0].error or ""
        such_as = "" if len(rows) == 1 else f"{counted(len(rows), 'recording')}, such as "
        announce(f"left out: {such_as}{error if source in error else f'{source}: {error}'}")
    num_unknown += sum(row.error is None and row.user_share == 0 for row in indexed)
    if num_unknown:
        announce(f"left out: {counted(num_unknown, 'recording')} in which no user's action is known")
    num_errors = sum(map(len, kinds.values()))
    if num_errors:
        review = "`eyehand data review INDEX` takes back what a check decided"
        announce(f"{num_errors} of {counted(len(indexed), 'recording')} left out in all: {review}")


def _rows(indexes: Sequence[Path], where: str | None) -> list[IndexRow]:
    """Rows of the indexes for which the condition holds; of rows with the same id the first that can be used."""
    if not indexes:
        return []
    try:
        from eyehand.data.index import read_index
    except ImportError as error:
        raise UserError("Training from an index needs more packages: run `pip install 'eyehand[data]'`.") from error
    rows: dict[str, IndexRow] = {}
    for row in (row for path in indexes for row in read_index(path, where)):
        if row.id not in rows or rows[row.id].error is not None:
            rows[row.id] = row
    if not rows and where is not None:
        raise UserError(f"No recording of {', '.join(map(str, indexes))} fits the condition {where!r}: ask for less.")
    return list(rows.values())


def _nothing(data: Sequence[Path], num_recordings: int, num_unusable: int, where: str | None) -> UserError:
    """The error for recordings none of which can be trained on."""
    which = f"None of the {num_recordings} recordings in {', '.join(map(str, data))}"
    if where is not None:
        which += f" for which {where}"
    if num_unusable:
        return UserError(
            f"{which} can be learnt from: {num_unusable} are damaged or were left out, and `eyehand inspect` of a "
            "folder or `eyehand data list` of an index says why; `eyehand data review` takes back what a check decided."
        )
    return UserError(f"{which} holds a user's action: record a person or a demonstrator, or label them.")


def _parts(found: Mapping[str, _Found], selection: Selection) -> dict[str, tuple[int, int]]:
    """Of every recording of the selection, in the order of their ids: how many steps are learnt from, and from which on
    it is held out."""
    recordings = {key: (found[key].task, found[key].num_steps) for key in sorted(found)}
    held_from = held_out_from(recordings, selection.held_out)
    learnt = {key for key, first in held_from.items() if first}
    if selection.subset is not None:
        learnt = subset_ids({key: found[key].task for key in learnt}, selection.subset)
    return {
        key: (first if key in learnt else 0, first)
        for key, first in held_from.items()
        if key in learnt or first < found[key].num_steps
    }


def _read_all(places: Sequence[Path], space: ActionSpace, workers: int) -> list[_Found | str]:
    read = partial(_read_folder, space=space)
    if len(places) >= _PARALLEL_FROM and workers > 1 and sys.platform == "linux":
        with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
            return list(pool.map(read, places, chunksize=8))
    return [read(place) for place in places]


def _read_folder(path: Path, space: ActionSpace) -> _Found | str:
    """The episode of a recording, or why it has none."""
    try:
        return _episode(path, space)
    except Exception as error:
        return str(problem_of(path, error))


def _episode(path: Path, space: ActionSpace) -> _Found:
    with Recording.open(path) as recording:
        problem = rate_problem(recording.fps)
        if problem is not None:
            raise UserError(f"{path}: {problem}")
        labels = _steps(recording.load_labels(space), space)
        key, task = recording.info.id or path.name, f"{recording.info.env}/{recording.info.env_subtype}"
    texts = frozenset(text for text in labels.instructions if text)
    num_steps, num_learnt = len(labels), int(labels.target_mask_T.sum())
    return _Found(path, path / SMALL_FILE, key, task, num_steps, num_learnt, texts, labels)


def _in_index(row: IndexRow) -> _Found:
    """The episode of a row of the index; its number of known actions counts the first annotation too."""
    num_learnt = min(row.num_frames - 1, round(row.user_share * row.num_frames))
    path, texts = Path(row.source), frozenset(row.texts)
    return _Found(path, row.files.small, row.id, row.task, row.num_frames - 1, num_learnt, texts, row)


def _read_row(row: IndexRow, space: ActionSpace) -> Labels:
    """Labels from the annotation alone: the number of pictures is in the index."""
    annotations = read_annotation(row.files.annotation, row.annotation_sha256).frames[: row.num_frames]
    instructions = frame_instructions(annotations, row.fps)
    return _steps(make_labels(frame_actions(annotations), instructions, space), space)


def _steps(labels: Labels, space: ActionSpace) -> Labels:
    steps = slice(0, len(labels) - 1)  # what was done on the last frame is in no annotation
    return Labels(
        labels.executed_TA[steps].astype(space.token_dtype),
        labels.target_TA[steps].astype(space.token_dtype),
        labels.target_mask_T[steps],
        labels.instructions[steps],
    )


def _join(every: Mapping[str, _Found], parts: Mapping[str, tuple[int, int]], space: ActionSpace) -> Dataset:
    """One Dataset of the recordings that have parts."""
    found = [every[key] for key in parts]
    instructions = (None, *sorted({text for each in found for text in each.texts}))
    rows = {number: each.labels for number, each in enumerate(found) if not isinstance(each.labels, Labels)}
    store = LabelStore([each.num_steps for each in found], space, instructions, lambda e: _read_row(rows[e], space))
    episodes = []
    for number, each in enumerate(found):
        if isinstance(each.labels, Labels):
            store.fill(number, each.labels)
        names = (each.path, each.video, each.id, each.task)
        episodes.append(Episode(*names, number, each.num_steps, store.first_step(number), *parts[each.id]))
    return Dataset(tuple(episodes), space, instructions, store)


def _padded(values: NDArray[Any], length: int, dtype: type) -> NDArray[Any]:
    padded = np.zeros((length, *values.shape[1:]), dtype)
    padded[: len(values)] = values
    return padded
