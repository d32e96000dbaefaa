"""A screen of the agent's own: a virtual X display (Xvfb) with its own keyboard and mouse, or one that is shown in a
window on the person's screen (Xephyr).

The server chooses a free display number itself, clients need a fresh cookie, and the watchdog ends it if this process
cannot. Programs on it need `environment`.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import struct
import subprocess
from pathlib import Path

from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.watchdog import end_process_group
from eyehand.errors import UserError
from eyehand.temporary_folder import TemporaryFolder

__all__ = ["OwnScreen"]

_START_TIMEOUT_S = 30.0
_FAMILY_WILD = 65535
_COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"


class OwnScreen:
    """A running virtual display.

    Args:
        size_px: width and height in pixels.
        guard: ends it when this process is gone.
        visible: show it in a window on the person's screen. The person's input in that window reaches the game too.

    Attributes:
        name: as in DISPLAY.
        authority: Xauthority file, for `XDisplay.open`.
        environment: the variables that a program on this screen needs.

    Raises:
        UserError: the server is not installed or does not start.
    """

    def __init__(self, size_px: tuple[int, int], guard: Guard, *, visible: bool = False) -> None:
        name, package = ("Xephyr", "xserver-xephyr") if visible else ("Xvfb", "xvfb")
        program = shutil.which(name)
        if program is None:
            raise UserError(f"This own screen needs {name}: install it (Debian, Ubuntu: apt install {package}).")
        if visible and not os.environ.get("DISPLAY"):
            raise UserError("There is no display to show the own screen on (DISPLAY is not set): leave out --visible.")
        self.size_px = size_px
        self._guard = guard
        self._folder = TemporaryFolder("screen")
        self._log = self._folder.path / "log"
        self.authority = str(self._folder.path / "authority")
        Path(self.authority).write_bytes(_authority(secrets.token_bytes(16)))  # the folder is ours alone
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                _command(program, size_px, self.authority, writing),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log.open("wb"),
                pass_fds=(writing,),
                start_new_session=True,
            )
            guard.will_end(self._process.pid, self._folder.path)
            os.close(writing)
            writing = -1
            self.name = f":{self._display_number(reading)}"
        except BaseException:
            self.close()
            raise
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        self.environment = {"DISPLAY": self.name, "XAUTHORITY": self.authority}

    @property
    def is_running(self) -> bool:
        """Whether the server runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the server. May be called twice."""
        process = getattr(self, "_process", None)
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                end_process_group(process.pid, patience_s=0)
                process.wait()
            self._guard.has_ended(process.pid)
        self._folder.remove()

    def _display_number(self, descriptor: int) -> int:
        """The display number, which the server writes to `descriptor` when it is ready."""
        written = b""
        # Up to the end of the line: a server that cannot write all of it ends.
        while not written.endswith(b"\n") and select.select([descriptor], [], [], _START_TIMEOUT_S)[0]:
            data = os.read(descriptor, 32)
            if not data:
                break
            written += data
        if not written.strip().isdigit():
            log = self._log.read_text(errors="replace").strip().splitlines()
            raise UserError(f"The own screen did not start: {log[-1] if log else 'it says nothing'}.")
        return int(written)


def _command(program: str, size_px: tuple[int, int], authority: str, descriptor: int) -> list[str]:
    width, height = size_px
    is_shown = Path(program).name == "Xephyr"
    return [
        *(program, "-displayfd", str(descriptor), "-auth", authority),
        *(("-title", "eyehand", "-screen", f"{width}x{height}x24") if is_shown else ()),
        *(() if is_shown else ("-screen", "0", f"{width}x{height}x24")),
        *("-nolisten", "tcp", "-noreset", "+extension", "GLX"),
    ]


def _authority(cookie: bytes) -> bytes:
    """An Xauthority file with one entry that fits every address and display number (the format of libXau)."""

    def counted(data: bytes) -> bytes:
        return struct.pack(">H", len(data)) + data

    return struct.pack(">H", _FAMILY_WILD) + counted(b"") + counted(b"") + counted(_COOKIE_NAME) + counted(cookie)
