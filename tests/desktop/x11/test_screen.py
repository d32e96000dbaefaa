"""Screens of our own: alone, side by side, locked for others, and shown in a window of another screen."""

from __future__ import annotations

import contextlib
import os

import psutil
import pytest

from eyehand.desktop.profile import parse_size
from eyehand.desktop.x11.capture import WindowCapture
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery, find_window
from eyehand.errors import UserError
from programs import need
from x_window import Window, wait_until


def test_two_screens_do_not_know_each_other(screen: OwnScreen, guard: Guard, display: XDisplay) -> None:
    with contextlib.closing(OwnScreen((320, 200), guard)) as other:
        assert other.name != screen.name
        pid = other._process.pid
        with contextlib.closing(XDisplay.open(other.name, other.authority)) as there:
            assert there.size_px == (320, 200)
        assert display.size_px == (640, 480)
        with pytest.raises(UserError, match="does not let us in"):
            XDisplay.open(other.name, os.devnull)
        assert other.is_running
    assert not psutil.pid_exists(pid)
    assert not other.is_running
    other.close()


def test_a_screen_that_is_shown_appears_in_a_window(
    screen: OwnScreen, guard: Guard, display: XDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("Xephyr")
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(OwnScreen((320, 200), guard, visible=True)) as shown:
        outside = find_window(display, WindowQuery(title="eyehand"))
        assert (outside.width, outside.height) == (320, 200)
        inside = Window(shown, "game", size=(320, 200))
        inside.fill(0xFF0000, 0, 0, 320, 200)
        capture = WindowCapture(display, outside.id)
        wait_until(lambda: bool((capture.grab()[..., :3] == (0, 0, 255)).all()), "the game's picture is seen outside")
        capture.close()
        inside.close()


def test_without_a_display_nothing_can_be_shown(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    need("Xephyr")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UserError, match="--visible"):
        OwnScreen((320, 200), guard, visible=True)


@pytest.mark.parametrize("text", ["640", "640x", "12x12", "99999x480", "", "640x480x24"])
def test_an_unusable_size_is_said(text: str) -> None:
    with pytest.raises(UserError, match="write it like 640x480"):
        parse_size(text)
    assert parse_size(" 640x480 ") == (640, 480)
