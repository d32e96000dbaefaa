"""Lines for the person at the terminal, on stderr and from any thread.

They never raise: a terminal that is gone must not end a recording, a training run, or the thread that hears the panic
key.
"""

from __future__ import annotations

import contextlib
import sys

__all__ = ["announce", "print_line"]


def announce(text: str) -> None:
    """One sentence of ours."""
    print_line(f"eyehand: {text}")


def print_line(line: str) -> None:
    """A line as it is."""
    with contextlib.suppress(OSError, ValueError):  # stderr is closed, or whoever read it has gone
        print(line, file=sys.stderr, flush=True)
