"""LeRobot data sets, version 3.0, as recordings: `LerobotImporter`.

Reads what `lerobot_export.py` writes, exactly where actions, times and instructions are concerned, and any other data
set of 20 frames a second whose actions are named as ours are. Where the features of ours are missing, everything is
taken as done by a person. See `lerobot_layout.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eyehand.clock import FPS, SECOND_NS
from eyehand.errors import UserError
from eyehand.foreign import parse_json, read_regular
from eyehand.formats.importing import ImportedFrame, Take, laid_out, recording_id
from eyehand.formats.lerobot_export import EPISODE_INFO
from eyehand.formats.lerobot_layout import ACTION, ACTION_NAMES, INFO_PATH, PICTURE, TASKS_PATH, action_of
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import MAX_FRAMES, RecordingInfo
from eyehand.recording.labels import rate_problem
from eyehand.recording.video import VideoReader
from eyehand.recording.writer import new_info
from eyehand.safe_path import SafeName, resolve_inside
from eyehand.typed import typed

__all__ = ["LerobotImporter"]

T = TypeVar("T")

_CLIP = 64

_FLAGS = ("is_executed_known", "is_by_user", "is_user_known")
_CONTENT = (ACTION, "user_action", "frame_time_ns", *_FLAGS)
"""Columns that a recording is made of."""

_NUMBERS = ("frame_index", "episode_index", "task_index")

_MOST_INFO_BYTES = 16 << 20
_BATCH_ROWS = 1024
_MOST_BATCH_BYTES = 64 << 20
_MOST_TEXT_BYTES = 64 << 10
_MOST_TABLE_TEXT_BYTES = 256 << 20
_MOST_VALUES = 4096  # in one place of a row: an action has some hundred numbers

_OFF = 0.25
"""How far a stated time may lie from the nearest picture's, in pictures."""


class LerobotImporter:
    """Reads data sets of keyboard and mouse.

    Args:
        paths: folders of data sets (those that hold meta/info.json).
    """

    format = "lerobot"
    losses = (
        "Lost: raw events, and everything in the data set but its actions, one picture, tasks and times.",
        "Lost: what was done on the last picture.",
        "Changed: pictures are encoded anew, the 192x192 one and video.mp4 from the same one.",
        "Changed: an empty task is no instruction.",
    )

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)

    def sources(self) -> Sequence[str]:
        return [str(path) for path in self._paths]

    def takes(self, source: str) -> Iterator[Take | UserError]:
        root = Path(source)
        info = _read_info(root)
        names = _names(info, root)
        picture = _picture(info, root)
        tasks = _read_tasks(root)
        by_video: dict[Path, list[_Episode]] = defaultdict(list)
        for row in _read_episodes(root, picture):
            found = _tried(f"{root}, episode {row['episode_index']},", _episode, root, info, picture, row)
            if isinstance(found, UserError):
                yield found
            else:
                by_video[found.video].append(found)
        for path, episodes in by_video.items():
            with closing(VideoReader(path)) as video:
                parts = _tried(path, _parts, episodes, video, root)
                if isinstance(parts, UserError):
                    yield parts
                    continue
                for part in parts:
                    yield _tried(f"{root}, episode {part[0].number},", _take, root, names, tasks, video, *part)


@dataclass(frozen=True)
class _Episode:
    """An episode, as its row in the table of episodes says.

    Attributes:
        number: its `episode_index`.
        length: number of frames.
        begin: where it begins in its video, in pictures.
        video, data: the files that hold it.
        fps: frames per second.
        about: what our own export says of it (see EPISODE_INFO); empty: nothing.
    """

    number: int
    length: int
    begin: float
    video: Path
    data: Path
    fps: float
    about: Mapping[str, Any]


def _tried(where: object, make: Callable[..., T], *arguments: Any) -> T | UserError:
    """What `make` returns, or why this part of a data set cannot be imported."""
    try:
        with laid_out(str(where), "LeRobot's"):
            return make(*arguments)
    except UserError as error:
        return error


def _episode(root: Path, info: Mapping[str, Any], picture: str, row: Mapping[str, Any]) -> _Episode:
    def file(pattern: str, place: str) -> Path:
        numbers = {name: row[f"{place}/{name}"] for name in ("chunk_index", "file_index")}
        return resolve_inside(root, _file_name(pattern, {"video_key": picture, **numbers}))

    number, length = int(row["episode_index"]), int(row["length"])
    if length < 1:
        raise ValueError(f"a length of {length}")
    begin = float(row[f"videos/{picture}/from_timestamp"]) * float(info["fps"])
    if not math.isfinite(begin):
        raise ValueError(f"it begins at {begin}")
    video, data = file(info["video_path"], f"videos/{picture}"), file(info["data_path"], "data")
    about = parse_json(row.get(EPISODE_INFO) or "{}")
    return _Episode(number, length, begin, video, data, float(info["fps"]), about)


def _file_name(pattern: str, values: Mapping[str, Any]) -> str:
    """The name of a file by a pattern of `info.json`, of which only `{name}` and `{name:03d}` have a meaning."""

    def text(field: re.Match[str]) -> str:
        value = values[field["name"]]
        return str(value) if field["width"] is None else str(int(value)).zfill(int(field["width"]))

    return re.sub(r"\{(?P<name>\w+)(?::0(?P<width>\d)d)?\}", text, pattern)


def _parts(episodes: list[_Episode], video: VideoReader, root: Path) -> list[tuple[_Episode, int, list[bytes]]]:
    """Of each episode in a video: where it begins, and the SHA-256 of its encoded pictures."""
    digests = [sha256(packet).digest() for packet in video.packets()[1]]
    episodes = sorted(episodes, key=lambda episode: episode.begin)
    begins = _begins([episode.begin for episode in episodes], [episode.length for episode in episodes], video, root)
    return [(of, begin, digests[begin : begin + of.length]) for of, begin in zip(episodes, begins, strict=True)]


def _take(
    root: Path,
    names: Sequence[str],
    tasks: Mapping[int, str],
    video: VideoReader,
    episode: _Episode,
    begin: int,
    digests: Sequence[bytes],
) -> Take:
    rows = _read_rows(episode)
    texts = [tasks[number] or None for number in rows["task_index"]]
    content = json.dumps([names, texts, *(rows[name] for name in _CONTENT)]).encode()
    return Take(
        _recording_info(root, episode, sha256(content + b"".join(digests)).hexdigest()),
        _moments(rows, names, texts, video, begin, root),
        {str(name): float(value) for name, value in episode.about.get("outcome", {}).items()},
    )


def _begins(stated: Sequence[float], lengths: Sequence[int], video: VideoReader, root: Path) -> list[int]:
    """The first picture of each episode of a video, in order.

    They lie side by side. The times that a data set states drift away from that, by what the end of every episode was
    rounded to, so they count only where the video holds more than these episodes.
    """
    begins = [round(begin) for begin in stated]
    if sum(lengths) == video.num_frames:
        return list(accumulate(lengths[:-1], initial=0))
    ends = [begin + length for begin, length in zip(begins, lengths, strict=True)]
    if ends[-1] > video.num_frames:
        raise UserError(f"{video.path} ends before what {root} says of it: it was cut off, fetch it again.")
    is_between = any(abs(begin - at) > _OFF for begin, at in zip(begins, stated, strict=True))
    if is_between or any(end > begin for end, begin in zip(ends, begins[1:], strict=False)):
        raise UserError(
            f"{root} does not say which pictures of {video.path} are whose: its times lie between pictures or overlap."
        )
    return begins


def _moments(
    rows: Mapping[str, Sequence[Any]],
    names: Sequence[str],
    texts: Sequence[str | None],
    video: VideoReader,
    begin: int,
    root: Path,
) -> Iterator[ImportedFrame]:
    executed: Decision | None = None
    num_frames = len(rows[ACTION])
    for first in range(0, num_frames, _CLIP):
        clip = video.clip(begin + first, min(_CLIP, num_frames - first))
        for place, pixels in enumerate(clip, first):
            frame = Frame(pixels, int(rows["frame_time_ns"][place]), place)
            yield ImportedFrame(frame, executed, texts[place])
            with laid_out(f"{root}, row {place} of an episode,", "LeRobot's"):
                executed = _decision(rows, place, names)


def _decision(rows: Mapping[str, Sequence[Any]], place: int, names: Sequence[str]) -> Decision | None:
    if not rows["is_executed_known"][place]:
        return None
    action = action_of(rows[ACTION][place], names)
    if rows["is_by_user"][place]:
        return Decision(action, by_user=True)
    is_labelled = rows["is_user_known"][place]
    return Decision(action, label=action_of(rows["user_action"][place], names) if is_labelled else None)


def _recording_info(root: Path, episode: _Episode, digest: str) -> RecordingInfo:
    """What the recording was of, where the data set says so; else its name and the episode's number."""
    if not episode.about:
        of = recording_id("lerobot", digest)
        return new_info(root.resolve().name, "", FPS, id=of, user="human", created_s=0, os="")
    where, known = f"{root}, episode {episode.number},", {field.name for field in fields(RecordingInfo)}
    facts = {name: value for name, value in episode.about.items() if name in known}
    try:
        info = typed(RecordingInfo, facts)
    except UserError as error:
        raise UserError(f"{where} does not say what it is of ({error}): leave it out.") from error
    return replace(info, id=SafeName(info.id, where), fps=episode.fps)


def _read_info(root: Path) -> dict[str, Any]:
    try:
        info: dict[str, Any] = parse_json(read_regular(resolve_inside(root, INFO_PATH), _MOST_INFO_BYTES))
        version, fps = str(info["codebase_version"]), float(info["fps"])
    except FileNotFoundError as error:
        raise UserError(f"{root} holds no {INFO_PATH}: give the folder of a LeRobot data set.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{root / INFO_PATH} is damaged: fetch the data set again.") from error
    if not version.startswith("v3"):
        raise UserError(f"{root} has the version {version[:40]!r}: convert it to v3.0 with LeRobot's own script first.")
    problem = rate_problem(fps)
    if problem is not None:
        raise UserError(f"{root}: {problem}")
    return info


def _names(info: Mapping[str, Any], root: Path) -> Sequence[str]:
    """The names of the numbers of an action."""
    action = info["features"].get(ACTION)
    names = action.get("names") if isinstance(action, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{root} does not name the numbers of its actions: only keyboard, mouse and gamepad can be read."
        )
    unknown = next((name for name in names if name not in ACTION_NAMES), None)
    if unknown is not None:
        raise UserError(
            f"{root}: its actions have {unknown[:40]!r}, which is nothing that keyboard, mouse or gamepad do."
        )
    return names


def _picture(info: Mapping[str, Any], root: Path) -> str:
    videos = [name for name, of in info["features"].items() if of.get("dtype") == "video"]
    if not videos:
        raise UserError(f"{root} has no videos: data sets of single images cannot be imported.")
    return PICTURE if PICTURE in videos else str(videos[0])


def _read_tasks(root: Path) -> dict[int, str]:
    """The instructions by their number."""
    tasks = {}
    for row in _rows(root, TASKS_PATH):
        number = row.pop("task_index")
        tasks[number] = next(iter(row.values()))  # its name differs between versions
    return tasks


def _read_episodes(root: Path, picture: str) -> list[dict[str, Any]]:
    names = [f"{place}/{name}" for place in ("data", f"videos/{picture}") for name in ("chunk_index", "file_index")]
    names += ["episode_index", "length", f"videos/{picture}/from_timestamp", EPISODE_INFO]
    paths = sorted((root / "meta/episodes").glob("*/*.parquet"))
    episodes = [row for path in paths for row in _rows(root, path.relative_to(root).as_posix(), names)]
    if not episodes:
        raise UserError(f"{root} holds no table of episodes: fetch it again.")
    return episodes


def _read_rows(episode: _Episode) -> dict[str, list[Any]]:
    """The columns of an episode; those of ours that are missing say that a person did everything."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in _rows(episode.data.parent, episode.data.name, (*_CONTENT, *_NUMBERS), episode.number):
        for name, value in row.items():
            found[name].append(value)
        if len(found["frame_index"]) > episode.length:
            break
    if found["frame_index"] != list(range(episode.length)):
        raise UserError(f"{episode.data} does not hold the {episode.length} frames of episode {episode.number}.")
    times = [round(frame * SECOND_NS / episode.fps) for frame in range(episode.length)]
    missing: dict[str, list[Any]] = {name: [True] * episode.length for name in _FLAGS}
    rows = missing | {"frame_time_ns": times, "user_action": found[ACTION]} | dict(found)
    for name in (ACTION, "user_action"):  # a vector of one number is a plain column
        rows[name] = [value if isinstance(value, list) else [value] for value in rows[name]]
    return rows


def _rows(
    root: Path, name: str, columns: Sequence[str] | None = None, episode: int | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, read some at a time: a few kilobytes of it can stand for gigabytes.

    Args:
        root: the folder of the data set.
        name: of the file in it.
        columns: those to read, if they are there; None: all.
        episode: only the rows of this one; None: all.
    """
    path = resolve_inside(root, name)
    try:
        schema = pq.ParquetFile(path).schema
        leaves = [schema.column(number) for number in range(len(schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]  # each text is kept once
        file = pq.ParquetFile(path, read_dictionary=texts)
        if file.metadata.num_rows > MAX_FRAMES:
            raise UserError(f"{path} holds more than {MAX_FRAMES:,} rows: make smaller files of it.")
        num_bytes = 0
        facts = map(file.metadata.row_group, range(file.num_row_groups))
        groups = [number for number, group in enumerate(facts) if _may_hold(group, columns, episode)]
        for batch in file.iter_batches(_BATCH_ROWS, groups, columns, use_threads=False):
            longest, all_text = _lengths(batch)
            num_bytes += all_text
            if batch.nbytes > _MOST_BATCH_BYTES or longest > _MOST_TEXT_BYTES or num_bytes > _MOST_TABLE_TEXT_BYTES:
                raise UserError(f"{path} holds longer vectors or more text than a data set needs: leave it out.")
            is_mine = None if episode is None else pc.equal(batch.column("episode_index"), episode)
            yield from (batch if is_mine is None else batch.filter(is_mine)).to_pylist()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: fetch the data set again.") from error
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is damaged or cut off: fetch the data set again.") from error


def _lengths(batch: pa.RecordBatch) -> tuple[int, int]:
    """Bytes of the longest text in a batch, of which each is kept once, and of all its texts."""
    longest = total = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and len(column.dictionary):
            lengths = pc.binary_length(column.dictionary)
            longest = max(longest, pc.max(lengths).as_py() or 0)
            total += pc.sum(lengths.take(column.indices)).as_py() or 0
        elif "dictionary" in str(column.type):
            raise pa.ArrowInvalid("lists of texts")
    return longest, total


def _may_hold(group: Any, names: Sequence[str] | None, episode: int | None) -> bool:
    """Whether a row group may hold rows of an episode, and what is read of its rows is of a size to be read."""
    columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
    for path, column in columns.items():
        is_read = names is None or any(path == name or path.startswith(f"{name}.") for name in names)
        if is_read and column.num_values > _MOST_VALUES * max(1, group.num_rows):
            raise pa.ArrowInvalid("rows of too many values")
    known = columns["episode_index"].statistics if "episode_index" in columns else None
    return episode is None or known is None or not known.has_min_max or known.min <= episode <= known.max
