"""Under a real window manager, as on a person's desktop: windows with frames, minimised, and a game on that screen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
import xcffib.xproto as x

from eyehand.action import Action
from eyehand.desktop.x11.capture import WindowCapture
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.injector import Injector
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery, WindowState, WindowWatch, find_window, list_windows
from eyehand.games.desktop.x11 import LaunchedDesktopGame
from programs import need, need_game
from x_window import Window, buttons_down, is_managing, keys_down, wait_until

ICONIC = 3


@pytest.fixture(scope="module", autouse=True)
def window_manager(screen: OwnScreen) -> Iterator[None]:
    need("openbox")
    environment = {**os.environ, **screen.environment}
    process = subprocess.Popen(["openbox", "--sm-disable"], env=environment, stderr=subprocess.DEVNULL)
    display = XDisplay.open(screen.name, screen.authority)
    wait_until(lambda: is_managing(screen, display), "openbox manages windows")
    yield
    display.close()
    process.terminate()
    process.wait()


def _ask(window: Window, message: str, *data: int) -> None:
    """Ask the window manager for something, as a task bar does."""
    event = x.ClientMessageEvent.synthetic(
        32, window.id, window.display.atom(message), x.ClientMessageData.synthetic([*data, 0, 0, 0, 0, 0][:5], "I" * 5)
    )
    mask = x.EventMask.SubstructureRedirect | x.EventMask.SubstructureNotify
    window.core.SendEvent(False, window.display.root, mask, event.pack())
    window.sync()


def test_a_managed_window_is_played(screen: OwnScreen, display: XDisplay, guard: Guard, window: Window) -> None:
    wait_until(lambda: window.id in {one.id for one in list_windows(display)}, "the window is managed")
    found = find_window(display, WindowQuery(title="freedoom"))
    assert found.id == window.id
    watch = WindowWatch(display, window.id)
    _ask(window, "_NET_ACTIVE_WINDOW", 1)
    wait_until(lambda: watch.state() is WindowState.READY, "the window has the focus")
    guard.watch(screen.name, screen.authority, window.id)
    injector = Injector(display, watch, guard)
    place = display.core.TranslateCoordinates(window.id, display.root, 0, 0).reply()
    assert (place.dst_x, place.dst_y) != (0, 0), "it has a frame"
    injector.pointer_to(place.dst_x + 50, place.dst_y + 50)
    window.events()
    assert injector.do(Action.of("w", "0")) is WindowState.READY
    came: list[str] = []

    def has_clicked() -> bool:
        came.extend(name for name, _ in window.events())  # the window manager looks at a click and passes it on
        return "ButtonPress" in came

    wait_until(has_clicked, "the click arrives")
    assert came == ["KeyPress", "ButtonPress"]
    injector.do(Action.of("w"))
    injector.pointer_to(place.dst_x + 50, place.dst_y - 5)  # its title bar
    injector.do(Action.of("w", "0"))
    assert injector.done == Action.of("w")
    assert not buttons_down(display), "the window manager's frame is not clicked"
    injector.release()
    assert not keys_down(display)


def test_a_minimised_window_pauses_and_comes_back(display: XDisplay, window: Window) -> None:
    watch, capture = WindowWatch(display, window.id), WindowCapture(display, window.id)
    _ask(window, "_NET_ACTIVE_WINDOW", 1)
    wait_until(lambda: watch.state() is WindowState.READY, "the window has the focus")
    assert capture.grab().shape == (100, 200, 4)
    _ask(window, "WM_CHANGE_STATE", ICONIC)
    wait_until(lambda: watch.state() is WindowState.MINIMISED, "the window is minimised")
    assert window.id in {one.id for one in list_windows(display)}, "it can still be found"
    _ask(window, "_NET_ACTIVE_WINDOW", 1)
    wait_until(lambda: watch.state() is WindowState.READY, "the window is back")
    assert capture.grab().shape == (100, 200, 4)
    capture.close()


def test_a_game_is_started_on_the_persons_screen(screen: OwnScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = need_game("chocolate-doom")
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    game = LaunchedDesktopGame(profile)
    try:
        game.reset(0)
        before = game.observe().pixels
        for _ in range(10):
            game.act(Action.of(dx=60))
            game.observe()
        wait_until(lambda: bool((game.observe().pixels != before).mean() > 0.2), "the view turns")
    finally:
        game.close()
