"""Edits of recordings: `edited` makes new ones of pieces of others; what they were made of is never written to.

A piece is encoded anew. Where whole recordings only get another instruction, mark or note, their videos are copied. The
copies lie in a hidden folder until all of them are whole; then the originals move to `.removed` beside them
(`removed.py`) and the copies take their places, unless they are to lie elsewhere.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.frame import MODEL_SIZE, Frame
from eyehand.player import Decision
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.format import CAPTURED_FILE, SMALL_FILE, RecordingInfo, action_from_message
from eyehand.recording.reader import Recording
from eyehand.recording.removed import set_aside
from eyehand.recording.writer import RecordingWriter

__all__ = ["EDITED", "Change", "Piece", "edited"]

EDITED = "eyehand.edited"
"""Change id of the entry that says what a recording was made of; its description is JSON with `pieces`."""

_CLIP = 64


@dataclass(frozen=True)
class Piece:
    """Frames `start` to `stop` of a recording; `stop` None: up to its end."""

    path: Path
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Change:
    """What is said anew about a recording; None: nothing.

    Attributes:
        instruction: of all its frames; empty: none.
        success: of the episode, kept as `success` in its outcome.
        note: for its title.
    """

    instruction: str | None = None
    success: bool | None = None
    note: str | None = None


def edited(
    made_of: Sequence[Sequence[Piece]], change: Change, out: Path | None = None
) -> tuple[list[Path], list[Path]]:
    """Make one recording of each sequence of pieces.

    Args:
        made_of: not empty, nor are its pieces.
        change: to all of them.
        out: where they are put, and the originals stay; None: in the originals' places.

    Returns:
        The new recordings, and where the originals lie now.

    Raises:
        UserError: a recording cannot be read, pieces do not fit together, or nothing can be written. Then nothing has
            changed.
    """
    originals = list(dict.fromkeys(piece.path for pieces in made_of for piece in pieces))
    home = originals[0].parent if out is None else out
    with contextlib.ExitStack() as stack:
        for folder in {path.parent for path in originals} if out is None else ():
            stack.enter_context(alone_in(folder, "data edit"))  # one that is being recorded is not whole
        making = stack.enter_context(_making(home))
        made = [
            _make(making, pieces, change, f"-{number}" if len(made_of) > 1 else "")
            for number, pieces in enumerate(made_of, start=1)
        ]
        targets = {home / path.name for path in made} - set(originals if out is None else ())
        if any(target.exists() for target in targets):
            raise UserError(f"{home} holds a recording of this name already: give another folder as --out.")
        aside: list[Path] = []
        try:
            for path in originals if out is None else ():
                aside.append(set_aside(path))
            return [path.rename(home / path.name) for path in made], aside
        except BaseException:
            for original, path in zip(originals, aside, strict=False):
                path.rename(original)
            raise


@contextlib.contextmanager
def _making(home: Path) -> Iterator[Path]:
    """A hidden folder there, removed at the end."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".editing-", dir=home))
    except OSError as error:
        raise UserError(f"Cannot write to {home} ({error.strerror}): give another folder as --out.") from error
    try:
        yield making
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _make(root: Path, pieces: Sequence[Piece], change: Change, ending: str) -> Path:
    with contextlib.ExitStack() as stack:
        read = [stack.enter_context(Recording.open(piece.path)) for piece in pieces]
        ranges = [_range(piece, recording) for piece, recording in zip(pieces, read, strict=True)]
        _check_alike(read)
        height = _captured(read[0], 0, 1).shape[1]
        info = _info(read[0], ranges[0], change, ending)
        is_whole = len(read) == 1 and ranges[0] == (0, read[0].num_frames) and not read[0].is_cut_off
        with (_Annotated if is_whole else RecordingWriter)(root, info, lines=height) as writer:
            if is_whole:
                for name in (CAPTURED_FILE, SMALL_FILE):
                    if (read[0].path / name).exists():
                        shutil.copyfile(read[0].path / name, writer.path / name)
            offset_ns = 0
            for recording, (start, stop) in zip(read, ranges, strict=True):
                offset_ns = _add(writer, recording, start, stop, change, offset_ns, with_pictures=not is_whole)
            said = [[recording.info.id, *bounds] for recording, bounds in zip(read, ranges, strict=True)]
            writer.note(EDITED, {"pieces": said})
            is_to_the_end = ranges[-1][1] == read[-1].num_frames
            outcome = dict(read[-1].outcome) if is_to_the_end else {}
            writer.close(outcome if change.success is None else {**outcome, "success": float(change.success)})
        Recording.open(writer.path).close()
        return writer.path


class _Annotated(RecordingWriter):
    """Writes the annotation only."""

    def _write(self, frame: Frame, message: pb.FrameAnnotation) -> None:
        self._append(pb.VideoAnnotation(frame_annotations=[message]))


def _range(piece: Piece, recording: Recording) -> tuple[int, int]:
    has_captured = (recording.path / CAPTURED_FILE).is_file()
    num_frames = recording.num_captured if has_captured and recording.is_cut_off else recording.num_frames
    stop = num_frames if piece.stop is None else min(piece.stop, num_frames)
    if not 0 <= piece.start < stop:
        raise UserError(
            f"{piece.path} has {num_frames / recording.fps:.2f} s: give times within it, the earlier one first."
        )
    return piece.start, stop


def _check_alike(read: Sequence[Recording]) -> None:
    """Refuse to join what a person would not take for one recording."""
    kinds = {(each.info.env, each.info.env_subtype, each.fps, _captured(each, 0, 1).shape) for each in read}
    if len(kinds) > 1:
        raise UserError("Only recordings of one game, rate and size of the picture can be merged: leave one out.")


def _info(first: Recording, bounds: tuple[int, int], change: Change, ending: str) -> RecordingInfo:
    info = first.info
    created_s = info.created_s and info.created_s + round(bounds[0] / first.fps)
    note = info.note if change.note is None else change.note
    return replace(info, id=f"{info.id or first.path.name}{ending}", created_s=created_s, note=note)


def _add(
    writer: RecordingWriter,
    recording: Recording,
    start: int,
    stop: int,
    change: Change,
    offset_ns: int,
    *,
    with_pictures: bool,
) -> int:
    """Add the frames of a piece; times count on from `offset_ns`. Returns where the next piece begins."""
    instructions, times_ns = recording.instructions, recording.times_ns
    shift_ns = offset_ns - times_ns[start]
    empty = np.zeros((0, 0, 3), np.uint8)
    for at in range(start, stop, _CLIP):
        length = min(_CLIP, stop - at)
        captured = _captured(recording, at, length) if with_pictures else [empty] * length
        small = recording.decode_clip(at, length) if with_pictures else [empty] * length
        for index in range(length):
            frame = Frame(captured[index], times_ns[at + index] + shift_ns)
            frame._made[MODEL_SIZE] = small[index]  # made of the whole screen, not of the captured video
            is_first = at + index == start
            events = (
                []
                if is_first
                else [replace(event, time_ns=event.time_ns + shift_ns) for event in recording.events_before(at + index)]
            )
            instruction = instructions[at + index] if change.instruction is None else change.instruction or None
            executed = None if is_first else _decision(recording.annotations[at + index])
            writer.add(frame, executed, instruction, events)
    return times_ns[stop - 1] + shift_ns + round(1e9 / recording.fps)


def _captured(recording: Recording, start: int, length: int) -> NDArray[np.uint8]:
    """The captured pictures, or the network's where there are no others."""
    if (recording.path / CAPTURED_FILE).is_file():
        return recording.decode_captured(start, length)
    return recording.decode_clip(start, length)


def _decision(message: pb.FrameAnnotation) -> Decision | None:
    """What was executed before a frame; the opposite of `format.annotate`."""
    system, user = action_from_message(message.system_action), action_from_message(message.user_action)
    if system is not None:
        return Decision(system, label=user)
    return None if user is None else Decision(user, by_user=True)
