"""`Work`: how far a piece of work is, and how long the rest will take."""

from __future__ import annotations

from dataclasses import dataclass

from eyehand.terminal import clock_time

__all__ = ["Work"]


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
