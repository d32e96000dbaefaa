"""A game as a child process: started from its profile in a fresh folder, its window waited for, ended for certain.

The game gets a session of its own, X11 even on a Wayland desktop, and HOME in its folder, so that it reads no settings
but the profile's. The watchdog ends it if this process cannot.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from eyehand.desktop.profile import GAME_FOLDERS, Profile, parse_size
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.watchdog import end_process_group
from eyehand.desktop.x11.windows import WindowInfo, WindowQuery, list_windows, matching
from eyehand.errors import UserError
from eyehand.temporary_folder import TemporaryFolder

__all__ = ["LaunchedGame"]

_LOOK_S = 0.05
_LAST_WORDS = 300


class LaunchedGame:
    """A running game process.

    Args:
        profile: how it starts.
        environment: variables of its screen; see `OwnScreen.environment`.
        size_px: of its window.
        guard: ends it when this process is gone.

    Raises:
        UserError: it is not installed or does not start.
    """

    def __init__(
        self, profile: Profile, environment: Mapping[str, str], size_px: tuple[int, int] | None, guard: Guard
    ) -> None:
        program = profile.program
        if program is None:
            raise UserError(f"{profile.launch.command[0]} is not installed: {profile.how_to_install}.")
        self.profile = profile
        self._guard = guard
        self._names = _names(profile, size_px)
        self._temporary = TemporaryFolder(profile.name)
        self._folder = self._temporary.path
        self._names["folder"] = str(self._folder)
        self._log = self._folder / "eyehand-log"
        try:
            for path, text in profile.launch.files.items():
                file = self._folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self._filled(text))
            self._process = subprocess.Popen(
                [program, *(self._filled(argument) for argument in profile.launch.command[1:])],
                env=self._environment(environment),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=self._log.open("wb"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._temporary.remove()
            raise UserError(f"{program} does not start: {error.strerror}.") from error
        guard.will_end(self._process.pid, self._folder)

    @property
    def is_running(self) -> bool:
        """Whether the started program still runs."""
        return self._process.poll() is None

    @property
    def has_failed(self) -> bool:
        """Whether it has ended otherwise than by being quit."""
        return self._process.poll() not in (None, 0)

    def ends_within(self, patience_s: float) -> bool:
        """Wait at most this time; whether it has ended."""
        try:
            self._process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self) -> str:
        """Its exit status and last output, for an error message."""
        status = self._process.poll()
        said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
        tail = " / ".join(said[-_LAST_WORDS:].splitlines()[-3:])
        return f"exit status {status}" + (f"; it said: {tail}" if tail else "")

    def wait_for_window(self, display: XDisplay) -> WindowInfo:
        """Wait for the window that the profile names.

        Raises:
            UserError: the game ended, or showed no such window in time.
        """
        query = WindowQuery(title=self.profile.window_title, class_name=self.profile.window_class)
        deadline_s = time.monotonic() + self.profile.timeout_s
        while time.monotonic() < deadline_s:
            windows = [window for window in list_windows(display) if self._is_ours(window)]
            if found := matching(windows, query):
                return max(found, key=lambda window: window.width * window.height)
            if not self.is_running:
                raise UserError(f"{self.profile.name} ended before it showed its window ({self.last_words()}).")
            time.sleep(_LOOK_S)
        there = ", ".join(map(str, list_windows(display))) or "none"
        raise UserError(
            f"{self.profile.name} showed no window that fits the profile within {self.profile.timeout_s:g} s; "
            f"there are: {there}."
        )

    def written(self, file: str | None) -> Path:
        """Path of a file in its folder, or of its output."""
        return self._log if file is None else self._folder / file

    def has_printed(self, text: str) -> bool:
        """Whether the game's output so far contains this text."""
        return self._log.exists() and text in self._log.read_text(errors="replace")

    def close(self) -> None:
        """End it with everything that it started. May be called twice."""
        end_process_group_of(self._process)
        self._guard.has_ended(self._process.pid)
        self._temporary.remove()

    def _is_ours(self, window: WindowInfo) -> bool:
        """Whether the window belongs to a process of the game's session, or to an unknown one."""
        if window.pid is None:
            return True
        try:
            return os.getsid(window.pid) == self._process.pid
        except ProcessLookupError:
            return False

    def _environment(self, screen: Mapping[str, str]) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
        authority = Path.home() / ".Xauthority"
        if authority.exists():  # HOME will be another one
            environment.setdefault("XAUTHORITY", str(authority))
        environment |= {"HOME": str(self._folder), "PATH": ":".join([os.environ.get("PATH", ""), *GAME_FOLDERS])}
        environment |= {"SDL_VIDEODRIVER": "x11", "QT_QPA_PLATFORM": "xcb", "GDK_BACKEND": "x11"}
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            environment.pop(name, None)
        environment |= {name: self._filled(value) for name, value in self.profile.launch.environment.items()}
        return environment | dict(screen)

    def _filled(self, text: str) -> str:
        """The text with placeholders replaced; other braces stay, as settings files have many."""
        for name, value in self._names.items():
            text = text.replace("{" + name + "}", value)
        return text


def end_process_group_of(process: subprocess.Popen[bytes]) -> None:
    """End a process and the rest of its group: SIGTERM, then SIGKILL."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2.0)
    end_process_group(process.pid, patience_s=0.0)
    process.wait()


def _names(profile: Profile, size_px: tuple[int, int] | None) -> dict[str, str]:
    width, height = size_px or parse_size(profile.launch.size)
    return {"width": str(width), "height": str(height), **profile.found_files()}
