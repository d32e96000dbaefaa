"""`StatusLine`: a line at the bottom of the terminal that is rewritten, below the sentences that are said meanwhile.

It may also take lines that the person types. Then what is typed stands at its end, so that no sentence comes into the
middle of it: the terminal's own echo and line editing are off meanwhile. Works on a thread of its own; a terminal that
is gone or stopped holds up nothing else.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from eyehand.terminal import show_at_bottom

try:
    import termios
except ImportError:  # Windows: lines are read as they come
    termios = None  # type: ignore[assignment]

__all__ = ["StatusLine"]

_EVERY_S = 0.25
_PATIENCE_S = 1.0
_ERASE, _KILL, _ESCAPE = ("\x7f", "\b"), "\x15", "\x1b"


class StatusLine:
    """Shows what `status` says, again and again, where stderr is a terminal; to be entered and left.

    Args:
        status: the text, asked for on the thread of this line.
        tell: called on that thread with every line that is typed where stdin is a terminal; None: nothing is read.
    """

    def __init__(self, status: Callable[[], str], tell: Callable[[str], None] | None = None) -> None:
        self._status = status
        self._tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="eyehand status line", daemon=True)
        self._typed = ""

    def __enter__(self) -> StatusLine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(_PATIENCE_S)

    def _work(self) -> None:
        is_shown = sys.stderr is not None and sys.stderr.isatty()
        with contextlib.ExitStack() as stack:
            descriptor = None if self._tell is None else stack.enter_context(_unechoed())
            if is_shown:
                stack.callback(show_at_bottom, "")
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            while not self._ended.is_set():
                if is_shown:
                    typed = f"  > {self._typed}" if self._typed else ""
                    show_at_bottom(f"{self._status()}{typed}")
                if descriptor is None or not _is_ours(descriptor):
                    self._ended.wait(_EVERY_S)
                elif select.select([descriptor], [], [], _EVERY_S)[0]:
                    data = os.read(descriptor, 4096)
                    if not data:
                        descriptor = None
                    self._hear(decoder.decode(data))

    def _hear(self, text: str) -> None:
        """Take in what is typed, as a terminal's own line editing does: erase, erase all, end of the line."""
        if text.startswith(_ESCAPE):  # an arrow, a function key
            return
        for character in text.replace("\r", "\n"):
            if character == "\n":
                line, self._typed = self._typed.strip(), ""
                if line and self._tell is not None:
                    self._tell(line)
            elif character in _ERASE:
                self._typed = self._typed[:-1]
            elif character == _KILL:
                self._typed = ""
            elif character.isprintable():
                self._typed += character


@contextlib.contextmanager
def _unechoed() -> Iterator[int | None]:
    """The descriptor of the person's terminal, which passes on every key and echoes none meanwhile; None: it is not
    ours to read (no terminal, or we are in its background)."""
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor) if termios is not None and _is_ours(descriptor) else None
    except (OSError, ValueError, AttributeError):
        before = None
    if before is None:
        yield None
        return
    unechoed = [*before[:3], before[3] & ~(termios.ICANON | termios.ECHO), *before[4:]]
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, unechoed)
        yield descriptor
    finally:
        with contextlib.suppress(termios.error):
            if _is_ours(descriptor):
                termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _is_ours(descriptor: int) -> bool:
    """Whether it is a terminal, in whose foreground we are: to touch it in its background would stop us."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
