"""Open World Agents' desktop recordings (`ocap`): `OwaImporter` reads NAME.mcap with the video that it refers to.

Layout: github.com/open-world-agents/open-world-agents, "OWAMcap format guide", messages of version 0.3.2 to 0.6. The
.mcap holds JSON messages with times in ns: what was pressed, moved and turned, and for every captured picture when it
was taken and where in the video (.mkv) it is. This module finds the messages and the pictures; `owa_input.py` turns
events into Actions.
"""

from __future__ import annotations

import heapq
import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from eyehand.clock import FPS, SECOND_NS
from eyehand.errors import UserError
from eyehand.foreign import open_regular, parse_json
from eyehand.formats.foreign_video import Picture, pictures_of
from eyehand.formats.found_files import as_on_disk, file_digest, files_named, found_file
from eyehand.formats.importing import ImportedFrame, Take, recording_id
from eyehand.formats.owa_input import OwaInput, is_raw_motion
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.writer import new_info

if TYPE_CHECKING:
    from mcap.records import Chunk, Message

__all__ = ["OwaImporter"]

_TICK_NS = round(SECOND_NS / FPS)
_DISORDER_NS = 2 * SECOND_NS
"""How much later than it was taken a picture was noted at most; times from another clock are not believed."""

_TOLERANCE_NS = 2_000_000
"""Matroska's times are whole milliseconds, those of the messages are not."""

_SILENCE_NS = 10 * SECOND_NS
"""States are noted every second: a longer silence than this means that the computer slept or its clock was set."""

_STILL_NS = 300 * SECOND_NS
"""No picture is noted while nothing changes; one is shown no longer than this."""

_MOST_CHUNK_BYTES = 16 << 20  # decompressed; the writers of the format begin a new chunk after one MiB
_MOST_WAITING_BYTES = 8 << 20  # of messages that are not in order yet
_MESSAGE_BYTES = 32  # of a message besides its content
_MOST_GROWTH = 200  # of all chunks, when they are decompressed, beyond the first of this size

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
        "Changed: ten seconds without any message (the computer slept), a clock that is set back, and five minutes "
        "without a picture end a recording; what is noted next begins the next one.",
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
        path = found_file(Path(source), self._paths)
        digest = file_digest(path)
        with _Bounded(open_regular(path).detach()) as file:
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
                pictures = _Pictures(path, self._paths)
                yield Take(info, _moments(file, path, stretch, pictures, notes), notes=notes)


class _Bounded(io.BufferedReader):
    """A file that makes room for what is in it, and not for what is asked of it: a damaged length may say anything."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        return super().read(left if size is None or size < 0 else max(0, min(size, left)))


@dataclass
class _Stretch:
    """Messages without a long silence between them.

    Attributes:
        first, last: places in the file of the first and the last: chunk, and message in it.
        begin_ns: time of the first.
        end_ns: time of the newest.
        pictured_ns: when the newest picture was noted; None: there is none yet.
        kinds: of all.
        has_raw_motion: raw motion of a mouse is among them; other raw events hold places on the screen.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    begin_ns: int
    end_ns: int
    pictured_ns: int | None = None
    kinds: set[str] = field(default_factory=set)
    has_raw_motion: bool = False


@dataclass(frozen=True, order=True)
class _Message:
    """A message: when, in which place, of what kind, and what it says in how many bytes."""

    time_ns: int
    place: tuple[int, int]
    kind: str
    data: dict[str, Any]
    num_bytes: int


def _stretches(file: BinaryIO, path: Path) -> list[_Stretch]:
    """The stretches that refer to pictures."""
    found: list[_Stretch] = []
    try:
        for place, kind, message in _records(file, path):
            time_ns, is_picture = message.log_time, kind in _FRAME_TYPES
            newest = found[-1] if found else None
            if newest is None or _is_apart(newest, time_ns, is_picture):
                newest = _Stretch(place, place, time_ns, time_ns)
                found.append(newest)
            newest.last = place
            newest.end_ns = max(newest.end_ns, time_ns)
            newest.kinds.add(kind)
            if is_picture:
                newest.pictured_ns = max(newest.pictured_ns or time_ns, time_ns)
            if kind == "RawMouseEvent" and not newest.has_raw_motion:
                newest.has_raw_motion = is_raw_motion(parse_json(message.data))
    except _signs_of_damage() as error:
        raise _damaged(path) from error
    found = [stretch for stretch in found if stretch.kinds.intersection(_FRAME_TYPES)]
    if not found:
        raise UserError(f"{path} refers to no pictures: give a recording that ocap made with its video.")
    return found


def _is_apart(stretch: _Stretch, time_ns: int, is_picture: bool) -> bool:
    """Whether a message is noted so long after a stretch, or before its end, that it begins the next one."""
    is_still = is_picture and stretch.pictured_ns is not None and time_ns - stretch.pictured_ns > _STILL_NS
    return is_still or not -_DISORDER_NS <= time_ns - stretch.end_ns <= _SILENCE_NS


def _records(
    file: BinaryIO, path: Path, chunks: tuple[int, int] | None = None
) -> Iterator[tuple[tuple[int, int], str, Message]]:
    """The messages of a file in its order, each with its place and its kind; one chunk at a time is in memory.

    Args:
        file: the file.
        path: of it.
        chunks: the first and the last to read; None: all.

    Raises:
        UserError: they take much more memory than their bytes are worth, or there are none.
    """
    from mcap.data_stream import ReadDataStream
    from mcap.reader import make_reader
    from mcap.records import Chunk, Message
    from mcap.stream_reader import breakup_chunk

    file.seek(0)
    summary = make_reader(file).get_summary()
    if summary is None or not summary.chunk_indexes:
        raise _damaged(path)
    left = _MOST_CHUNK_BYTES + _MOST_GROWTH * file.seek(0, io.SEEK_END)
    for number, offset in enumerate(sorted(index.chunk_start_offset for index in summary.chunk_indexes)):
        if chunks is not None and not chunks[0] <= number <= chunks[1]:
            continue
        file.seek(offset + 9)  # after the kind of the record and its length
        chunk = Chunk.read(ReadDataStream(file))
        chunk.data, chunk.compression = _expanded(chunk), ""
        left -= len(chunk.data)
        if len(chunk.data) > _MOST_CHUNK_BYTES or left < 0:
            raise UserError(f"{path} grows too large when it is decompressed: leave it out.")
        for row, record in enumerate(breakup_chunk(chunk, validate_crc=True)):
            if isinstance(record, Message):
                schema = summary.schemas.get(summary.channels[record.channel_id].schema_id)
                yield (number, row), _kind(schema.name) if schema is not None else "", record


def _expanded(chunk: Chunk) -> bytes:
    """What a chunk holds, decompressed; of one that is too large somewhat more than the limit."""
    import lz4.frame
    import zstandard

    openers = {"zstd": zstandard.open, "lz4": lz4.frame.open}
    if chunk.compression not in openers:
        return chunk.data
    with openers[chunk.compression](io.BytesIO(chunk.data), "rb") as expanded:
        return bytes(expanded.read(_MOST_CHUNK_BYTES + 1))


def _kind(schema_name: str) -> str:
    """`desktop/KeyboardEvent`, or `owa.env.desktop.msg.KeyboardEvent` as it was until 0.3, is a KeyboardEvent."""
    return schema_name.replace("/", ".").rpartition(".")[2]


def _messages(file: BinaryIO, path: Path, stretch: _Stretch) -> Iterator[_Message]:
    """Its messages in the order of time. A picture counts from when it was taken, not from when that was noted."""
    waiting: list[_Message] = []
    num_bytes = 0
    try:
        for place, kind, message in _records(file, path, (stretch.first[0], stretch.last[0])):
            if not kind or not stretch.first <= place <= stretch.last:
                continue
            data = parse_json(message.data)
            if not isinstance(data, dict):
                raise ValueError("no JSON object")
            time_ns = message.log_time
            if kind in _FRAME_TYPES:
                time_ns = max(time_ns - _DISORDER_NS, min(time_ns, int(data.get("utc_ns") or time_ns)))
            heapq.heappush(waiting, _Message(time_ns, place, kind, data, len(message.data)))
            num_bytes += len(message.data) + _MESSAGE_BYTES
            if num_bytes > _MOST_WAITING_BYTES:
                raise UserError(f"{path} holds more messages within two seconds than any recorder notes: leave it out.")
            while waiting[0].time_ns < message.log_time - _DISORDER_NS:
                oldest = heapq.heappop(waiting)
                num_bytes -= oldest.num_bytes + _MESSAGE_BYTES
                yield oldest
    except _signs_of_damage() as error:
        raise _damaged(path) from error
    while waiting:
        yield heapq.heappop(waiting)


def _signs_of_damage() -> tuple[type[Exception], ...]:
    """What mcap and its decompressors raise on a file that is damaged."""
    from mcap.exceptions import McapError
    from zstandard import ZstdError

    return McapError, ZstdError, struct.error, ValueError, EOFError, RuntimeError  # lz4 raises RuntimeError


def _moments(
    file: BinaryIO, path: Path, stretch: _Stretch, pictures: _Pictures, notes: list[str]
) -> Iterator[ImportedFrame]:
    state = OwaInput(has_raw_motion=stretch.has_raw_motion, has_clicks="MouseEvent" in stretch.kinds)
    newest: tuple[str, int] | None = None
    next_ns = num_ticks = num_repeated = 0
    last_ns = stretch.end_ns if stretch.pictured_ns is None else stretch.pictured_ns + _STILL_NS
    shown: tuple[str, int] | None = None
    for message in _messages(file, path, stretch):
        if message.time_ns > last_ns:
            break
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
    """Finds pictures by their time in the video, going forward only, in one video after another.

    Args:
        path: of the .mcap.
        given: the paths that the user gave.
    """

    def __init__(self, path: Path, given: Sequence[Path]) -> None:
        self._path = path
        self._given = given
        self._name: str | None = None
        self._before: set[str] = set()
        self._rest: Iterator[Picture] = iter(())
        self._current: Picture | None = None
        self._next: Picture | None = None

    def at(self, name: str, pts_ns: int) -> Picture:
        """The picture shown at this time; the last one where the video ended less than a second before."""
        if name != self._name:
            if name in self._before:
                raise UserError(
                    f"{self._path} goes from one video to another and back, as ocap never does: leave it out."
                )
            self._before.add(name)
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
        return found_file(as_on_disk(self._path.parent / plain), self._given)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is no .mcap file, or it is damaged or cut off: fetch it again or leave it out.")
