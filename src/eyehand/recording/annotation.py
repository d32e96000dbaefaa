"""Reads `annotation.proto` files, whole, cut off, or damaged: `read_annotation`, `parse_annotation`.

A file that ends within a message was cut off by a crash; everything before is good. Anything else that does not parse
is damage, and never becomes an empty or shorter recording in silence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError

from eyehand.errors import UserError, unreadable
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.file_range import FileRange
from eyehand.recording.format import FINISHED, STARTED

__all__ = ["Annotation", "parse_annotation", "read_annotation"]

_LENGTH_DELIMITED = 2
_HIGHEST_FIELD = 64  # of VideoAnnotation, with room for what P2P may add; beyond it the bytes are garbage


@dataclass(frozen=True)
class Annotation:
    """A parsed annotation file.

    Attributes:
            message: the VideoAnnotation.
        is_truncated: the file ends within a message (which is left out).
        is_ours: written by eyehand, so that a finished file has a closing message.
        num_frames_promised: frames stated by the closing message; None where there is none.
        seed: of the episode; None: not stated.
        outcome: facts at the end of the episode (`score`...); empty: not stated.
    """

    message: pb.VideoAnnotation
    is_truncated: bool
    is_ours: bool = False
    num_frames_promised: int | None = None
    seed: int | None = None
    outcome: dict[str, float] = field(default_factory=dict)

    @property
    def is_cut_off(self) -> bool:
        """Whether the recorder stopped (crash, full disk) before the closing message."""
        return self.is_truncated or (self.is_ours and self.num_frames_promised is None)


def read_annotation(path: Path | FileRange) -> Annotation:
    """Parse an annotation file.

    Raises:
        UserError: missing, unreadable, empty, garbage, or damaged before its end.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: this folder is no recording, or an incomplete one.") from error
    except OSError as error:
        raise unreadable(path, error) from error
    return parse_annotation(data, path)


def parse_annotation(data: bytes, path: Path | FileRange) -> Annotation:
    """Parse the bytes of an annotation file; error messages name `path`.

    Raises:
        UserError: it is empty, garbage, or damaged before its end.
    """
    whole = _length_of_whole_messages(data)
    if whole is None:
        raise _damaged(path, "it holds bytes that are no annotations")
    try:
        message = pb.VideoAnnotation.FromString(data[:whole])
    except DecodeError as error:
        raise _damaged(path, "it holds bytes that are no annotations") from error
    if not message.frame_annotations and not any(change.change_id == STARTED for change in message.changelog):
        raise _damaged(path, "it holds no frames")
    return _with_notes(path, message, is_truncated=whole < len(data))


def _damaged(path: Path | FileRange, what: str) -> UserError:
    return UserError(f"{path} is damaged ({what}): remove this recording or restore the file.")


def _with_notes(path: Path | FileRange, message: pb.VideoAnnotation, is_truncated: bool) -> Annotation:
    """Add what eyehand's own entries in the change log state: number of frames, seed, outcome."""
    notes: dict[str, dict[str, object]] = {}
    for change in message.changelog:
        if change.change_id in (STARTED, FINISHED):
            try:
                facts = json.loads(change.change_description)
            except ValueError as error:
                raise _damaged(path, f"its note {change.change_id} is no JSON") from error
            if not isinstance(facts, dict):
                raise _damaged(path, f"its note {change.change_id} is no JSON object")
            notes[change.change_id] = facts
    seed = notes.get(STARTED, {}).get("seed")
    finished = notes.get(FINISHED, {})
    num_frames, outcome = finished.get("num_frames"), finished.get("outcome")
    return Annotation(
        message,
        is_truncated,
        is_ours=STARTED in notes,
        num_frames_promised=num_frames if isinstance(num_frames, int) else None,
        seed=seed if isinstance(seed, int) else None,
        outcome={key: float(value) for key, value in outcome.items()} if isinstance(outcome, dict) else {},
    )


def _length_of_whole_messages(data: bytes) -> int | None:
    """Bytes of the complete fields at the start; None if what follows them is not the beginning of a field."""
    position = 0
    while position < len(data):
        tag, after_tag = _varint(data, position)
        if tag is None:
            return position if after_tag == len(data) else None
        number, kind = tag >> 3, tag & 7
        if not 1 <= number <= _HIGHEST_FIELD:
            return None
        value, after = _varint(data, after_tag)
        if value is None:
            return position if after == len(data) else None
        if kind == _LENGTH_DELIMITED:
            after += value
        elif kind != 0:  # VideoAnnotation has no fixed-width fields
            return None
        if after > len(data):
            return position
        position = after
    return position


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
