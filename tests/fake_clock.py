"""`FakeClock`: a clock that a test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["FakeClock"]


class FakeClock:
    """A clock for tests: it stands still until somebody waits on it or calls `advance`."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, duration_ns: int) -> None:
        self._now_ns += duration_ns

    def wait_until(self, deadline_ns: int) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)

    def wait_for(self, condition: threading.Condition, is_true: Callable[[], bool], deadline_ns: int) -> bool:
        """Fake time does not pass while another thread works: wait for the thread, then keep the time as it is."""
        return condition.wait_for(is_true, timeout=30.0)
