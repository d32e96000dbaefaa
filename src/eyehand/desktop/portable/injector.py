"""The injector through pynput: the held state of a tick, diffed, and a list of the events that were injected.

A system's hooks report injected events like a person's, and some do not mark them. So every press and release that we
inject is noted, and the listener removes one note for each echo.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from pynput import keyboard, mouse

from eyehand.action import PIXELS_PER_NOTCH, Action
from eyehand.desktop.portable.virtual_keys import number_of

__all__ = ["BUTTON_OF", "Echoes", "PortableInjector"]

BUTTON_OF = {
    name: button
    for name, button in (
        ("0", mouse.Button.left),
        ("1", mouse.Button.right),
        ("2", mouse.Button.middle),
        ("3", getattr(mouse.Button, "x1", getattr(mouse.Button, "button8", None))),
        ("4", getattr(mouse.Button, "x2", getattr(mouse.Button, "button9", None))),
    )
    if button is not None
}
"""pynput's buttons by the names of an Action; some systems know only three."""

_MOUSE, _MOVE = 0, 0x0001
_FORGOTTEN_S = 2.0


class Echoes:
    """The injected events that the listener has not heard yet, where the system does not mark injected events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: defaultdict[tuple[str, str, bool], deque[float]] = defaultdict(deque)

    def sent(self, kind: str, name: str, is_pressed: bool) -> None:
        """Note an event that is about to be injected."""
        if sys.platform == "linux":
            with self._lock:
                self._sent[kind, name, is_pressed].append(time.monotonic())

    def is_ours(self, kind: str, name: str, is_pressed: bool) -> bool:
        """Whether an event that was heard is an injected one; called once for each event."""
        with self._lock:
            sent = self._sent[kind, name, is_pressed]
            while sent and time.monotonic() - sent[0] > _FORGOTTEN_S:  # the press of a key that is down makes no echo
                sent.popleft()
            if sent:
                sent.popleft()
                return True
            return False


class PortableInjector:
    """The injector of keys, buttons, motion and scroll on this desktop. `do` on one thread, `release_except` on any."""

    def __init__(self) -> None:
        self.echoes = Echoes()
        self._keyboard = keyboard.Controller()
        self._mouse = mouse.Controller()
        self._lock = threading.RLock()
        self._keys: frozenset[str] = frozenset()
        self._buttons: frozenset[str] = frozenset()
        self._scroll = [0, 0]

    @property
    def keys(self) -> frozenset[str]:
        """Names of the keys held by injection."""
        return self._keys

    @property
    def buttons(self) -> frozenset[str]:
        """Names of the buttons held by injection."""
        return self._buttons

    @property
    def pointer(self) -> tuple[int, int]:
        """The pointer's position on the screen, in pixels."""
        x, y = self._mouse.position
        return int(x), int(y)

    def do(self, action: Action, may_click: Callable[[], bool] = lambda: True) -> Action:
        """Inject an Action: held state, motion, and, if `may_click` after the motion, new clicks and the wheel.

        Returns:
            The injected Action.
        """
        with self._lock:
            self._press_keys(self._keys - action.keys, False)
            self._press_buttons(self._buttons - action.buttons, False)
            if action.dx or action.dy:
                move(self._mouse, action.dx, action.dy)
            if (action.buttons - self._buttons or action.scroll_dx or action.scroll_dy) and not may_click():
                action = Action(action.keys, action.buttons & self._buttons, action.dx, action.dy)
            new_keys, new_buttons = action.keys - self._keys, action.buttons - self._buttons
            # Noted before they are pressed: Ctrl-C may end this at any moment, and then they are released.
            self._keys, self._buttons = self._keys | action.keys, self._buttons | action.buttons
            self._press_keys(new_keys, True)
            self._press_buttons(new_buttons, True)
            self._scroll_by(action.scroll_dx, action.scroll_dy)
            self._keys, self._buttons = action.keys, action.buttons
            return action

    def release_except(self, kept: frozenset[str]) -> None:
        """Release everything but these keys."""
        with self._lock:
            self.do(Action(self._keys & kept))
            self._scroll = [0, 0]

    def release(self, keys: Iterable[str], buttons: Iterable[str]) -> None:
        """Release these keys and buttons, whether injected or not."""
        with self._lock:
            self._press_keys(keys, False)
            self._press_buttons(buttons, False)

    def _press_keys(self, names: Iterable[str], is_pressed: bool) -> None:
        for name in sorted(names):
            number = number_of(name)
            if number is not None:
                self.echoes.sent("key", name, is_pressed)
                key = keyboard.KeyCode.from_vk(number)
                (self._keyboard.press if is_pressed else self._keyboard.release)(key)

    def _press_buttons(self, names: Iterable[str], is_pressed: bool) -> None:
        for name in sorted(names):
            if name in BUTTON_OF:
                self.echoes.sent("button", name, is_pressed)
                (self._mouse.press if is_pressed else self._mouse.release)(BUTTON_OF[name])

    def _scroll_by(self, dx: int, dy: int) -> None:
        notches = []
        for axis, amount in enumerate((dx, dy)):
            self._scroll[axis] += amount
            notches.append(int(self._scroll[axis] / PIXELS_PER_NOTCH))
            self._scroll[axis] -= notches[axis] * PIXELS_PER_NOTCH
        if any(notches):
            for _ in range(abs(notches[0]) + abs(notches[1])):
                self.echoes.sent("wheel", "", True)
            self._mouse.scroll(*notches)


def move(controller: mouse.Controller, dx: int, dy: int) -> None:
    """Move the mouse. Windows' games read the motion of the device, which setting the pointer's place does not make."""
    if sys.platform == "win32":
        event = _MouseInput(_MOUSE, dx, dy, 0, _MOVE, 0, 0)
        ctypes.windll.user32.SendInput(1, ctypes.byref(event), ctypes.sizeof(event))
    else:
        controller.move(dx, dy)


class _MouseInput(ctypes.Structure):
    """INPUT of winuser.h with a MOUSEINPUT in it, its largest member."""

    _fields_ = (
        ("type", ctypes.c_ulong),
        ("dx", ctypes.c_long),
        ("dy", ctypes.c_long),
        ("data", ctypes.c_ulong),
        ("flags", ctypes.c_ulong),
        ("time", ctypes.c_ulong),
        ("extra", ctypes.c_size_t),
    )
