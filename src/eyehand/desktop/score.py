"""`Score`: a profile's [score], which says where a desktop game's score comes from: screen, line of text, or thumbs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError

__all__ = ["MOST_LINE", "Score", "ScreenNumber", "check_score"]

MOST_LINE = 200
"""So many characters of a line count, which bounds the time of a match."""

_MOST_REPEATS, _MOST_CHOICES = 2, 4


@dataclass(frozen=True)
class ScreenNumber:
    """A profile's [score.screen]: a number in the game's window.

    Attributes:
        rectangle: left, top, width and height in pixels, of a window of the profile's size; it holds the digits and
            nothing else.
        digits: of the number at most; the rectangle is cut into so many cells of equal width.
        examples: folder of pictures of the rectangle, beside the profile: see `screen_number.read_examples`.
    """

    rectangle: tuple[int, int, int, int]
    digits: int
    examples: str


@dataclass(frozen=True)
class Score:
    """A profile's [score], with exactly one of `screen`, `line` and `thumbs`.

    Attributes:
        what: what it counts, with its unit.
        seconds: length of an episode that `evaluate` and `improve` play.
        adds_up: the number begins at 0 again with every life or game of an episode; the sum counts.
        screen: where it is on the screen.
        line: regular expression with one group, the number; of a line that the game writes, and the last one counts.
        file: where those lines are, a path within the game's own folder; None: in its output.
        thumbs: a person who watches presses a hotkey or a button of the page: thumbs up count 1, thumbs down -1.
    """

    what: str
    seconds: float = 60.0
    adds_up: bool = False
    screen: ScreenNumber | None = None
    line: str | None = None
    file: str | None = None
    thumbs: bool = False

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        if self.screen is not None:
            return "a number on the screen"
        return "a person's thumbs" if self.thumbs else f"lines of {self.file or 'its output'}"


def check_score(score: Score, size_px: tuple[int, int]) -> None:
    """Refuse a score that cannot be read in a window of this size.

    Raises:
        UserError: half a sentence, as of `typed`.
    """
    if [score.screen is not None, score.line is not None, score.thumbs].count(True) != 1:
        raise UserError("score must have one of screen, line and thumbs")
    if score.file is not None and (score.line is None or Path(score.file).is_absolute() or ".." in score.file):
        raise UserError("score.file must lie within the game's own folder, and needs score.line")
    if not 1 <= score.seconds <= 86400:
        raise UserError("score.seconds must be from 1 to 86400")
    if score.line is not None:
        _check_line(score.line)
    if (screen := score.screen) is not None:
        left, top, width, height = screen.rectangle
        if min(left, top) < 0 or left + width > size_px[0] or top + height > size_px[1]:
            raise UserError("score.screen.rectangle must lie within launch.size")
        if not (1 <= screen.digits <= 12 and width >= 4 * screen.digits and height >= 5):
            raise UserError("score.screen.digits must be from 1 to 12, each at least 4 pixels wide and 5 high")


def _check_line(pattern: str) -> None:
    """An expression whose match takes a bounded time: few repetitions, and none of a group."""
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"score.line is no regular expression ({error})") from error
    if groups != 1:
        raise UserError(f"score.line must have one group in parentheses, the number, not {groups}")
    plain = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "x", re.sub(r"\\.", "x", pattern))
    if len(re.findall(r"[*+{]", plain)) > _MOST_REPEATS or len(re.findall(r"[?|]", plain)) > _MOST_CHOICES:
        raise UserError(f"score.line must have at most {_MOST_REPEATS} of * + {{ and {_MOST_CHOICES} of ? |")
    if re.search(r"\)[*+{]", plain):
        raise UserError("score.line must not repeat a group")
