"""A window of any desktop as a Game, through mss, pynput and PyWinCtl: for Windows and macOS, where there is no X11."""

from __future__ import annotations

from collections.abc import Callable

from eyehand.action import Action
from eyehand.desktop.portable.listener import PortableListener
from eyehand.desktop.portable.watchdog import PortableGuard
from eyehand.desktop.portable.window import PortableWindow, find_portable_window
from eyehand.desktop.window_query import WindowQuery, WindowState
from eyehand.games.desktop.game import DesktopGame
from eyehand.games.desktop.tasks import window_task
from eyehand.input_event import InputEvent
from eyehand.terminal import announce

__all__ = ["PortableGame"]


class PortableGame(DesktopGame):
    """A window that is there already.

    Args:
        query: which one.
        say: told when the session pauses and goes on.

    Raises:
        UserError: at `reset`: no such window, or several.
    """

    window: PortableWindow | None

    def __init__(self, query: WindowQuery, say: Callable[[str], None] = announce) -> None:
        super().__init__(window_task(query), say=say)
        self._query = query
        self._guard: PortableGuard | None = None

    def reset(self, seed: int) -> None:
        """Find the window (again, if it was closed)."""
        if self.window is None or self.window.state() is WindowState.GONE:
            super().close()
            found = find_portable_window(self._query)
            self._guard = self._guard or PortableGuard()
            self.window = PortableWindow(found, self._guard)
        self.begin()

    def act(self, action: Action) -> Action | None:
        """Hold and do this from now on, as far as the window can have it: see `PortableWindow.done`."""
        super().act(action)
        return None if self.window is None else self.window.done

    def listen(self, hear: Callable[[InputEvent], None]) -> PortableListener:
        """Call `hear` with every event of the person's, until the result is closed."""
        if self.window is None:
            raise RuntimeError("call reset() before anything else")
        return PortableListener(hear, self.window.injector.echoes, self.clock)

    def close(self) -> None:
        super().close()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
