"""The index of an mp4 file: which boxes it is made of, and when each of its pictures is shown, without reading them.

An ordinary mp4 describes all of its pictures in one box (`moov`, ISO/IEC 14496-12). With it a clip of a long video
behind a URL, or inside an archive, costs that box and the bytes of the clip. A fragmented file has no such box (a
recording that was cut off, or is being written): it has to be read through.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Layout", "indexed_times", "is_overstated", "read_index", "read_layout"]

_MAX_INDEX_BYTES = 256 << 20  # of a day at 60 frames per second: garbage claims more
_MAX_BOXES = 1_000_000  # of a day in fragments of half a second: a third of it
_PATH_TO_TABLES = (b"mdia", b"minf", b"stbl")
_CONTAINERS = (b"trak", *_PATH_TO_TABLES, b"edts", b"traf")
_MIN_SAMPLE_BYTES = 4  # of a picture or of sound, with what the tables take for it
_EDIT_BYTES = 12
_MAX_DEPTH = 10  # FFmpeg looks no deeper either


@dataclass(frozen=True)
class Box:
    """A box of an mp4 file, in byte offsets.

    Attributes:
        kind: its four-letter type.
        start: of its header.
        content: of its payload.
        end: of the byte behind it.
    """

    kind: bytes
    start: int
    content: int
    end: int


@dataclass(frozen=True)
class Layout:
    """The outermost boxes of an mp4 file.

    Attributes:
        boxes: the complete ones, in order.
        broken: offset of a box that the end of the file cuts off; None: there is none but one of pictures (mdat).
        size: of the file, in bytes.
    """

    boxes: tuple[Box, ...]
    broken: int | None
    size: int


def read_layout(file: BinaryIO) -> Layout:
    """The outermost boxes of a file; only their headers are read."""
    size = file.seek(0, io.SEEK_END)
    boxes: list[Box] = []
    start = 0
    while start < size:
        if len(boxes) >= _MAX_BOXES:
            return Layout(tuple(boxes), start, size)
        file.seek(start)
        box = _box(file.read(16), start, size)
        if box.kind != b"mdat" and (box.end <= box.start or box.end > size):
            return Layout(tuple(boxes), start, size)
        boxes.append(box)
        start = max(box.end, start + 8)
    return Layout(tuple(boxes), None, size)


def is_overstated(file: BinaryIO, layout: Layout) -> bool:
    """Whether the tables of an mp4 file state more samples than fit into it, or an edit list repeats them too often.

    FFmpeg makes an entry for each before any is read: 45 kB can take 2 GB.
    """
    num_samples = num_entries = 0
    for box in layout.boxes:
        if box.kind not in (b"moov", b"moof"):
            continue
        if box.end - box.content > _MAX_INDEX_BYTES:
            return True
        file.seek(box.content)
        for kind, content in _children(file.read(box.end - box.content)):
            samples, edits = _stated(content) if kind in _CONTAINERS else (0, 0)
            num_samples += samples
            num_entries += samples * max(1, edits)
    return max(num_samples * _MIN_SAMPLE_BYTES, num_entries) > layout.size


def _stated(content: bytes, depth: int = 1) -> tuple[int, int]:
    """Samples that the tables in a track or a fragment of one state, and the number of edits of its edit list."""
    num_samples = num_edits = 0
    for kind, table in _children(content):
        if kind in (b"stsz", b"stz2"):
            num_samples += int.from_bytes(table[8:12], "big")
        elif kind == b"trun":
            num_samples += int.from_bytes(table[4:8], "big")
        elif kind == b"elst":
            num_edits += len(table) // _EDIT_BYTES
        elif kind in _CONTAINERS and depth < _MAX_DEPTH:
            samples, edits = _stated(table, depth + 1)
            num_samples, num_edits = num_samples + samples, num_edits + edits
    return num_samples, num_edits


def read_index(file: BinaryIO, layout: Layout) -> bytes | None:
    """The payload of `moov`; None: the file has none, or is fragmented, or it is too large."""
    index = [box for box in layout.boxes if box.kind == b"moov"]
    is_fragmented = any(box.kind == b"moof" for box in layout.boxes)
    if is_fragmented or len(index) != 1 or index[0].end - index[0].start > _MAX_INDEX_BYTES:
        return None
    file.seek(index[0].content)
    return file.read(index[0].end - index[0].content)


def indexed_times(index: bytes, layout: Layout, container: Any, stream: Any) -> list[int] | None:
    """When each whole picture is shown, sorted, in the stream's time base; None: the file has to be read through.

    Args:
        index: from `read_index`.
        layout: of the same file.
        container, stream: of PyAV, just opened: one packet is read from it.
    """
    delays = _delays(index)
    entries = stream.index_entries
    if delays is None or not len(entries) or len(entries) != len(delays):
        return None
    facts_N4 = np.array([(e.timestamp, e.pos, e.size, e.is_discard) for e in entries], np.int64)
    first = next((packet for packet in container.demux(stream) if packet.pts is not None), None)
    if first is None or first.dts != facts_N4[0, 0] or facts_N4[:, 3].any():
        container.seek(0)
        return None
    whole = facts_N4[:, 1] + facts_N4[:, 2] <= layout.size
    num_whole = len(whole) if whole.all() else int(np.argmin(whole))  # until the file breaks off within a picture
    shown = facts_N4[:, 0] + delays + (first.pts - first.dts - int(delays[0]))
    times: list[int] = np.sort(shown[:num_whole][facts_N4[:num_whole, 2] > 0]).tolist()
    return times


def _delays(moov: bytes) -> NDArray[np.int64] | None:
    """Composition offset (presentation minus decoding time) of each picture of the first video; None: bad table."""
    for track in _inside(moov, b"trak"):
        handler = next((each for media in _inside(track, b"mdia") for each in _inside(media, b"hdlr")), b"")
        if handler[8:12] != b"vide":
            continue
        tables = track
        for kind in _PATH_TO_TABLES:
            tables = next(_inside(tables, kind), b"")
        sizes = next(_inside(tables, b"stsz"), None)
        if sizes is None or len(sizes) < 12:
            return None
        num_pictures = int.from_bytes(sizes[8:12], "big")
        delays = next(_inside(tables, b"ctts"), None)
        if num_pictures > len(moov):  # garbage: every picture takes bytes of the index
            return None
        return np.zeros(num_pictures, np.int64) if delays is None else _expanded(delays, num_pictures)
    return None


def _expanded(ctts: bytes, num_pictures: int) -> NDArray[np.int64] | None:
    """A `ctts` table of (count, offset) as one offset per picture. Signed in either version, as in practice."""
    pairs = np.frombuffer(ctts[8 : 8 + (len(ctts) - 8) // 8 * 8], ">i4").reshape(-1, 2).astype(np.int64)
    pairs = pairs[: int.from_bytes(ctts[4:8], "big")]
    if (pairs[:, 0] < 0).any() or pairs[:, 0].sum() != num_pictures:
        return None
    return np.repeat(pairs[:, 1], pairs[:, 0])


def _inside(content: bytes, kind: bytes) -> Iterator[bytes]:
    """The payloads of the child boxes of one kind."""
    return (payload for each, payload in _children(content) if each == kind)


def _children(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The child boxes, each with its kind and its payload, up to one that makes no sense."""
    start = 0
    while start + 8 <= len(content):
        box = _box(content[start : start + 16], start, len(content))
        if box.end <= start or box.end > len(content):
            return
        yield box.kind, content[box.content : box.end]
        start = box.end


def _box(header: bytes, start: int, size: int) -> Box:
    """A box by its first 16 bytes, in a file or box of `size` bytes. One that makes no sense ends where it starts."""
    length, kind, skip = int.from_bytes(header[:4], "big"), header[4:8], 8
    if length == 1:
        length, skip = int.from_bytes(header[8:16], "big"), 16
    if length == 0:  # to the end
        length = size - start
    return Box(kind, start, start + skip, start + length if length >= skip else start)
