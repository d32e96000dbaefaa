"""The watchdog process, which releases keys when the player cannot: `... -m eyehand.desktop.x11.watchdog PARENT PIPE`.

It reads what the player may hold, a JSON object a line, and releases all of it through a connection of its own when
the pipe closes or the parent changes (the player is dead), when nothing is heard for `STALE_AFTER_S` while something is
held (the player hangs), or while the window is gone or without the focus. When the player is dead it also ends the game
and the screen that were started for it, then itself. It ignores the signals that end a process group.

Its deputy, a process that it forks, reads the same from the descriptor PIPE. It does nothing while the player or the
watchdog lives, and all of the above when both are gone without a word: `kill -9` of both leaves nothing behind either.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from typing import Any

from eyehand.clock import STALE_AFTER_S

__all__ = ["main"]

_LOOK_S = 0.1
_PATIENCE_S = 2.0
_DEPUTY_PATIENCE_S = 10.0
"""A watchdog that has not cleaned up so long after the death of the player hangs."""


class _Watchdog:
    def __init__(self, parent: int, source: int = 0) -> None:
        self.parent, self.source = parent, source
        self.keys: set[int] = set()
        self.buttons: set[int] = set()
        self.folders: dict[int, str] = {}
        self.heard_s = time.monotonic()
        self.display: Any = None
        self.window_watch: Any = None
        self.is_away = False
        self.unread = b""

    def run(self) -> None:
        """Watch until the player is gone, then clean up, also after a failure: no answer can be written to the dead."""
        is_alive = True
        try:
            while is_alive:
                is_alive = os.getppid() == self.parent  # asked first: what the dead said last is still to be read
                sources = [0] if self.display is None else [0, self.display.connection.get_file_descriptor()]
                readable, _, _ = select.select(sources, [], [], _LOOK_S)
                if 0 in readable and not self.read():
                    break
                self._look_at_window()
                if time.monotonic() - self.heard_s > STALE_AFTER_S:
                    self.release()
        finally:
            self.clean_up()

    def clean_up(self) -> None:
        """Release everything, and end what was started."""
        self.release()
        self._end_processes()
        time.sleep(_LOOK_S)  # the last press of the dead may reach the server after the release: then once more
        self.release()

    def release(self) -> None:
        """Release what the player may hold. It is not forgotten: a press may come after its release."""
        if self.display is not None and (self.keys or self.buttons):
            from eyehand.desktop.x11.injector import release_held

            release_held(self.display, self.keys, self.buttons)

    def read(self) -> bool:
        """Read the player's messages; False: it is gone."""
        data = os.read(self.source, 65536)
        if not data:
            return False
        self.heard_s = time.monotonic()
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return True

    def _obey(self, message: dict[str, Any]) -> None:
        if "keys" in message:
            self.keys, self.buttons = set(message["keys"]), set(message["buttons"])
        elif "end" in message:
            self.folders[message["end"]] = message["folder"]
        elif "ended" in message:
            self.folders.pop(message["ended"], None)
        else:
            self._watch(message["display"], message["authority"], message["window"])

    def _watch(self, display: str, authority: str | None, window: int) -> None:
        from eyehand.desktop.x11.display import XDisplay
        from eyehand.desktop.x11.windows import WindowWatch

        if self.display is None or self.display.name != display:
            self.display = XDisplay.open(display, authority)
        self.window_watch = WindowWatch(self.display, window)
        say_ready()

    def _look_at_window(self) -> None:
        """Release while the window is without the focus: a repeating key must not reach another one."""
        if self.window_watch is None:
            return
        from eyehand.desktop.window_query import WindowState
        from eyehand.errors import UserError

        try:
            if self.window_watch.lost_focus():
                self.is_away = True
                # What was pressed before the focus left was announced before: read that first, or it stays down. The
                # pipe holds no more than one read takes.
                if select.select([0], [], [], 0)[0]:
                    self.read()
                self.release()
            elif self.is_away and (self.keys or self.buttons):
                self.is_away = self.window_watch.state() is not WindowState.READY
                if self.is_away:
                    self.release()
        except UserError:  # the display is gone, and everything that was held on it
            self.display = self.window_watch = None

    def _end_processes(self) -> None:
        """End the started processes in reverse order: the game before its screen."""
        for group, folder in reversed(self.folders.items()):
            end_process_group(group)
            shutil.rmtree(folder, ignore_errors=True)


class _Deputy(_Watchdog):
    """Knows what the watchdog knows, and opens the display when it is needed."""

    def __init__(self, parent: int, source: int) -> None:
        super().__init__(parent, source)
        self.place: tuple[str, str | None] | None = None

    def _watch(self, display: str, authority: str | None, window: int) -> None:
        self.place = (display, authority)

    def stand_by(self, watchdog: int) -> None:
        """Wait for the death of the player, then for the watchdog's word (a byte at this descriptor); clean up when it
        dies without one, or hangs."""
        while self.read():
            pass
        if select.select([watchdog], [], [], _DEPUTY_PATIENCE_S)[0] and os.read(watchdog, 1):
            return
        from eyehand.desktop.x11.display import XDisplay
        from eyehand.errors import UserError

        with contextlib.suppress(UserError):  # a display that is gone holds nothing
            if self.place is not None:
                self.display = XDisplay.open(*self.place)
        self.clean_up()


def end_process_group(group: int, patience_s: float = _PATIENCE_S) -> None:
    """End a process group: SIGTERM, then SIGKILL, as some games survive SIGTERM and the loss of their display."""
    deadline_s = time.monotonic() + patience_s
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline_s:
            os.killpg(group, 0)
            time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)


def say_ready() -> None:
    """Tell the player that the watchdog is ready."""
    os.write(1, b"ready\n")


def main() -> None:
    """Watch the process whose id is the first argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    parent, pipe = map(int, sys.argv[1:])
    hearing, telling = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            for descriptor in (0, 1, telling):  # the player's and the watchdog's ends: they tell who lives
                os.close(descriptor)
            _Deputy(parent, pipe).stand_by(hearing)
        finally:
            os._exit(0)
    os.close(pipe)
    os.close(hearing)
    watchdog = _Watchdog(parent)
    say_ready()
    watchdog.run()
    os.write(telling, b".")
    os.wait()


if __name__ == "__main__":
    main()
