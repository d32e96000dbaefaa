"""The progress of long work on standard error: a bar with the time left on a terminal, elsewhere a line now and then.

    with shown_progress() as progress:
        for number, recording in enumerate(recordings, 1):
            read(recording)
            progress("reading", number, len(recordings))

Every command that takes longer than a few seconds shows its progress by this. The time left follows from the mean pace
since the first call, so the first call belongs before the work: `progress("reading", 0, len(recordings))`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from eyehand.terminal import is_quiet, print_line
from eyehand.work import Work

if TYPE_CHECKING:
    from rich.progress import TaskID

    from eyehand.console import Bars

__all__ = ["Progress", "ProgressDisplay", "no_progress", "shown_progress"]

Progress = Callable[[str, float, float], None]
"""Progress callback: (what is done, how much of it is done, how much there is), in whole items or any other unit."""

_FIRST_LINE_S, _LINE_EVERY_S = 5.0, 30.0
"""Where there is no terminal: what is over sooner needs no line, and what takes hours none every second."""


def no_progress(what: str, done: float, total: float) -> None:
    """A progress callback that shows nothing."""


class ProgressDisplay:
    """What `shown_progress` gives: a `Progress` that also takes a note, and the time left where it is known."""

    def __init__(self, bars: Bars | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._bars = bars
        self._clock = clock
        self._over: list[TaskID] = []
        self._works: dict[str, tuple[Work, TaskID | None]] = {}
        self._line_due_s: float | None = None
        self._lock = threading.Lock()

    def __call__(self, what: str, done: float, total: float, note: str = "", left_s: float | None = None) -> None:
        """Show how much is done.

        Args:
            what: the name of the work; each has a bar of its own, which goes when all is done and other work begins.
            done: how much is done.
            total: how much there is; 0: it is not known yet.
            note: shown behind it.
            left_s: seconds until the end, where they are known better than by the pace.
        """
        now_s = self._clock()
        with self._lock:
            if what not in self._works:
                work = Work(what, total, done, now_s, done, now_s)
                bar = None
                if self._bars is not None:
                    bar = self._bars.add_work(work)
                    while self._over:
                        self._bars.remove_task(self._over.pop())
                self._works[what] = work, bar
            work, bar = self._works[what]
            work.total, work.done, work.told_s, work.note, work.known_left_s = total, done, now_s, note, left_s
            is_over = total > 0 and done >= total
            if is_over:
                del self._works[what]  # the next of this name begins anew
            if bar is not None:
                self._over += [bar] if is_over else []
            elif self._line_due_s is None:
                self._line_due_s = now_s + _FIRST_LINE_S
            elif now_s >= self._line_due_s:
                self._line_due_s = now_s + _LINE_EVERY_S
                print_line(f"{what}: {work.text(now_s)}" + (f"; {note}" if note else ""))


@contextmanager
def shown_progress() -> Iterator[ProgressDisplay]:
    """A progress display until the end of the block. Lines that are printed meanwhile appear above its bars."""
    if is_quiet() or not sys.stderr.isatty():
        yield ProgressDisplay(None)
        return
    from eyehand.console import Bars

    with Bars() as bars:
        yield ProgressDisplay(bars)
