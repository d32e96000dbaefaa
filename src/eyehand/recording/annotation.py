"""Reads `annotation.proto` files, whole, cut off, or damaged: `read_annotation`, `parse_annotation`.

A file that ends within a message was cut off by a crash; everything before is good. Anything else that does not parse
is damage, and never becomes an empty or shorter recording in silence. A message of two bytes takes a hundred in memory,
so the frames are kept as bytes and parsed one by one.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

from google.protobuf.message import DecodeError

from eyehand.errors import UserError, unreadable
from eyehand.foreign import parse_json
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.file_range import FileRange, read_file
from eyehand.recording.format import FINISHED, MAX_FRAMES, STARTED

__all__ = ["Annotation", "FrameAnnotations", "parse_annotation", "read_annotation"]

_MOST_BYTES = 1 << 30  # ten hours at 20 Hz with a mouse of 1000 events per second have 0.9 of it
_MOST_FRAME_BYTES = 1 << 20
_MOST_OTHER_BYTES = 1 << 20  # of what is said of the whole recording
_MOST_FPS = 1000
_LENGTH_DELIMITED = 2
_METADATA, _FRAME, _CHANGE = 2, 3, 8
_HIGHEST_FIELD = 64  # of VideoAnnotation, with room for what P2P may add; beyond it the bytes are garbage


class FrameAnnotations(Sequence[pb.FrameAnnotation]):
    """The annotations of T frames in the bytes of a file, each parsed when it is asked for, every time.

    Args:
        data: of the file.
        bounds: where each begins and ends in it: 2T numbers.
    """

    def __init__(self, data: bytes, bounds: array[int]) -> None:
        self._data = data
        self._bounds = bounds

    def __len__(self) -> int:
        return len(self._bounds) // 2

    @overload
    def __getitem__(self, index: int) -> pb.FrameAnnotation: ...

    @overload
    def __getitem__(self, index: slice) -> FrameAnnotations: ...

    def __getitem__(self, index: int | slice) -> pb.FrameAnnotation | FrameAnnotations:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("annotations are sliced in steps of 1")
            return FrameAnnotations(self._data, self._bounds[2 * start : 2 * stop])
        at = 2 * range(len(self))[index]
        return pb.FrameAnnotation.FromString(self._data[self._bounds[at] : self._bounds[at + 1]])

    def __iter__(self) -> Iterator[pb.FrameAnnotation]:
        bounds = iter(self._bounds)
        for start, end in zip(bounds, bounds, strict=True):
            yield pb.FrameAnnotation.FromString(self._data[start:end])


@dataclass(frozen=True)
class Annotation:
    """A parsed annotation file.

    Attributes:
        metadata: of the recording; its frame rate is 0 (not stated) or 1 to 1000.
        frames: the annotations of its frames.
        is_truncated: the file ends within a message (which is left out).
        is_ours: written by eyehand, so that a finished file has a closing message.
        num_frames_promised: frames stated by the closing message; None where there is none.
        seed: of the episode; None: not stated.
        note: of the person who made it, about the whole.
        outcome: facts at the end of the episode (`score`...), finite; empty: not stated.
        problems: sentences on what looks wrong although it can be used.
    """

    metadata: pb.Metadata
    frames: FrameAnnotations
    is_truncated: bool
    is_ours: bool = False
    num_frames_promised: int | None = None
    seed: int | None = None
    note: str = ""
    outcome: dict[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def is_cut_off(self) -> bool:
        """Whether the recorder stopped (crash, full disk) before the closing message."""
        return self.is_truncated or (self.is_ours and self.num_frames_promised is None)


def read_annotation(path: Path | FileRange, sha256: str | None = None) -> Annotation:
    """Parse an annotation file, of this checksum if one is given.

    Raises:
        UserError: missing, unreadable, too large, another one, empty, garbage, or damaged before its end.
    """
    try:
        data = read_file(path, _MOST_BYTES)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: this folder is no recording, or an incomplete one.") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path} has changed since it was indexed: index the data again.")
    return parse_annotation(data, path)


def parse_annotation(data: bytes, path: Path | FileRange) -> Annotation:
    """Parse the bytes of an annotation file; error messages name `path`.

    Raises:
        UserError: it is empty, garbage, or damaged before its end.
    """
    try:
        bounds, others, whole = _fields(data)
        message = pb.VideoAnnotation.FromString(others)
        frames = FrameAnnotations(data, bounds)
        for _ in frames:  # each of them can be parsed
            pass
    except (DecodeError, _GarbageError) as error:
        what = str(error) if isinstance(error, _GarbageError) else "it holds bytes that are no annotations"
        raise _damaged(path, what) from error
    if not frames and not any(change.change_id == STARTED for change in message.changelog):
        raise _damaged(path, "it holds no frames")
    fps = message.metadata.frames_per_second
    if fps and not 1 <= fps <= _MOST_FPS:
        raise _damaged(path, f"it states {fps:g} frames per second")
    annotation = Annotation(message.metadata, frames, is_truncated=whole < len(data))
    return _with_notes(path, message.changelog, annotation)


def _damaged(path: Path | FileRange, what: str) -> UserError:
    return UserError(f"{path} is damaged ({what}): remove this recording or restore the file.")


def _with_notes(path: Path | FileRange, changelog: Sequence[pb.Change], annotation: Annotation) -> Annotation:
    """Add what eyehand's own entries in the change log state: number of frames, seed, note, outcome."""
    notes: dict[str, dict[str, object]] = {}
    for change in changelog:
        if change.change_id in (STARTED, FINISHED):
            try:
                facts = parse_json(change.change_description)
            except ValueError as error:
                raise _damaged(path, f"its note {change.change_id} is no JSON") from error
            if not isinstance(facts, dict):
                raise _damaged(path, f"its note {change.change_id} is no JSON object")
            notes[change.change_id] = facts
    seed, note = notes.get(STARTED, {}).get("seed"), notes.get(STARTED, {}).get("note")
    finished = notes.get(FINISHED, {})
    num_frames, stated = finished.get("num_frames"), finished.get("outcome")
    stated = stated if isinstance(stated, dict) else {}
    outcome = {key: float(value) for key, value in stated.items() if _is_fact(value)}
    odd = [key for key in stated if key not in outcome]
    return replace(
        annotation,
        is_ours=STARTED in notes,
        num_frames_promised=num_frames if isinstance(num_frames, int) else None,
        seed=seed if isinstance(seed, int) else None,
        note=note if isinstance(note, str) else "",
        outcome=outcome,
        problems=(f"Its outcome {odd[0][:40]!r} is no number and is left out.",) if odd else (),
    )


def _is_fact(value: object) -> bool:
    """Whether it is a number as an outcome has it: finite as a float."""
    return isinstance(value, int | float) and abs(value) < 1e300


class _GarbageError(Exception):
    """The bytes are no annotations: what is wrong."""


def _fields(data: bytes) -> tuple[array[int], bytes, int]:
    """Where the frames' annotations begin and end, the other fields that are read, and how many bytes are whole.

    Raises:
        _GarbageError: what follows the whole fields is not the beginning of one, or it is too much.
    """
    bounds, others = array("Q"), bytearray()
    position, size = 0, len(data)
    tag: int | None
    value: int | None
    while position < size:
        tag, after_tag = data[position], position + 1
        if tag >= 0x80:  # written out: one byte each is nearly all that there is
            tag, after_tag = _varint(data, position)
        if tag is None:
            value, after = None, after_tag
        elif after_tag < size and data[after_tag] < 0x80:
            value, after = data[after_tag], after_tag + 1
        else:
            value, after = _varint(data, after_tag)
        number, kind = (tag or 0) >> 3, (tag or 0) & 7
        is_garbage = tag is not None and not (1 <= number <= _HIGHEST_FIELD and kind in (0, _LENGTH_DELIMITED))
        if is_garbage or (value is None and after != len(data)):  # VideoAnnotation has no fixed-width fields
            raise _GarbageError("it holds bytes that are no annotations")
        if value is None:
            break
        start, end = after, after + value if kind == _LENGTH_DELIMITED else after
        if end > len(data):
            break
        if number == _FRAME:
            if kind != _LENGTH_DELIMITED or value > _MOST_FRAME_BYTES or len(bounds) >= 2 * MAX_FRAMES:
                raise _GarbageError("it describes frames of another kind, too large ones, or too many")
            bounds.extend((start, end))
        elif number in (_METADATA, _CHANGE):
            others += data[position:end]
            if len(others) > _MOST_OTHER_BYTES:
                raise _GarbageError(f"it holds more than {_MOST_OTHER_BYTES:,} bytes besides its frames")
        position = end
    return bounds, bytes(others), position


def _varint(data: bytes, position: int) -> tuple[int | None, int]:
    """A base-128 number and the position after it; None if the data end within it or it is longer than 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            return None, len(data)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    return None, -1
