"""Waiting in tests: for a condition, not for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["wait_until"]

PATIENCE_S = 60.0


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return as soon as the condition holds; fail when it does not for a minute (the machine may be very busy)."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain: {what}"
        time.sleep(0.005)
