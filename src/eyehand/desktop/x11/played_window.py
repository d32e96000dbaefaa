"""`PlayedWindow`: one X11 window with connection, capture, state and injector.

On an own screen there is no window manager and no other user, so the window is given focus and pointer whenever it
lacks them; on a person's screen neither is ever taken.
"""

from __future__ import annotations

import contextlib

import numpy as np
import xcffib
import xcffib.xproto as x
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.clock import Clock
from eyehand.desktop.x11.capture import NotVisible, WindowCapture
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.injector import Injector
from eyehand.desktop.x11.windows import WindowState, WindowWatch

__all__ = ["PlayedWindow"]

_MOST_OFF_SCREEN = 0.02
"""An edge of a window that is as large as the screen may be off it."""


class PlayedWindow:
    """A window that is captured and played.

    Args:
        display: a connection for this object alone.
        window: its number.
        guard: its watchdog will watch the window.
        authority: Xauthority file; None: the environment's.
        is_own_screen: no other user on the screen.
        clock: of the injector.

    Raises:
        UserError: the display is gone or lacks an extension.
    """

    def __init__(
        self,
        display: XDisplay,
        window: int,
        guard: Guard,
        *,
        authority: str | None = None,
        is_own_screen: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.display = display
        self.window = window
        self.authority = authority
        self.is_own_screen = is_own_screen
        guard.watch(display.name, authority, window)
        self.watch = WindowWatch(display, window)
        self.capture = WindowCapture(display, window)
        self.injector = Injector(display, self.watch, guard, clock)
        if is_own_screen:  # a bare server gives the focus to whatever is under the pointer, and tells no window so
            self._take_focus()

    def state(self) -> WindowState:
        """The window's state; on an own screen after it was given focus and pointer."""
        state = self.watch.state()
        if self.is_own_screen and state in (WindowState.UNFOCUSED, WindowState.COVERED):
            self._take_focus()
            state = self.watch.state()
        return state

    def picture(self) -> NDArray[np.uint8] | WindowState:
        """The picture, uint8 BGRX (height, width, 4), or why there is none."""
        state = self.state()
        if state is not WindowState.READY:
            return state
        try:
            return self.capture.grab()
        except NotVisible as reason:
            return reason.state

    @property
    def flaw(self) -> str | None:
        """Why the last picture did not show all of the window, as what follows "the window"; None: it did."""
        share = self.capture.off_screen_share
        if share > _MOST_OFF_SCREEN:
            return f"is partly off the screen ({share:.0%} of it); move it back"
        if self.watch.is_partly_covered and not share:  # what is off the screen counts as covered
            return "is partly covered by another one; move that away, or this one to the front"
        return None

    def do(self, action: Action) -> WindowState:
        """As `Injector.do`."""
        return self.injector.do(action, self._pointer_into_window if self.is_own_screen else None)

    def release(self) -> None:
        """Release everything. Never raises."""
        self.injector.release()

    def release_except(self, kept: frozenset[str]) -> None:
        """As `Injector.release_except`."""
        self.injector.release_except(kept)

    def close(self) -> None:
        """Release everything and disconnect. May be called twice."""
        self.release()
        with contextlib.suppress(xcffib.XcffibException):
            self.capture.close()
        self.display.close()

    def _take_focus(self) -> None:
        core = self.display.core
        with self.display.talk():
            try:
                core.ConfigureWindowChecked(self.window, x.ConfigWindow.StackMode, [x.StackMode.Above]).check()
                core.SetInputFocusChecked(x.InputFocus.PointerRoot, self.window, x.Time.CurrentTime).check()
            except xcffib.Error:
                return  # it went away or is hidden: its state says so
        self._pointer_into_window()

    def _pointer_into_window(self) -> bool:
        """Move the pointer to the middle of the window; whether it is in the window now."""
        with self.display.talk():
            try:
                place = self.display.core.TranslateCoordinates(self.window, self.display.root, 0, 0).reply()
                size = self.display.core.GetGeometry(self.window).reply()
            except xcffib.Error:
                return False
        self.injector.pointer_to(place.dst_x + size.width // 2, place.dst_y + size.height // 2)
        return self.watch.pointer_is_over()
