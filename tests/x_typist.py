"""A scripted person whose input comes from XTest's own devices, as injected input does."""

from __future__ import annotations

import xcffib.xtest

from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.keys import key_codes

__all__ = ["MOVE", "PRESS", "PRESS_KEY", "RELEASE", "RELEASE_KEY", "Typist"]

PRESS_KEY, RELEASE_KEY, PRESS, RELEASE, MOVE = 2, 3, 4, 5, 6


class Typist:
    """Types and moves through XTest, and waits until the server has dealt with it."""

    def __init__(self, display: XDisplay) -> None:
        self.display = display
        self.codes = key_codes(display)
        self.test = display.connection(xcffib.xtest.key)

    def do(self, kind: int, what: int = 0, dx: int = 0, dy: int = 0) -> None:
        self.test.FakeInput(kind, what, 0, self.display.root, dx, dy, 0)
        self.display.connection.flush()

    def key(self, name: str, is_pressed: bool = True) -> None:
        self.do(PRESS_KEY if is_pressed else RELEASE_KEY, self.codes[name])

    def move(self, dx: int, dy: int) -> None:
        self.do(MOVE, 1, dx, dy)

    def sync(self) -> None:
        self.display.core.GetInputFocus().reply()
