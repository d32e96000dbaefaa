"""Lines for the person at the terminal, on stderr and from any thread.

They never raise, and `said_aside` they wait for nothing either: a terminal that is gone or stopped (Ctrl-S) must not
end or hold up a recording, a training run, or the thread that hears the panic key.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ["announce", "print_line", "said_aside"]


def announce(text: str) -> None:
    """One sentence of ours."""
    print_line(f"eyehand: {text}")


def print_line(line: str) -> None:
    """A line as it is."""
    with contextlib.suppress(OSError, ValueError):  # stderr is closed, or whoever read it has gone
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def said_aside(say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """What hands sentences to `say` on a thread of its own, and returns at once; at the end of the context what was not
    said within a second stays unsaid."""
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def work() -> None:
        while (text := waiting.get()) is not None:
            say(text)

    thread = threading.Thread(target=work, name="eyehand announcer", daemon=True)
    thread.start()
    try:
        yield waiting.put
    finally:
        waiting.put(None)
        thread.join(1.0)
