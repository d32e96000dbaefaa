"""Injector on an X display: the complete held state of every tick, diffed, through XTest.

Nothing is pressed unless the chosen window is ready (it exists, has the focus, is not covered); otherwise everything
is released. What is about to be held is sent to the guard first, whose watchdog releases it if this process dies.
Motion of a tick goes out at once and exactly; the wheel keeps what does not fill a notch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import xcffib
import xcffib.xtest

from eyehand.action import NOTHING, PIXELS_PER_NOTCH, Action
from eyehand.clock import STALE_AFTER_S, Clock, SystemClock
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.keys import BUTTON_NUMBERS, SCROLL_BUTTONS, key_codes
from eyehand.desktop.x11.windows import WindowState, WindowWatch
from eyehand.errors import UserError

__all__ = ["Injector", "release_held"]

_PRESS_KEY, _RELEASE_KEY, _PRESS_BUTTON, _RELEASE_BUTTON, _MOTION = 2, 3, 4, 5, 6
_RELATIVE = 1


class Injector:
    """The injector of keyboard and mouse input for one window.

    Args:
        display: a connection for this object alone.
        watch: the state of the window.
        guard: its watchdog watches the same window.
        clock: of the time since the last motion.

    Attributes:
        done: the executed part of the last action: nothing if the window was not ready, no clicks beside it.
    """

    def __init__(self, display: XDisplay, watch: WindowWatch, guard: Guard, clock: Clock | None = None) -> None:
        if not display.has_extension("XTEST"):
            raise UserError(f"The display {display.name!r} has no XTEST extension: input cannot be sent to it.")
        self.display = display
        self.watch = watch
        self.guard = guard
        self._clock = clock or SystemClock()
        self._test = display.connection(xcffib.xtest.key)
        self._codes = key_codes(display)
        self._keys: frozenset[int] = frozenset()
        self._buttons: frozenset[int] = frozenset()
        self._scroll = [0, 0]
        self._last_ns = self._clock.now_ns()
        self.done = NOTHING

    @property
    def is_holding(self) -> bool:
        """Whether anything is held by injection."""
        return bool(self._keys or self._buttons)

    def do(self, action: Action, bring_pointer: Callable[[], bool] | None = None) -> WindowState:
        """Inject an Action if the window is ready; release everything if it is not.

        Args:
            action: held state, motion and scroll.
            bring_pointer: called before a click or scroll while the pointer is not over the window; True: now it is.

        Returns:
            The window's state: the action was executed only with READY. Buttons are not pressed and the wheel is
            not turned if the pointer is not over the window after the motion.

        Raises:
            UserError: the display is gone.
            RuntimeError: the watchdog is gone; everything was released.
        """
        state = self.watch.state_by_events()
        self.done = NOTHING
        if state is not WindowState.READY:
            self.release()
            self.watch.had_lost_focus()
            return state
        if self.watch.had_lost_focus() or self._was_away():
            self.release()  # the watchdog did so too, and there is no telling what is still held
        keys = frozenset(self._codes[key] for key in action.keys)
        buttons = frozenset(BUTTON_NUMBERS[button] for button in action.buttons)
        try:
            self.guard.hold(keys | self._keys, buttons | self._buttons)
        except OSError as error:
            self.release()
            raise RuntimeError("the watchdog process has ended, so nothing more is pressed") from error
        with self.display.talk():
            self._send(_RELEASE_KEY, self._keys - keys)
            self._send(_RELEASE_BUTTON, self._buttons - buttons)
            self._move(action.dx, action.dy)
            clicks = buttons - self._buttons or action.scroll_dx or action.scroll_dy
            if clicks and not (self.watch.pointer_is_over() or (bring_pointer is not None and bring_pointer())):
                buttons &= self._buttons  # the server leads those to where they were pressed
                names = frozenset(name for name in action.buttons if BUTTON_NUMBERS[name] in buttons)
                action = Action(action.keys, names, action.dx, action.dy)
            new_keys, new_buttons = keys - self._keys, buttons - self._buttons
            # Noted before they are pressed: Ctrl-C may end this at any moment, and then they are released.
            self._keys, self._buttons = keys | self._keys, buttons | self._buttons
            self._send(_PRESS_KEY, new_keys)
            self._send(_PRESS_BUTTON, new_buttons)
            if action.scroll_dx or action.scroll_dy:
                self._scroll_by(action.scroll_dx, action.scroll_dy)
            self.display.connection.flush()
        self._keys, self._buttons, self.done = keys, buttons, action
        self._last_ns = self._clock.now_ns()
        return state

    def release(self) -> None:
        """Release everything held by injection. Never raises: on a display that is gone nothing is held."""
        self.release_except(frozenset())

    def release_except(self, kept: frozenset[str]) -> None:
        """Release everything but these keys. Never raises; thread-safe."""
        kept_codes = frozenset(self._codes[key] for key in kept) & self._keys
        keys, buttons = self._keys - kept_codes, self._buttons
        release_held(self.display, keys, buttons)
        self._keys, self._buttons, self._scroll = self._keys - keys, self._buttons - buttons, [0, 0]
        with contextlib.suppress(OSError):
            self.guard.hold(self._keys, self._buttons)

    def pointer_to(self, x_px: int, y_px: int) -> None:
        """Move the pointer to a point of the screen, in pixels.

        Not through XTest: games that read raw motion would take the position for motion, and turn the view by it.
        """
        with self.display.talk():
            self.display.core.WarpPointer(0, self.display.root, 0, 0, 0, 0, _int16(x_px), _int16(y_px))
            self.display.connection.flush()

    def _was_away(self) -> bool:
        """Whether the watchdog may have released everything because nothing was sent for too long."""
        return self._clock.now_ns() - self._last_ns > STALE_AFTER_S * 0.5e9

    def _send(self, kind: int, numbers: Iterable[int]) -> None:
        for number in sorted(numbers):
            self._test.FakeInput(kind, number, 0, self.display.root, 0, 0, 0)

    def _move(self, dx: int, dy: int) -> None:
        if dx or dy:
            self._test.FakeInput(_MOTION, _RELATIVE, 0, self.display.root, _int16(dx), _int16(dy), 0)

    def _scroll_by(self, dx: int, dy: int) -> None:
        for axis, (amount, plus, minus) in enumerate(((dx, "right", "left"), (dy, "up", "down"))):
            self._scroll[axis] += amount
            notches = int(self._scroll[axis] / PIXELS_PER_NOTCH)
            self._scroll[axis] -= notches * PIXELS_PER_NOTCH
            button = SCROLL_BUTTONS[plus if notches > 0 else minus]
            for _ in range(abs(notches)):
                self._send(_PRESS_BUTTON, [button])
                self._send(_RELEASE_BUTTON, [button])


def release_held(display: XDisplay, keys: Iterable[int], buttons: Iterable[int]) -> None:
    """Release these; the server ignores keys that XTest does not hold. Never raises."""
    with contextlib.suppress(xcffib.XcffibException):
        test = display.connection(xcffib.xtest.key)
        for kind, numbers in ((_RELEASE_KEY, keys), (_RELEASE_BUTTON, buttons)):
            for number in numbers:
                test.FakeInput(kind, number, 0, display.root, 0, 0, 0)
        display.core.GetInputFocus().reply()  # when this answer is here, the releases have been dealt with


def _int16(pixels: int) -> int:
    return max(-32768, min(32767, pixels))
