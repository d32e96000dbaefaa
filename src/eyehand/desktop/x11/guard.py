"""`Guard`: the parent's end of the watchdog process, which cleans up however the parent ends.

It is sent what is about to be held before it is held, and the processes that were started. When this process is gone
(its pipe closes, even by SIGKILL of the whole process group: the watchdog has a session of its own) it releases keys
and buttons and ends those processes. It has a deputy, which is sent the same and does that when both are killed. See
`watchdog` for the other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO

__all__ = ["Guard"]

_START_TIMEOUT_S = 60.0


class Guard:
    """A running watchdog process. Start it before anything that it is to clean up."""

    def __init__(self) -> None:
        deputys, self._deputy = os.pipe()
        os.set_blocking(self._deputy, False)
        try:
            # A session of its own: a signal to our process group does not reach it. It inherits nothing but its pipes.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "eyehand.desktop.x11.watchdog", str(os.getpid()), str(deputys)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(deputys,),
                start_new_session=True,
            )
        finally:
            os.close(deputys)
        self._await_answer()

    @property
    def pid(self) -> int:
        """The watchdog's process id."""
        return self._process.pid

    def watch(self, display: str, authority: str | None, window: int) -> None:
        """Have it release this display's keys and buttons on exit, and when this window loses the focus."""
        self._say({"display": display, "authority": authority, "window": window})
        self._await_answer()

    def hold(self, keys: Iterable[int], buttons: Iterable[int]) -> None:
        """Send the key codes and button numbers that may be held from now on.

        Raises:
            OSError: the watchdog is gone.
        """
        self._say({"keys": sorted(keys), "buttons": sorted(buttons)})

    def will_end(self, process_group: int, folder: Path) -> None:
        """Have it end this process group on exit, and remove its folder."""
        self._say({"end": process_group, "folder": str(folder)})

    def has_ended(self, process_group: int) -> None:
        """Forget a process group that has ended."""
        with contextlib.suppress(OSError):  # on the way out nobody minds that the watchdog is gone
            self._say({"ended": process_group})

    def close(self) -> None:
        """Have it clean up and end. May be called twice."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):  # it may be gone already
                self._process.stdin.close()
            os.close(self._deputy)
            self._process.wait(timeout=_START_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _say(self, message: dict[str, object]) -> None:
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            raise BrokenPipeError("the watchdog was closed")
        line = json.dumps(message).encode() + b"\n"
        with contextlib.suppress(OSError):  # without the deputy there is still the watchdog
            os.write(self._deputy, line)
        os.write(pipe.fileno(), line)

    def _await_answer(self) -> None:
        pipe: IO[bytes] | None = self._process.stdout
        assert pipe is not None
        is_there, _, _ = select.select([pipe], [], [], _START_TIMEOUT_S)
        if not is_there or os.read(pipe.fileno(), 6) != b"ready\n":
            self._process.kill()
            raise RuntimeError("the watchdog process did not start")
