"""Small real windows on a real X server, and what that server says about keys and buttons."""

from __future__ import annotations

import os

import xcffib.xproto as x

from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.screen import OwnScreen
from patience import wait_until

__all__ = ["WINDOW_PROGRAM", "Window", "buttons_down", "is_managing", "keys_down", "wait_until"]

WINDOW_PROGRAM = """
import os, sys
from eyehand.desktop.x11.screen import OwnScreen
from x_window import Window
class Screen:
    name, authority = os.environ["DISPLAY"], os.environ["XAUTHORITY"]
window = Window(Screen, "probe game", size=(320, 240))
window.fill(0xFFFFFF, 0, 0, 160, 240)
print("ready", flush=True)
while (event := window.display.connection.wait_for_event()) is not None:
    if type(event).__name__ == "KeyPressEvent":
        window.fill(0x00FF00, 0, 0, 320, 240)
    elif type(event).__name__ == "ButtonPressEvent":
        sys.exit("the game fell over")
"""
"""A game to start as a process: a window that turns green at a key and falls over at a click. Needs sys.path."""


class Window:
    """A window of our own on the screen under test, painted in one colour, which keeps the input events it gets."""

    def __init__(self, screen: OwnScreen, title: str, class_name: str = "probe", size: tuple[int, int] = (200, 100)):
        self.display = XDisplay.open(screen.name, screen.authority)
        self.core = self.display.core
        self.id: int = self.display.connection.generate_id()
        mask = x.EventMask.KeyPress | x.EventMask.KeyRelease | x.EventMask.ButtonPress | x.EventMask.ButtonRelease
        self.core.CreateWindow(
            *(24, self.id, self.display.root, 0, 0, *size, 0, x.WindowClass.InputOutput, 0),
            *(x.CW.BackPixel | x.CW.EventMask, [0x102030, mask]),
        )
        for name, value in (("WM_NAME", title), ("WM_CLASS", f"{class_name}\0{class_name.title()}\0")):
            text = value.encode()
            self.core.ChangeProperty(x.PropMode.Replace, self.id, self.display.atom(name), 31, 8, len(text), text)
        pid = self.display.atom("_NET_WM_PID")
        self.core.ChangeProperty(x.PropMode.Replace, self.id, pid, 6, 32, 1, [os.getpid()])
        self.core.MapWindow(self.id)
        self.sync()

    def sync(self) -> None:
        """Everything asked for so far has been done by the server."""
        self.core.GetInputFocus().reply()

    def configure(self, **values: int) -> None:
        """Move, resize or restack: x, y, width, height, or stack_mode."""
        bits = {"x": 1, "y": 2, "width": 4, "height": 8, "stack_mode": 64}
        chosen = sorted(values, key=lambda name: bits[name])
        self.core.ConfigureWindow(self.id, sum(bits[name] for name in chosen), [values[name] for name in chosen])
        self.sync()

    def focus(self) -> None:
        """Take the focus, as soon as a window manager has shown the window."""
        attributes = self.core.GetWindowAttributes
        wait_until(lambda: attributes(self.id).reply().map_state == x.MapState.Viewable, "the window is shown")
        self.core.SetInputFocus(x.InputFocus.PointerRoot, self.id, 0)
        self.sync()

    def fill(self, colour: int, left: int, top: int, width: int, height: int) -> None:
        context = self.display.connection.generate_id()
        self.core.CreateGC(context, self.id, x.GC.Foreground, [colour])
        self.core.PolyFillRectangle(self.id, context, 1, [x.RECTANGLE.synthetic(left, top, width, height)])
        self.sync()

    def events(self) -> list[tuple[str, int]]:
        """The input events that came since the last call: ("KeyPress", key code) and so on."""
        self.sync()
        found: list[tuple[str, int]] = []
        while (event := self.display.connection.poll_for_event()) is not None:
            if hasattr(event, "detail"):
                found.append((type(event).__name__.removesuffix("Event"), event.detail))
        return found

    def close(self) -> None:
        self.display.close()


def is_managing(screen: OwnScreen, display: XDisplay) -> bool:
    """A window manager that is just starting may overlook a window: try with a new one each time."""
    probe = Window(screen, "is anybody there?")
    looks = (display.property_numbers(display.root, "_NET_CLIENT_LIST") for _ in range(200))
    is_managed = any(probe.id in managed for managed in looks)
    probe.close()
    return is_managed


def keys_down(display: XDisplay) -> set[int]:
    """Key codes that the X server holds down."""
    state = bytes(display.core.QueryKeymap().reply().keys)
    return {code for code in range(256) if state[code // 8] >> (code % 8) & 1}


def buttons_down(display: XDisplay) -> set[int]:
    """Mouse buttons (1 to 5) that the X server holds down."""
    mask = display.core.QueryPointer(display.root).reply().mask
    return {button for button in range(1, 6) if mask >> (7 + button) & 1}
