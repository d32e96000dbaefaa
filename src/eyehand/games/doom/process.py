"""A guard that ends the Doom engine's process when Python dies, even by SIGKILL.

ViZDoom starts its engine as a child which waits for ever for a parent that was killed. We let it start a small shell
script instead, which leaves a watcher behind and becomes the engine. The watcher sleeps on a FIFO that only this Python
process holds open: the kernel closes it however Python ends, and the watcher then kills the engine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from pathlib import Path
from typing import Any

from eyehand.errors import UserError
from eyehand.temporary_folder import TemporaryFolder

__all__ = ["EngineGuard", "start_engine"]

_starting = threading.Lock()

_SHARED = Path("/dev/shm")
_SHARED_BYTES, _SHARED_BYTES_PER_PIXEL = 4_000_000, 8
"""Several times what an engine shares: others that start at the same time take theirs."""

_SCRIPT = """#!/bin/sh
{{
    exec 3< {directory}/alive || exit 0
    read -r word <&3
    [ "$word" = released ] && exit 0
    kill -9 $$
    rm -rf {directory}
}} < /dev/null > /dev/null 2>&1 &
export XAUTHORITY="${{XAUTHORITY:-$HOME/.Xauthority}}" HOME={directory}
cd {directory} && exec {engine} "$@"
"""
# The engine makes a directory where it stands; two engines that do so at once in the same place crash. Its sound,
# although it is off, writes into HOME.


def start_engine(game: Any) -> None:
    """`init()` of a vizdoom.DoomGame, one at a time: two at once, on two threads, end in a segmentation fault.

    Raises:
        UserError: there is too little shared memory: a page that cannot be had would end Python with SIGBUS.
    """
    with _starting:
        needed = _SHARED_BYTES + _SHARED_BYTES_PER_PIXEL * game.get_screen_width() * game.get_screen_height()
        if _SHARED.is_dir() and (free := shutil.disk_usage(_SHARED).free) < needed:
            raise UserError(
                f"Doom needs {needed / 1e6:.0f} MB of shared memory, and {free / 1e6:.1f} MB are free: remove what "
                f"lies in {_SHARED}, or give the container more (docker run --shm-size=1g)."
            )
        game.init()


class EngineGuard:
    """A temporary directory with the engine's start script and its settings file.

    Args:
        engine: the engine's executable.
    """

    def __init__(self, engine: Path) -> None:
        self._folder = TemporaryFolder("doom")
        directory = self._folder.path
        fifo = directory / "alive"
        os.mkfifo(fifo, mode=0o600)
        # Opened for both, so that opening waits for nobody; Python's descriptors are not inherited by the engine.
        self._descriptor = os.open(fifo, os.O_RDWR)
        script = _SCRIPT.format(directory=shlex.quote(str(directory)), engine=shlex.quote(str(engine)))
        self.executable = directory / "engine"
        self.executable.write_text(script)
        self.executable.chmod(0o700)
        self.settings = directory / "engine.ini"
        """Where the engine may write its settings (it would write them into the current directory)."""

    def release(self) -> None:
        """End the watcher of an engine that has ended and remove the files. May be called twice."""
        self._end(b"released\n")

    def kill(self) -> None:
        """Have the watcher kill an engine that does not answer, and remove the files."""
        self._end(b"killed\n")

    def _end(self, word: bytes) -> None:
        if self._descriptor < 0:
            return
        os.write(self._descriptor, word)
        os.close(self._descriptor)
        self._descriptor = -1
        self._folder.remove()
