"""A scripted person at a real X server: input that comes from its keyboard and mouse, not from XTest's.

XTest can make events in the name of any device (XTestFakeDeviceKeyEvent of libXtst). Made in the name of Xvfb's own
keyboard and mouse they are to every client what a hand at real hardware is: raw events carry these devices as source.
"""

from __future__ import annotations

import io
import struct

import xcffib
import xcffib.xinput
import xcffib.xtest

from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.keys import BUTTON_NUMBERS, key_codes
from eyehand.desktop.x11.screen import OwnScreen

__all__ = ["Person"]

_SLAVE_POINTER, _SLAVE_KEYBOARD = 3, 4
_VALUATOR, _KEY_PRESS, _KEY_RELEASE, _BUTTON_PRESS, _BUTTON_RELEASE, _MOTION = range(6)


class Person:
    """Somebody at the keyboard and mouse of a screen. Every call returns when the server has dealt with it."""

    def __init__(self, screen: OwnScreen) -> None:
        self.display = XDisplay.open(screen.name, screen.authority)
        xi = self.display.connection(xcffib.xinput.key)
        xi.XIQueryVersion(2, 2).reply()
        devices = {
            info.type: info.deviceid
            for info in xi.XIQueryDevice(0).reply().infos
            if b"XTEST" not in bytes(info.name.buf())
        }
        self._keyboard, self._pointer = devices[_SLAVE_KEYBOARD], devices[_SLAVE_POINTER]
        core = self.display.core
        self._first_event = core.QueryExtension(15, "XInputExtension").reply().first_event
        self._opcode = core.QueryExtension(5, "XTEST").reply().major_opcode
        self._test = self.display.connection(xcffib.xtest.key)
        self._codes = key_codes(self.display)

    def press(self, name: str) -> None:
        """Press a key, or a mouse button ("0" of an Action is the left one, here "button 0")."""
        self._do(name, True)

    def release(self, name: str) -> None:
        self._do(name, False)

    def tap(self, name: str) -> None:
        self.press(name)
        self.release(name)

    def move(self, dx: int, dy: int = 0) -> None:
        """Move the mouse by so many pixels."""
        event = struct.pack(
            "<BBHIIIIhhhhHBB",
            self._first_event + _MOTION,
            1,
            0,
            0,
            self.display.root,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            self._pointer,
        )
        axes = struct.pack(
            "<BBHHBBiiiiii", self._first_event + _VALUATOR, self._pointer, 0, 0, 2, 0, dx, dy, 0, 0, 0, 0
        )
        request = struct.pack("<BBH", self._opcode, 2, 17) + event + axes
        self._test.send_request(2, io.BytesIO(request), xcffib.VoidCookie, is_checked=True).check()

    def close(self) -> None:
        self.display.close()

    def _do(self, name: str, is_pressed: bool) -> None:
        if name.startswith("button "):
            kind = _BUTTON_PRESS if is_pressed else _BUTTON_RELEASE
            self._fake(kind, BUTTON_NUMBERS[name.removeprefix("button ")], self._pointer)
        else:
            self._fake(_KEY_PRESS if is_pressed else _KEY_RELEASE, self._codes[name], self._keyboard)

    def _fake(self, kind: int, number: int, device: int) -> None:
        self._test.FakeInputChecked(self._first_event + kind, number, 0, self.display.root, 0, 0, device).check()
