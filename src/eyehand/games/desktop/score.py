"""Reads a desktop game's score while it is played: `ScoreWatch`, from the picture or from what the game writes."""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.desktop.score import MOST_LINE, Score, ScreenNumber
from eyehand.desktop.screen_number import DigitReader, read_examples
from eyehand.errors import UserError
from eyehand.foreign import open_regular
from eyehand.game import Outcome

__all__ = ["SHARE_READ", "Look", "ScoreWatch", "check_was_read", "lines_number", "screen_number"]

SHARE_READ = "score read"
"""A fact of an episode's outcome: the share of its ticks whose score was read without doubt."""

_SAME = 3
"""A number on the screen counts when it was read so many times one after the other."""

_MOST_BYTES = 1 << 20

Picture = NDArray[np.uint8]
Look = Callable[[Picture], float | None]
"""Given the newest picture: the number now, or None where it is in doubt."""


class ScoreWatch:
    """The score of an episode, tick by tick.

    Args:
        score: what a profile says of it.
        look: reads it.
    """

    def __init__(self, score: Score, look: Look) -> None:
        self._adds_up, self._look = score.adds_up, look
        self._before = self._now = 0.0
        self._num_looks = self._num_read = 0

    def outcome(self, picture: Picture, *, done: bool) -> Outcome:
        """The outcome of the episode with this picture, its newest."""
        number = self._look(picture)
        self._num_looks += 1
        if number is not None:
            self._num_read += 1
            if self._adds_up and number < self._now:
                self._before += self._now
            self._now = number
        return Outcome(done, self._before + self._now, {SHARE_READ: self._num_read / self._num_looks})


def screen_number(number: ScreenNumber, size_px: tuple[int, int]) -> Look:
    """Reads a number on the screen, in windows of this size; pictures of another size are in doubt.

    Raises:
        UserError: the examples are not fit.
    """
    left, top, width, height = number.rectangle
    reader = DigitReader(read_examples(Path(number.examples), (width, height)), number.digits)
    last: deque[int | None] = deque(maxlen=_SAME)

    def look(picture: Picture) -> float | None:
        if picture.shape[1::-1] != size_px:
            return None
        part = picture[top : top + height, left : left + width, :3]
        last.append(reader.read(part if picture.shape[2] == 3 else part[..., ::-1]))  # BGRX
        return last[0] if len(last) == _SAME and len(set(last)) == 1 else None

    return look


def lines_number(pattern: str, path: Path) -> Look:
    """Reads the number in the last line of a growing file that matches; 0 before the first."""
    expression = re.compile(pattern.encode())
    number, offset, rest = 0.0, 0, b""

    def look(_: Picture) -> float | None:
        nonlocal number, offset, rest
        with contextlib.suppress(OSError), open_regular(path) as file:  # the game may not have written yet
            size = file.seek(0, 2)
            if size < offset:  # begun anew
                offset, rest = 0, b""
            if size - offset > _MOST_BYTES:
                offset, rest = size - _MOST_BYTES, b""
            file.seek(offset)
            new = file.read(size - offset)
            offset += len(new)
            *lines, rest = (rest + new).split(b"\n")
            rest = rest[:_MOST_BYTES]
            found = (expression.search(line[:MOST_LINE]) for line in reversed(lines))
            if (last := next(filter(None, found), None)) is not None:
                with contextlib.suppress(ValueError, TypeError):  # no number, or its group took no part
                    number = _finite(float(last[1]))
        return number

    return look


def _finite(number: float) -> float:
    if not np.isfinite(number):
        raise ValueError(number)
    return number


def check_was_read(name: str, facts: dict[str, float]) -> None:
    """Refuse the score of an episode in which it was never read.

    Raises:
        UserError: so it was.
    """
    if facts.get(SHARE_READ) == 0:
        raise UserError(
            f"The score of {name} was never read on the screen: look with `eyehand games check {name}`, and mend "
            "[score.screen] in its profile."
        )
