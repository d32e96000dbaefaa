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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eyehand.terminal import clock_time, is_quiet, print_line

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


@dataclass
class Work:
    """One piece of work: how far it is, and since when.

    Attributes:
        what: its name.
        total: how much there is; 0: it is not known yet.
        first: how much was done when it was first heard of, by an earlier run.
        began_s: when that was, of the clock.
        done: how much is done.
        told_s: when that was said.
        note: what is shown behind it.
        known_left_s: the time left at `told_s` where the caller knows it.
    """

    what: str
    total: float
    first: float
    began_s: float
    done: float
    told_s: float
    note: str = ""
    known_left_s: float | None = None

    def share(self, now_s: float) -> float:
        """How much of it is done, from 0 to 1; where the time left is known it goes on between two calls."""
        share = self.done / self.total if self.total else 0.0
        if self.known_left_s:
            share += (1 - share) * (now_s - self.told_s) / self.known_left_s
        return min(1.0, share)

    def left_s(self, now_s: float) -> float | None:
        """Seconds until the end; None: nothing is done yet from which it could be told."""
        left_s = self.known_left_s
        if left_s is None and self.done > self.first:
            left_s = (self.told_s - self.began_s) / (self.done - self.first) * (self.total - self.done)
        return None if left_s is None else max(0.0, left_s - (now_s - self.told_s))

    def text(self, now_s: float) -> str:
        """How much is done, and how long it will take: "12 of 340, 4%, 2:10 left"."""
        left_s = self.left_s(now_s)
        time_text = f"{clock_time(now_s - self.began_s)} so far" if left_s is None else f"{clock_time(left_s)} left"
        if not self.total:
            return time_text
        is_count = float(self.total).is_integer() and self.total > 1
        count = f"{self.done:,.0f} of {self.total:,.0f}, " if is_count else ""
        return f"{count}{self.share(now_s):.0%}, {time_text}"


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
