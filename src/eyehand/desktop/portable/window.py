"""A window of any desktop, seen through mss and played through pynput; PyWinCtl finds it and knows its state.

The picture is cut out of the screen, so what covers the window is in it: a window that is not the active one is not
seen, and not played. `PlayedWindow` is the better one under X11.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import mss
import numpy as np
import pywinctl
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.clock import STALE_AFTER_S
from eyehand.desktop.portable.injector import PortableInjector
from eyehand.desktop.portable.watchdog import PortableGuard
from eyehand.desktop.window_query import WindowInfo, WindowQuery, WindowState
from eyehand.errors import UserError

__all__ = ["PortableWindow", "find_portable_window"]


def find_portable_window(query: WindowQuery) -> Any:
    """The one window that matches a query, as PyWinCtl's object.

    Raises:
        UserError: none matches, or several do.
    """
    if query.by_click:
        raise UserError("The portable backend cannot ask for a click: give a part of the window's title.")
    asked = [(window, _info(window)) for window in pywinctl.getAllWindows()]
    known = [(window, info) for window, info in asked if info is not None]
    found = [(window, info) for window, info in known if query.matches(info)]
    if not found:
        there = ", ".join(str(info) for _, info in known) or "none"
        raise UserError(f"No window matches: there is {there}.")
    if len(found) > 1:
        names = ", ".join(str(info) for _, info in found)
        raise UserError(f"Several windows match, {names}: say which with pid=PID or more of the title.")
    return found[0][0]


def _info(window: Any) -> WindowInfo | None:
    """A window's title, class and process; None: it was closed since it was listed."""
    try:
        box = window.box
        handle = window.getHandle()
        number = handle if isinstance(handle, int) else -1
        name = window.getAppName() or ""
        return WindowInfo(number, window.title or "", (name,), window.getPID(), box.width, box.height)
    except Exception:  # every system has its own error for a window that is gone
        return None


class PortableWindow:
    """A `games.desktop.game.GameWindow` of the portable backend.

    Args:
        window: PyWinCtl's.
        guard: releases what is held if this process dies.

    Attributes:
        done: the executed part of the last action: nothing if the window was not ready, no clicks beside it.
    """

    def __init__(self, window: Any, guard: PortableGuard) -> None:
        self.injector = PortableInjector()
        self._window = window
        self._guard = guard
        self._screen = mss.MSS()
        self._done_s = time.monotonic()
        self.done = NOTHING

    def state(self) -> WindowState:
        """The window's state. Covered ones are not detected: the active window is in front."""
        if not self._window.isAlive:
            return WindowState.GONE
        if self._window.isMinimized or not self._window.isVisible:
            return WindowState.MINIMISED
        return WindowState.READY if self._window.isActive else WindowState.UNFOCUSED

    def picture(self) -> NDArray[np.uint8] | WindowState:
        """The picture, uint8 BGRX (height, width, 4), or why there is none. Black where the screen ends."""
        state = self.state()
        if state is not WindowState.READY:
            return state
        left, top, right, bottom = self._place()
        whole = self._screen.monitors[0]
        inside_left, inside_top = max(left, whole["left"]), max(top, whole["top"])
        width = min(right, whole["left"] + whole["width"]) - inside_left
        height = min(bottom, whole["top"] + whole["height"]) - inside_top
        if width <= 0 or height <= 0:
            return WindowState.MINIMISED
        shot = self._screen.grab({"left": inside_left, "top": inside_top, "width": width, "height": height})
        # A Retina screen gives more pixels than it was asked for.
        visible_HWC = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
        if (width, height) == (right - left, bottom - top) or (shot.width, shot.height) != (width, height):
            return visible_HWC
        pixels = np.zeros((bottom - top, right - left, 4), np.uint8)
        below, beside = inside_top - top, inside_left - left
        pixels[below : below + height, beside : beside + width] = visible_HWC
        return pixels

    def do(self, action: Action) -> WindowState:
        """Inject an Action if the window is ready; release everything if it is not.

        Buttons and wheel are not injected while the pointer is not over the window: the click would reach another one.

        Raises:
            RuntimeError: the watchdog is gone; everything was released.
        """
        state = self.state()
        self.done = NOTHING
        if state is not WindowState.READY:
            self.release()
            return state
        if time.monotonic() - self._done_s > STALE_AFTER_S / 2:
            self.injector.release_except(frozenset())  # the watchdog may have: what is held is unknown
        uses_pointer = action.buttons or self.injector.buttons or action.scroll_dx or action.scroll_dy
        if uses_pointer and not self._pointer_is_over():
            action = Action(action.keys, frozenset(), action.dx, action.dy)
        try:
            self._guard.hold(action.keys | self.injector.keys, action.buttons | self.injector.buttons)
        except OSError as error:
            self.release()
            raise RuntimeError("the watchdog process has ended, so nothing more is pressed") from error
        self.done = self.injector.do(action, self._pointer_is_over)
        self._done_s = time.monotonic()
        return state

    def release(self) -> None:
        """Release everything. Never raises."""
        self.release_except(frozenset())

    def release_except(self, kept: frozenset[str]) -> None:
        """Release everything but these keys. Never raises; thread-safe."""
        with contextlib.suppress(Exception):  # a desktop that is gone holds nothing; every system says so differently
            self.injector.release_except(kept)
        with contextlib.suppress(OSError):
            self._guard.hold(self.injector.keys, self.injector.buttons)

    def close(self) -> None:
        """Release everything and end the guard. May be called twice."""
        self.release()
        self._screen.close()

    def _pointer_is_over(self) -> bool:
        left, top, right, bottom = self._place()
        x, y = self.injector.pointer
        return left <= x < right and top <= y < bottom

    def _place(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the window's client area on the screen, in pixels."""
        # Under X11 a frame is a window of its own, and PyWinCtl's "box" is what is inside it.
        place = self._window.box if sys.platform == "linux" else self._window.getClientFrame()
        if hasattr(place, "right"):
            return place.left, place.top, place.right, place.bottom
        return place.left, place.top, place.left + place.width, place.top + place.height
