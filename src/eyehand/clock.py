"""Clocks and timers for real-time loops: absolute deadlines on one monotonic clock.

`Clock` is what a loop needs, so that a test can move it; `SystemClock` is the real one. `Ticks` hands out the deadlines
of a fixed rate and never drifts: tick k is due at start + k / rate, whatever happened before it.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

__all__ = ["FPS", "SECOND_NS", "STALE_AFTER_S", "Clock", "SystemClock", "Ticks", "punctual"]

SECOND_NS = 1_000_000_000
_SWITCH_S = 0.0005

FPS = 20.0
"""Ticks a second of games, recordings and policies, as Open P2P has it."""

STALE_AFTER_S = 0.5
"""A real-time game lets go of what is held when it has not heard of its player for so long."""


class Clock(Protocol):
    """A monotonic clock in nanoseconds that can be waited on."""

    def now_ns(self) -> int: ...

    def wait_until(self, deadline_ns: int) -> None:
        """Return at the deadline, or at once if it has passed."""
        ...

    def wait_for(self, condition: threading.Condition, is_true: Callable[[], bool], deadline_ns: int) -> bool:
        """With `condition` held: wait until `is_true()` or the deadline; return the last `is_true()`."""
        ...


class SystemClock:
    """The machine's monotonic clock (the one that frames, events and deadlines share)."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait_until(self, deadline_ns: int) -> None:
        while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / SECOND_NS)

    def wait_for(self, condition: threading.Condition, is_true: Callable[[], bool], deadline_ns: int) -> bool:
        left_s = (deadline_ns - time.monotonic_ns()) / SECOND_NS
        return condition.wait_for(is_true, timeout=max(0.0, left_s))


class Ticks:
    """A fixed-rate timer with absolute deadlines.

    Attributes:
        clock: the clock to wait on.
        rate_hz: ticks per second.
        late_ns: how long after its deadline the last tick began.
        num_skipped: ticks that were missed so far.
    """

    def __init__(self, clock: Clock, rate_hz: float) -> None:
        self.clock = clock
        self.rate_hz = rate_hz
        self.late_ns = 0
        self.num_skipped = 0
        self._start_ns = clock.now_ns()
        self._next = 0

    def deadline_ns(self, tick: int) -> int:
        """When tick number `tick` is due."""
        return self._start_ns + round(tick * SECOND_NS / self.rate_hz)

    def wait(self) -> int:
        """Wait for the next tick and return its number.

        A tick whose whole period has passed already is skipped and counted: a delayed loop rejoins the grid instead
        of catching up.
        """
        now_ns = self.clock.now_ns()
        while self.deadline_ns(self._next + 1) <= now_ns:
            self._next += 1
            self.num_skipped += 1
        tick = self._next
        self.clock.wait_until(self.deadline_ns(tick))
        self.late_ns = self.clock.now_ns() - self.deadline_ns(tick)
        self._next += 1
        return tick


@contextlib.contextmanager
def punctual() -> Iterator[None]:
    """A context for real-time loops that shortens the interpreter's own pauses.

    Its garbage collector is kept away from everything loaded so far (walking it takes tens of milliseconds), and a
    thread that has something to do gets the interpreter's lock after half a millisecond instead of five.
    """
    switch_s = sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_s)
        gc.unfreeze()
