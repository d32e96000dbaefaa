"""Recordings as a LeRobot data set, version 3.0: `export_lerobot`.

One episode per recording, one row per frame: the action of row i is what was done on frame i (not shifted as it is in
annotation.proto), `user_action` what the user did or would have done. The 192x192 pictures are copied, not encoded
anew. The data set is made in a hidden folder beside and appears whole or not at all. See `lerobot_layout.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eyehand.clock import FPS
from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.foreign import problem_of
from eyehand.formats import lerobot_stats
from eyehand.formats.joined_video import JoinedVideo
from eyehand.formats.lerobot_layout import (
    ACTION,
    ACTION_NAMES,
    CHUNK_SIZE,
    CODEBASE_VERSION,
    DATA_PATH,
    EPISODES_PATH,
    INFO_PATH,
    PICTURE,
    STATS_PATH,
    TASKS_PATH,
    VIDEO_PATH,
    features,
    vector_of,
)
from eyehand.progress import Progress, no_progress
from eyehand.recording.file_range import FileRange
from eyehand.recording.labels import rate_problem
from eyehand.recording.reader import Recording, RecordingFiles
from eyehand.recording.video import VideoReader
from eyehand.replaced import replaced

__all__ = ["EPISODE_INFO", "LOSSES", "ExportReport", "export_lerobot"]

EPISODE_INFO = "eyehand_info"
"""A column of ours in the table of episodes: JSON with what the recording is of (`RecordingInfo`) and its outcome."""

LOSSES = (
    "Lost: raw input events; keys that were pressed and released within a tick stay, as held in it.",
    "Lost: video.mp4 (the picture as captured); the 192x192 picture is copied without loss.",
    "Lost: embeddings of instructions, who wrote them, voice events, what the computer was.",
    "Changed: pictures are shown at exact twentieths of a second; when they were seen is in frame_time_ns.",
)

_FPS = round(FPS)
_VIDEO_BYTES = 200 * 1024 * 1024
_DATA_BYTES = 100 * 1024 * 1024
_NUM_SAMPLED = 8
_NUM_EPISODES_HELD = 100


@dataclass
class ExportReport:
    """What came of an export.

    Attributes:
        num_episodes, num_frames: in the data set.
        problems: recordings that were left out, and why.
    """

    num_episodes: int = 0
    num_frames: int = 0
    problems: list[str] = field(default_factory=list)


def export_lerobot(
    recordings: Sequence[tuple[str, RecordingFiles]],
    out: Path,
    progress: Callable[[str, str | None], None] = lambda place, problem: None,
    shown: Progress = no_progress,
) -> ExportReport:
    """Write recordings as one data set.

    Args:
        recordings: where each is, for messages, and its files.
        out: the folder to make.
        progress: is told of every recording that is done, and why it was left out, if so.
        shown: see `progress.py`.

    Raises:
        UserError: `out` exists, cannot be written, or none of the recordings can be used.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists: give a new folder, or remove it.")
    report = ExportReport()
    with alone_in(out, "export", beside=True), replaced(out) as staging, _DataSet(staging) as data_set:
        for number, (place, files) in enumerate(recordings):
            shown("exporting", number, len(recordings))
            problem = _export(place, files, data_set)
            if problem is not None:
                report.problems.append(problem)
            progress(place, problem)
        if not data_set.num_episodes:
            raise UserError("None of the recordings can be exported: see above for the reasons.")
        data_set.finish()
        report.num_episodes, report.num_frames = data_set.num_episodes, data_set.num_frames
    return report


def _export(place: str, files: RecordingFiles, data_set: _DataSet) -> str | None:
    """Add a recording; returns why it is left out. Everything of it is read before anything is written."""
    try:
        with Recording.open(files) as recording:
            problem = rate_problem(recording.fps)
            if problem is not None:
                return f"{place}: {problem}"
            rows = _rows(recording)
            sample = sorted({round(at) for at in np.linspace(0, recording.num_frames - 1, _NUM_SAMPLED)})
            pictures = np.concatenate([recording.decode_clip(frame, 1) for frame in sample])
            about = {**asdict(recording.info), "outcome": recording.outcome, "is_cut_off": recording.is_cut_off}
            instructions = recording.instructions
    except Exception as error:
        return str(problem_of(place, error))
    try:
        data_set.add(rows, instructions, pictures, files.small, about)
    except UserError as error:
        return str(error)
    return None


def _rows(recording: Recording) -> dict[str, NDArray[Any]]:
    """The columns that follow from a recording alone."""
    frames = range(recording.num_frames)
    executed = [recording.executed(frame) for frame in frames]
    user = [recording.user_action(frame) for frame in frames]
    annotations = recording.annotations
    by_user = [
        user[frame] is not None and not annotations[frame + 1].system_action.is_known
        if frame + 1 < len(frames)
        else False
        for frame in frames
    ]
    return {
        ACTION: np.stack([vector_of(action) for action in executed]),
        "user_action": np.stack([vector_of(action) for action in user]),
        "is_executed_known": np.array([action is not None for action in executed]),
        "is_user_known": np.array([action is not None for action in user]),
        "is_by_user": np.array(by_user),
        "timestamp": (np.arange(len(frames)) / _FPS).astype(np.float32),
        "frame_time_ns": np.array(recording.times_ns, np.int64),
        "frame_index": np.arange(len(frames), dtype=np.int64),
    }


class _DataSet:
    """A data set in the making. A context manager that closes its files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.num_episodes = self.num_frames = 0
        self._episodes: list[dict[str, Any]] = []  # that are not in the table of episodes yet
        self._episodes_table: pq.ParquetWriter | None = None
        self._stats: dict[str, lerobot_stats.Stats] | None = None
        self._tasks: dict[str, int] = {}
        self._video: JoinedVideo | None = None
        self._num_videos = self._num_tables = 0
        self._table: pq.ParquetWriter | None = None
        self._table_bytes = 0

    def __enter__(self) -> _DataSet:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def add(
        self,
        rows: dict[str, NDArray[Any]],
        instructions: Sequence[str | None],
        pictures_THWC: NDArray[np.uint8],
        video: Path | FileRange,
        about: dict[str, Any],
    ) -> None:
        """Add an episode; `pictures_THWC` are a few of its pictures, for the statistics."""
        length, number = len(instructions), self.num_episodes
        place = self._add_video(video, length)
        texts = [instruction or "" for instruction in instructions]
        tasks = [self._tasks.setdefault(text, len(self._tasks)) for text in texts]
        columns = {
            **rows,
            "episode_index": np.full(length, number, np.int64),
            "index": np.arange(self.num_frames, self.num_frames + length, dtype=np.int64),
            "task_index": np.array(tasks, np.int64),
        }
        numbers = {name: lerobot_stats.of_numbers(column) for name, column in columns.items()}
        stats = {PICTURE: lerobot_stats.of_pictures(pictures_THWC), **numbers}
        self._add_rows(columns)
        table = self._num_tables - 1
        self._episodes.append(
            {
                "episode_index": number,
                "tasks": list(dict.fromkeys(texts)),
                "length": length,
                "data/chunk_index": table // CHUNK_SIZE,
                "data/file_index": table % CHUNK_SIZE,
                "dataset_from_index": self.num_frames,
                "dataset_to_index": self.num_frames + length,
                **place,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                EPISODE_INFO: json.dumps(about),
                **{f"stats/{name}/{kind}": value.tolist() for name, of in stats.items() for kind, value in of.items()},
            }
        )
        self._stats = stats if self._stats is None else lerobot_stats.aggregate([self._stats, stats])
        self.num_episodes += 1
        self.num_frames += length
        if len(self._episodes) >= _NUM_EPISODES_HELD:
            self._write_episodes()

    def finish(self) -> None:
        """Write what is only known at the end."""
        assert self._video is not None
        assert self._stats is not None
        facts = self._video.facts
        self._write_episodes()
        self._close()
        pq.write_table(_tasks_table(self._tasks), self._path(TASKS_PATH, 0))
        plain = {name: {kind: value.tolist() for kind, value in of.items()} for name, of in self._stats.items()}
        info = {
            "codebase_version": CODEBASE_VERSION,
            "robot_type": "keyboard_and_mouse",
            "total_episodes": self.num_episodes,
            "total_frames": self.num_frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK_SIZE,
            "data_files_size_in_mb": _DATA_BYTES >> 20,
            "video_files_size_in_mb": _VIDEO_BYTES >> 20,
            "fps": _FPS,
            "splits": {"train": f"0:{self.num_episodes}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH,
            "features": features(_FPS, facts),
        }
        self._path(STATS_PATH, 0).write_text(json.dumps(plain))
        self._path(INFO_PATH, 0).write_text(json.dumps(info, indent=4))

    def _add_video(self, source: Path | FileRange, length: int) -> dict[str, Any]:
        """Copy the pictures; returns the columns that say where they are."""
        reader = VideoReader(source)
        try:
            video = self._video
            if video is None or video.path.stat().st_size >= _VIDEO_BYTES or not video.fits(reader):
                if video is not None:
                    video.close()
                video = self._video = JoinedVideo(self._path(VIDEO_PATH, self._num_videos), _FPS)
                self._num_videos += 1
            begin = video.num_frames
            video.append(reader)
        finally:
            reader.close()
        number = self._num_videos - 1
        return {
            f"videos/{PICTURE}/chunk_index": number // CHUNK_SIZE,
            f"videos/{PICTURE}/file_index": number % CHUNK_SIZE,
            f"videos/{PICTURE}/from_timestamp": begin / _FPS,
            f"videos/{PICTURE}/to_timestamp": (begin + length) / _FPS,
        }

    def _add_rows(self, columns: dict[str, NDArray[Any]]) -> None:
        vectors = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(column.ravel()), len(ACTION_NAMES))
            for name, column in columns.items()
            if column.ndim == 2
        }
        table = pa.table({name: vectors.get(name, column) for name, column in columns.items()})
        if self._table is None or self._table_bytes >= _DATA_BYTES:
            if self._table is not None:
                self._table.close()
            self._table = pq.ParquetWriter(self._path(DATA_PATH, self._num_tables), table.schema)
            self._table_bytes = 0
            self._num_tables += 1
        self._table.write_table(table)
        self._table_bytes += table.nbytes

    def _write_episodes(self) -> None:
        """Rows of episodes are large, for their statistics: they do not wait in memory until the end."""
        if self._episodes:
            table = pa.Table.from_pylist(self._episodes)
            if self._episodes_table is None:
                self._episodes_table = pq.ParquetWriter(self._path(EPISODES_PATH, 0), table.schema)
            self._episodes_table.write_table(table)
            self._episodes = []

    def _path(self, pattern: str, number: int) -> Path:
        name = pattern.format(video_key=PICTURE, chunk_index=number // CHUNK_SIZE, file_index=number % CHUNK_SIZE)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _close(self) -> None:
        if self._video is not None:
            self._video.close()
        for table in (self._table, self._episodes_table):
            if table is not None:
                table.close()
        self._table = self._episodes_table = None


def _tasks_table(tasks: dict[str, int]) -> pa.Table:
    """LeRobot looks tasks up by place in a pandas index, which a Parquet file describes in its metadata."""
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": pa.array(tasks, pa.string())})

    def column(name: str, kind: str, numpy_type: str) -> dict[str, Any]:
        return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_type, "metadata": None}

    pandas = {
        "index_columns": ["task"],
        "column_indexes": [column("", "unicode", "object") | {"name": None, "field_name": None}],
        "columns": [column("task_index", "int64", "int64"), column("task", "unicode", "object")],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})
