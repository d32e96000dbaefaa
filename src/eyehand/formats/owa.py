"""Open World Agents' desktop recordings (`ocap`): `OwaImporter` reads NAME.mcap with the video that it refers to.

Layout: github.com/open-world-agents/open-world-agents, "OWAMcap format guide", messages of version 0.3.2 to 0.6. The
.mcap holds JSON messages with times in ns: what was pressed, moved and turned, and for every captured picture when it
was taken and where in the video (.mkv) it is. This module finds the messages and the pictures; `owa_input.py` turns
events into Actions.
"""

from __future__ import annotations

import heapq
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from eyehand.clock import FPS, SECOND_NS
from eyehand.errors import UserError
from eyehand.formats.foreign_video import Picture, pictures_of
from eyehand.formats.importing import ImportedFrame, Take, as_on_disk, file_digest, files_named, recording_id
from eyehand.formats.owa_input import OwaInput, is_raw_motion
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.writer import new_info

if TYPE_CHECKING:
    from mcap.reader import McapReader

__all__ = ["OwaImporter"]

_TICK_NS = round(SECOND_NS / FPS)
_DISORDER_NS = 2 * SECOND_NS
"""How much later than it was taken a picture was noted at most; times from another clock are not believed."""

_TOLERANCE_NS = 2_000_000
"""Matroska's times are whole milliseconds, those of the messages are not."""

_SILENCE_NS = 10 * SECOND_NS
"""States are noted every second: a longer silence than this means that the computer slept."""

_FRAME_TYPES = ("ScreenCaptured", "ScreenEmitted")


class OwaImporter:
    """Reads .mcap files of the profile `owa`.

    Args:
        paths: folders that hold .mcap files at any depth, or .mcap files.
        game: what was played, in the recording's `env`.

    Raises:
        UserError: the package mcap is missing.
    """

    format = "owa"
    losses = (
        "Lost: pictures between ticks; of each twentieth of a second the newest one taken is kept.",
        "Lost: sound, titles and places of windows, and messages of other kinds.",
        "Lost: presses that the keyboard repeats by itself, keys of the numeric pad's digits and media keys.",
        "Lost: what was done before the first picture and after the last tick.",
        "Changed: mouse motion is the raw mouse's where it was recorded; else it is the way of the pointer, which "
        "stands still at the edges of the screen and in games that hold it.",
        "Changed: a silence of more than ten seconds (the computer slept) ends a recording and begins the next one.",
    )

    def __init__(self, paths: Iterable[Path], game: str = "desktop") -> None:
        try:
            import mcap.reader  # noqa: F401  # asked for here, so that the sentence is one
        except ImportError as error:
            raise UserError("Importing OWA needs the package mcap: run `pip install 'eyehand[exchange]'`.") from error
        self._paths = tuple(paths)
        self._game = game

    def sources(self) -> Sequence[str]:
        return files_named(self._paths, ".mcap", "OWA's NAME.mcap, or a folder of them")

    def takes(self, source: str) -> Iterator[Take]:
        path = Path(source)
        digest = file_digest(path)
        with open(path, "rb") as file:
            stretches = _stretches(file, path)
            for number, stretch in enumerate(stretches, 1):
                is_part = len(stretches) > 1
                notes = [f"Part {number} of {len(stretches)}: {path} falls silent between them."] if is_part else []
                info = new_info(
                    self._game,
                    "",
                    FPS,
                    id=recording_id(self.format, digest, *([f"part {number}"] if is_part else [])),
                    user="human",
                    created_s=stretch.begin_ns // SECOND_NS,
                    os="Windows",
                )
                yield Take(info, _moments(file, path, stretch, notes), notes=notes)


@dataclass
class _Stretch:
    """Messages without a long silence between them.

    Attributes:
        begin_ns, end_ns: times of the first and the last.
        kinds: of all.
        has_raw_motion: raw motion of a mouse is among them; other raw events hold places on the screen.
    """

    begin_ns: int
    end_ns: int
    kinds: set[str] = field(default_factory=set)
    has_raw_motion: bool = False


@dataclass(frozen=True, order=True)
class _Message:
    """A message: when, in which place, of what kind, and what it says."""

    time_ns: int
    number: int
    kind: str
    data: dict[str, Any]


def _stretches(file: BinaryIO, path: Path) -> list[_Stretch]:
    """The stretches that refer to pictures."""
    found: list[_Stretch] = []
    try:
        reader = _reader(file)
        if reader.get_summary() is None:
            raise _damaged(path)
        for schema, _, message in reader.iter_messages():
            if not found or message.log_time - found[-1].end_ns > _SILENCE_NS:
                found.append(_Stretch(message.log_time, message.log_time))
            newest = found[-1]
            newest.end_ns = message.log_time
            kind = _kind(schema.name) if schema is not None else ""
            newest.kinds.add(kind)
            if kind == "RawMouseEvent" and not newest.has_raw_motion:
                newest.has_raw_motion = is_raw_motion(json.loads(message.data))
    except _signs_of_damage() as error:
        raise _damaged(path) from error
    found = [stretch for stretch in found if stretch.kinds.intersection(_FRAME_TYPES)]
    if not found:
        raise UserError(f"{path} refers to no pictures: give a recording that ocap made with its video.")
    return found


def _reader(file: BinaryIO) -> McapReader:
    from mcap.reader import make_reader

    file.seek(0)
    return make_reader(file, validate_crcs=True)


def _kind(schema_name: str) -> str:
    """`desktop/KeyboardEvent`, or `owa.env.desktop.msg.KeyboardEvent` as it was until 0.3, is a KeyboardEvent."""
    return schema_name.replace("/", ".").rpartition(".")[2]


def _messages(file: BinaryIO, path: Path, stretch: _Stretch) -> Iterator[_Message]:
    """Its messages in the order of time. A picture counts from when it was taken, not from when that was noted."""
    waiting: list[_Message] = []
    try:
        for number, (schema, _, message) in enumerate(_reader(file).iter_messages()):
            if schema is None or not stretch.begin_ns <= message.log_time <= stretch.end_ns:
                continue
            data = json.loads(message.data)
            if not isinstance(data, dict):
                raise ValueError("no JSON object")
            kind = _kind(schema.name)
            time_ns = message.log_time
            if kind in _FRAME_TYPES:
                time_ns = max(time_ns - _DISORDER_NS, min(time_ns, int(data.get("utc_ns") or time_ns)))
            heapq.heappush(waiting, _Message(time_ns, number, kind, data))
            while waiting[0].time_ns < message.log_time - _DISORDER_NS:
                yield heapq.heappop(waiting)
    except _signs_of_damage() as error:
        raise _damaged(path) from error
    while waiting:
        yield heapq.heappop(waiting)


def _signs_of_damage() -> tuple[type[Exception], ...]:
    """What mcap and its decompressors raise on a file that is damaged."""
    from mcap.exceptions import McapError
    from zstandard import ZstdError

    return McapError, ZstdError, struct.error, ValueError, EOFError, RuntimeError  # lz4 raises RuntimeError


def _moments(file: BinaryIO, path: Path, stretch: _Stretch, notes: list[str]) -> Iterator[ImportedFrame]:
    state = OwaInput(has_raw_motion=stretch.has_raw_motion, has_clicks="MouseEvent" in stretch.kinds)
    pictures = _Pictures(path)
    newest: tuple[str, int] | None = None
    next_ns = num_ticks = num_repeated = 0
    shown: tuple[str, int] | None = None
    for message in _messages(file, path, stretch):
        while newest is not None and message.time_ns > next_ns:
            frame = Frame(pictures.at(*newest).pixels(), next_ns, num_ticks)
            action, events = state.take()
            num_repeated += shown == newest
            shown = newest
            yield ImportedFrame(frame, Decision(action, by_user=True), events=events)
            num_ticks += 1
            next_ns += _TICK_NS
        if message.kind not in _FRAME_TYPES:
            state.see(message.time_ns, message.kind, message.data)
        else:
            if newest is None:
                next_ns = message.time_ns
                state.take()  # of what was done before the first picture only what is held counts
            newest = _place_of(message.data, path)
    notes.extend(state.notes())
    if num_repeated:
        notes.append(f"{num_repeated} of {num_ticks} ticks show the picture before once more: no newer one was taken.")


def _place_of(data: dict[str, Any], path: Path) -> tuple[str, int]:
    """The video and the time in it of a picture, as each version of the format says it."""
    reference = data.get("media_ref") or data
    name = reference.get("uri") or reference.get("path")
    pts_ns = reference.get("pts_ns", reference.get("pts"))
    if not isinstance(name, str) or not isinstance(pts_ns, int):
        raise UserError(
            f"{path} keeps its pictures elsewhere than in a video: only recordings with a video can be read."
        )
    return name, pts_ns


class _Pictures:
    """Finds pictures by their time in the video, going forward only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name: str | None = None
        self._rest: Iterator[Picture] = iter(())
        self._current: Picture | None = None
        self._next: Picture | None = None

    def at(self, name: str, pts_ns: int) -> Picture:
        """The picture shown at this time; the last one where the video ended less than a second before."""
        if name != self._name:
            self._name, self._rest = name, pictures_of(self._file(name))
            self._current = self._next = next(self._rest, None)
        while self._next is not None and self._next.time_ns <= pts_ns + _TOLERANCE_NS:
            self._current, self._next = self._next, next(self._rest, None)
        current = self._current
        if current is None or (self._next is None and pts_ns - current.time_ns > SECOND_NS):
            raise UserError(
                f"{self._file(name)} ends before what {self._path} says of it: it was cut off, fetch it again."
            )
        return current

    def _file(self, name: str) -> Path:
        """A relative path is beside the .mcap; whatever points elsewhere is looked for there by its name alone."""
        parts = urlsplit(name)
        if parts.scheme in ("http", "https", "data"):
            raise UserError(f"{self._path} refers to {name[:60]}: fetch its video and put it beside the .mcap.")
        plain = PurePosixPath(unquote(parts.path) if parts.scheme == "file" else name.replace("\\", "/"))
        if plain.is_absolute() or ".." in plain.parts or ":" in plain.parts[0]:
            plain = PurePosixPath(plain.name)
        return as_on_disk(self._path.parent / plain)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is no .mcap file, or it is damaged or cut off: fetch it again or leave it out.")
