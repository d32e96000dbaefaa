"""`eyehand data edit`: recordings are trimmed, split, merged, described anew, thrown away; what they were is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from eyehand.errors import UserError
from eyehand.terminal import output

if TYPE_CHECKING:
    from eyehand.recording.edit import Piece
    from eyehand.recording.reader import Recording

__all__ = ["Edit"]


@dataclass(frozen=True)
class Edit:
    """Trim, split or merge recordings, say other things about them, or throw them away.

    Nothing is written over: what a recording was moves to the folder .removed beside it, whole, until you delete it.
    Move it back from there to undo an edit.

    Attributes:
        recordings: folders of single recordings.
        delete: throw them away.
        trim: keep only what lies between two times, such as 0:05 1:20; - is the beginning or the end.
        split: make several of each, cut at these times.
        merge: make one of them all, in this order.
        instruction: what was done, in words, on all frames. Empty: no instruction.
        mark: how it ended.
        note: a few words for its title.
        out: put what is made there, and leave the recordings as they are.
    """

    recordings: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR ...]")]
    delete: bool = False
    trim: tuple[str, str] | None = None
    split: tuple[str, ...] = ()
    merge: bool = False
    instruction: str | None = None
    mark: Literal["success", "failure"] | None = None
    note: str | None = None
    out: Path | None = None

    def run(self) -> None:
        """Do it, and say where everything is."""
        from eyehand.folder_lock import alone_in
        from eyehand.recording.edit import Change, edited
        from eyehand.recording.reader import Recording
        from eyehand.recording.removed import set_aside

        change = Change(self.instruction, None if self.mark is None else self.mark == "success", self.note)
        cuts = [self.delete, self.trim is not None, bool(self.split), self.merge]
        if sum(cuts) > 1 or (self.delete and (change != Change() or self.out is not None)):
            raise UserError("Give one of --delete, --trim, --split and --merge; --delete stands alone.")
        if not self.recordings or not (any(cuts) or change != Change()):
            raise UserError("Say which recordings, and what to do: --trim, --split, --merge, --note, --delete ...")
        paths = [Path(path) for path in dict.fromkeys(path.resolve() for path in self.recordings)]
        for path in paths:
            if not self.delete or not path.is_dir():  # a damaged one can be thrown away
                Recording.open(path).close()
        if self.delete:
            for path in paths:
                with alone_in(path.parent, "data edit"):
                    output(f"thrown away, until you delete it: {set_aside(path)}")
            return
        for each in [paths] if self.merge else [[path] for path in paths]:
            made, aside = edited(self._pieces(each), change, self.out)
            for path in made:
                with Recording.open(path) as recording:
                    output(f"{recording.title}  {path}")
            for path in aside:
                output(f"what it was is in {path}: move it back to undo this")

    def _pieces(self, paths: list[Path]) -> list[list[Piece]]:
        from eyehand.recording.edit import Piece
        from eyehand.recording.reader import Recording

        if self.merge or (self.trim is None and not self.split):
            return [[Piece(path) for path in paths]]
        (path,) = paths
        with Recording.open(path) as recording:
            if self.trim is not None:
                start, stop = (_frame(recording, at) for at in self.trim)
                return [[Piece(path, start or 0, stop)]]
            cuts = [0, *sorted(_frame(recording, at) or 0 for at in self.split), recording.num_frames]
        return [[Piece(path, start, stop)] for start, stop in pairwise(cuts)]


def _frame(recording: Recording, time: str) -> int | None:
    """The frame at a time as it is written: 83.5, 1:23.5 or 1:02:03; None: -."""
    if time == "-":
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", time):
        raise UserError(f"{time!r} is no time: write it like 1:23.5, or - for the beginning or the end.")
    seconds = 0.0
    for part in time.split(":"):
        seconds = seconds * 60 + float(part)
    frame = round(seconds * recording.fps)
    if frame > recording.num_frames:
        raise UserError(f"{recording.path.name} ends before {time}: its title says how long it is.")
    return frame
