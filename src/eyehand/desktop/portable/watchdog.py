"""The watchdog process, which releases keys when the player cannot, on any system.

It reads what is about to be held, a JSON object a line, and releases it when the pipe closes (the player is dead) or
nothing comes for `STALE_AFTER_S` (it hangs). `PortableGuard` starts it (`python -m eyehand.desktop.portable.watchdog`).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable

from eyehand.clock import STALE_AFTER_S

__all__ = ["PortableGuard", "main"]


class PortableGuard:
    """The parent's end of the watchdog process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "eyehand.desktop.portable.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self._process.kill()
            raise RuntimeError("the watchdog process did not start")

    @property
    def pid(self) -> int:
        """The watchdog's process id."""
        return self._process.pid

    def hold(self, keys: Iterable[str], buttons: Iterable[str]) -> None:
        """Send the keys and buttons that may be held from now on.

        Raises:
            OSError: the watchdog is gone.
        """
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            raise BrokenPipeError("the watchdog was closed")
        os.write(pipe.fileno(), json.dumps([sorted(keys), sorted(buttons)]).encode() + b"\n")

    def close(self) -> None:
        """Have it release everything and end. May be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()


def main() -> None:
    """Watch the process at the other end of standard input."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    from eyehand.desktop.portable.injector import PortableInjector

    injector = PortableInjector()
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    os.write(1, b"ready\n")
    held: tuple[list[str], list[str]] = ([], [])
    while True:
        try:
            line = lines.get(timeout=STALE_AFTER_S if any(held) else None)
        except queue.Empty:
            injector.release(*held)
            held = ([], [])
            continue
        if line is None:
            injector.release(*held)
            return
        held = json.loads(line)


def _read(lines: queue.SimpleQueue[bytes | None]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    lines.put(None)


if __name__ == "__main__":
    main()
