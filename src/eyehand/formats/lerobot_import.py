"""LeRobot data sets, version 3.0, as recordings: `LerobotImporter`.

Reads what `lerobot_export.py` writes, exactly where actions, times and instructions are concerned, and any other data
set of 20 frames a second whose actions are named as ours are. Where the features of ours are missing, everything is
taken as done by a person. See `lerobot_layout.py`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eyehand.clock import FPS, SECOND_NS
from eyehand.errors import UserError
from eyehand.formats.importing import ImportedFrame, Take, laid_out, recording_id
from eyehand.formats.lerobot_export import EPISODE_INFO
from eyehand.formats.lerobot_layout import ACTION, ACTION_NAMES, INFO_PATH, PICTURE, TASKS_PATH, action_of
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.labels import rate_problem
from eyehand.recording.video import VideoReader
from eyehand.recording.writer import new_info
from eyehand.safe_path import SafeName

__all__ = ["LerobotImporter"]

_CLIP = 64

_FLAGS = ("is_executed_known", "is_by_user", "is_user_known")
_CONTENT = (ACTION, "user_action", "frame_time_ns", *_FLAGS)
"""Columns that a recording is made of."""

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
        for path in self._paths:
            if not (path / INFO_PATH).is_file():
                raise UserError(f"{path} holds no {INFO_PATH}: give the folder of a LeRobot data set.")
        return [str(path) for path in self._paths]

    def takes(self, source: str) -> Iterator[Take]:
        root = Path(source)
        info = _read_info(root)
        names = _names(info, root)
        picture = _picture(info, root)
        tasks = {row["task_index"]: row["task"] for row in _read_tasks(root)}
        place = f"videos/{picture}"
        by_video: dict[Path, list[dict[str, Any]]] = defaultdict(list)
        for episode in sorted(_read_episodes(root), key=lambda episode: episode[f"{place}/from_timestamp"]):
            numbers = {name: episode[f"{place}/{name}"] for name in ("chunk_index", "file_index")}
            by_video[_file(root, info["video_path"], video_key=picture, **numbers)].append(episode)
        for path, episodes in by_video.items():
            with closing(VideoReader(path)) as video:
                digests = [sha256(packet).digest() for packet in video.packets()[1]]
                stated = [episode[f"{place}/from_timestamp"] * info["fps"] for episode in episodes]
                begins = _begins(stated, [episode["length"] for episode in episodes], video, root)
                for episode, begin in zip(episodes, begins, strict=True):
                    rows = _read_rows(root, info, episode)
                    about = json.loads(episode.get(EPISODE_INFO) or "{}")
                    texts = [tasks[number] or None for number in rows["task_index"]]
                    content = json.dumps([names, texts, *(rows[name] for name in _CONTENT)]).encode()
                    digest = sha256(content + b"".join(digests[begin : begin + len(texts)])).hexdigest()
                    yield Take(
                        _recording_info(root, episode["episode_index"], digest, about),
                        _moments(rows, names, texts, video, begin, root),
                        {name: float(value) for name, value in about.get("outcome", {}).items()},
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


def _recording_info(root: Path, episode: int, digest: str, about: Mapping[str, Any]) -> RecordingInfo:
    """What the recording was of, where the data set says so; else its name and the episode's number."""
    known = {field.name for field in fields(RecordingInfo)}
    if about:
        facts = {name: value for name, value in about.items() if name in known}
        facts["tasks"] = tuple(facts.get("tasks", ()))
        with laid_out(f"{root}, episode {episode},", "LeRobot's"):
            facts["id"] = SafeName(facts["id"], f"{root}, episode {episode},")
            return RecordingInfo(**facts)
    of = recording_id("lerobot", digest)
    return new_info(root.resolve().name, "", FPS, id=of, user="human", created_s=0, os="")


def _read_info(root: Path) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads((root / INFO_PATH).read_text())
        version, fps = str(info["codebase_version"]), float(info["fps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{root / INFO_PATH} is damaged: fetch the data set again.") from error
    if not version.startswith("v3"):
        raise UserError(f"{root} has the version {version}: convert it to v3.0 with LeRobot's own script first.")
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
        raise UserError(f"{root}: its actions have {unknown!r}, which is nothing that keyboard, mouse or gamepad do.")
    return names


def _picture(info: Mapping[str, Any], root: Path) -> str:
    videos = [name for name, of in info["features"].items() if of.get("dtype") == "video"]
    if not videos:
        raise UserError(f"{root} has no videos: data sets of single images cannot be imported.")
    return PICTURE if PICTURE in videos else str(videos[0])


def _read_tasks(root: Path) -> list[dict[str, Any]]:
    table = _read_table(root / TASKS_PATH)
    other = next(name for name in table.column_names if name != "task_index")  # its name differs between versions
    rows: list[dict[str, Any]] = table.rename_columns({other: "task"}).select(["task_index", "task"]).to_pylist()
    return rows


def _read_episodes(root: Path) -> list[dict[str, Any]]:
    episodes = []
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        table = _read_table(path)
        episodes += table.select([name for name in table.column_names if not name.startswith("stats/")]).to_pylist()
    if not episodes:
        raise UserError(f"{root} holds no table of episodes: fetch it again.")
    return episodes


def _read_rows(root: Path, info: Mapping[str, Any], episode: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """The columns of an episode; those of ours that are missing say that a person did everything."""
    numbers = {name: episode[f"data/{name}"] for name in ("chunk_index", "file_index")}
    path = _file(root, info["data_path"], **numbers)
    table = _read_table(path, [("episode_index", "=", episode["episode_index"])])
    if len(table) != episode["length"] or table.column("frame_index").to_pylist() != list(range(len(table))):
        raise UserError(f"{path} does not hold the {episode['length']} frames of episode {episode['episode_index']}.")
    rows: dict[str, Sequence[Any]] = {name: table.column(name).to_pylist() for name in table.column_names}
    num_frames = len(table)
    rows.setdefault("frame_time_ns", [round(frame * SECOND_NS / float(info["fps"])) for frame in rows["frame_index"]])
    for flag in _FLAGS:
        rows.setdefault(flag, [True] * num_frames)
    rows.setdefault("user_action", rows[ACTION])
    for name in (ACTION, "user_action"):  # a vector of one number is a plain column
        rows[name] = [value if isinstance(value, list) else [value] for value in rows[name]]
    return rows


def _file(root: Path, pattern: str, **names: Any) -> Path:
    """A file of the data set, by the pattern of `info.json`, which comes from outside."""
    name = pattern.format(**names)
    if name.startswith("/") or ".." in name.split("/"):
        raise UserError(f"{root} names the file {name!r}, which is outside of it: do not trust it.")
    return root / name


def _read_table(path: Path, filters: list[tuple[str, str, Any]] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, filters=filters)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: fetch the data set again.") from error
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is damaged or cut off: fetch the data set again.") from error
