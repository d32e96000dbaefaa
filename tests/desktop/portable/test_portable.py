"""The portable backend, on X11: the same contract as the native one, checked against the same X server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from eyehand.action import Action
from eyehand.cli import main
from eyehand.desktop.window_query import WindowQuery, WindowState
from eyehand.desktop.x11.capture import WindowCapture
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.keys import key_codes
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome
from eyehand.input_event import InputEvent
from eyehand.play.shared_game import SharedGame
from eyehand.player import Decision, Observation
from eyehand.players.hotkeys import TakeoverKeys
from eyehand.players.takeover import Takeover, Turn
from eyehand.session import Session
from programs import need
from x_person import Person
from x_window import Window, buttons_down, is_managing, keys_down, wait_until

if TYPE_CHECKING:
    from eyehand.games.desktop.portable import PortableGame


@dataclass
class Desktop:
    """A desktop that lets everybody of this machine in, for python-xlib does not know our kind of cookie."""

    name: str
    authority: None = None


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    need("Xvfb")
    need("openbox")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-ac", "-noreset", "-nolisten", "tcp", "-screen", "0", "640x480x24"],
        pass_fds=(writing,),
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as file:
        desktop = Desktop(f":{file.readline().strip()}")
    before = {name: os.environ.pop(name, None) for name in ("DISPLAY", "XAUTHORITY")}
    os.environ["DISPLAY"] = desktop.name
    manager = subprocess.Popen(["openbox", "--sm-disable"], stderr=subprocess.DEVNULL)
    try:
        from eyehand.desktop.portable import require_portable

        try:
            require_portable()
        except UserError as error:
            pytest.skip(str(error))
        display = XDisplay.open(desktop.name)
        wait_until(lambda: is_managing(desktop, display), "openbox manages windows")  # type: ignore[arg-type]
        display.close()
        yield desktop
    finally:
        for process in (manager, server):
            process.terminate()
            process.wait()
        del os.environ["DISPLAY"]
        os.environ.update({name: value for name, value in before.items() if value is not None})


@pytest.fixture
def display(desktop: Desktop) -> Iterator[XDisplay]:
    display = XDisplay.open(desktop.name)
    yield display
    display.close()


@pytest.fixture
def window(desktop: Desktop, display: XDisplay) -> Iterator[Window]:
    window = Window(desktop, "Freedoom: Phase 2")  # type: ignore[arg-type]
    wait_until(lambda: window.id in display.property_numbers(display.root, "_NET_CLIENT_LIST"), "it is managed")
    _activate(window, display)
    yield window
    window.close()
    wait_until(lambda: window.id not in display.property_numbers(display.root, "_NET_CLIENT_LIST"), "it is gone")


def _activate(window: Window, display: XDisplay) -> None:
    window.focus()
    wait_until(lambda: display.property_numbers(display.root, "_NET_ACTIVE_WINDOW") == [window.id], "it is active")


def _pointer_to(window: Window, display: XDisplay, x_px: int = 50, y_px: int = 50) -> None:
    place = display.core.TranslateCoordinates(window.id, display.root, x_px, y_px).reply()
    display.core.WarpPointer(0, display.root, 0, 0, 0, 0, place.dst_x, place.dst_y)
    display.core.GetInputFocus().reply()


@pytest.fixture
def game(desktop: Desktop, window: Window) -> Iterator[PortableGame]:
    from eyehand.games.desktop.portable import PortableGame

    game = PortableGame(WindowQuery(title="freedoom"), say=lambda _: None)
    yield game
    game.close()
    game.close()


@pytest.mark.parametrize("kind", ["key", "button"])
def test_what_ctrl_c_cuts_short_leaves_nothing_held(
    game: PortableGame, window: Window, display: XDisplay, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    game.reset(0)
    _pointer_to(window, display)
    assert game.window is not None
    injector = game.window.injector
    device = injector._keyboard if kind == "key" else injector._mouse
    press = device.press

    def interrupted(what: object) -> None:
        press(what)
        raise KeyboardInterrupt

    monkeypatch.setattr(device, "press", interrupted)
    with pytest.raises(KeyboardInterrupt):
        game.act(Action.of("w", "0"))
    game.release()
    wait_until(lambda: not (keys_down(display) or buttons_down(display)), "what was pressed is released")


def test_the_picture_is_the_windows(game: PortableGame, window: Window, display: XDisplay) -> None:
    window.fill(0xFF8000, 0, 0, 120, 30)
    game.reset(0)
    native = WindowCapture(display, window.id)
    np.testing.assert_array_equal(game.observe().pixels, Frame(native.grab(), 0).pixels)
    native.close()


def test_the_injector_holds_moves_scrolls_and_releases(game: PortableGame, window: Window, display: XDisplay) -> None:
    game.reset(0)
    codes = key_codes(display)
    _pointer_to(window, display)
    pointer = display.core.QueryPointer(display.root).reply()
    game.act(Action.of(["w", "LeftShift", "UpArrow"]))
    wait_until(lambda: keys_down(display) == {codes[name] for name in ("w", "LeftShift", "UpArrow")}, "three keys")
    game.act(Action.of(["w", "1"], ["1"], dx=7, dy=-4))
    wait_until(lambda: keys_down(display) == {codes["w"], codes["1"]}, "the difference")
    wait_until(lambda: buttons_down(display) == {3}, "the right button")
    moved = display.core.QueryPointer(display.root).reply()
    assert (moved.root_x - pointer.root_x, moved.root_y - pointer.root_y) == (7, -4)
    game.release()
    wait_until(lambda: not keys_down(display) and not buttons_down(display), "everything is released")
    window.events()
    pixels = 0
    _pointer_to(window, display)
    for _ in range(4):
        game.act(Action(scroll_dy=60))
        pixels += 60
    clicks: list[tuple[str, int]] = []
    wait_until(lambda: clicks.extend(window.events()) or clicks.count(("ButtonRelease", 4)) == 2, "two notches")  # type: ignore[func-returns-value]


def test_a_click_beside_the_window_is_not_made(game: PortableGame, window: Window, display: XDisplay) -> None:
    """It would go to another window, or open the menu of the desktop, and take the focus away."""
    game.reset(0)
    _pointer_to(window, display, y_px=-5)  # its title bar
    assert game.act(Action.of(["w"], ["0"], dx=1)) == Action.of(["w"], dx=1)
    wait_until(lambda: bool(keys_down(display)), "the key is down")
    assert not buttons_down(display)
    _pointer_to(window, display)
    assert game.act(Action.of(["w"], ["0"], dy=-70)) == Action.of(["w"], dy=-70), "the motion leads out of the window"
    _pointer_to(window, display)
    assert game.act(Action.of(["w"], ["0"])) == Action.of(["w"], ["0"])
    wait_until(lambda: buttons_down(display) == {1}, "the button is down")
    game.release()


def test_every_key_has_a_number_that_comes_back(desktop: Desktop) -> None:
    from eyehand.action import KEYS
    from eyehand.desktop.key_symbols import WINDOWS_KEYS
    from eyehand.desktop.portable import virtual_keys

    assert [virtual_keys.key_of(virtual_keys.number_of(name)) for name in KEYS] == list(KEYS)
    for table in (WINDOWS_KEYS, virtual_keys._MACOS):
        assert set(table) <= set(KEYS)
        assert len(set(table.values())) == len(table)
    assert virtual_keys.key_of(None, "W") == "w"
    assert virtual_keys.key_of(None, "!") == "1"
    assert virtual_keys.key_of(None, "ä") is None


def test_without_the_focus_nothing_is_held_and_the_session_pauses(
    game: PortableGame, window: Window, desktop: Desktop, display: XDisplay
) -> None:
    game.reset(0)
    game.act(Action.of(["w"]))
    wait_until(lambda: bool(keys_down(display)), "the key is down")
    other = Window(desktop, "chat")  # type: ignore[arg-type]
    _activate(other, display)
    looking = threading.Thread(target=game.observe)
    looking.start()
    wait_until(lambda: game.is_paused, "the session pauses")
    wait_until(lambda: not keys_down(display), "the key is released")
    assert game.window is not None
    assert game.window.do(Action.of(["w"])) is WindowState.UNFOCUSED
    assert not keys_down(display)
    other.close()
    _activate(window, display)
    looking.join(60)
    assert not looking.is_alive()


def test_a_closed_window_and_one_that_is_not_there_are_said(game: PortableGame, window: Window) -> None:
    from eyehand.games.desktop.portable import PortableGame

    game.reset(0)
    window.core.DestroyWindow(window.id)
    window.sync()
    with pytest.raises(UserError, match="closed"):
        game.observe()
    with pytest.raises(UserError, match="No window matches"):
        PortableGame(WindowQuery(title="Quake")).reset(0)


@pytest.mark.slow  # ten seconds and more
def test_a_person_takes_over_and_our_own_input_does_not(
    game: PortableGame, desktop: Desktop, display: XDisplay, window: Window
) -> None:
    class Agent:
        def reset(self, seed: int) -> None: ...

        def act(self, observation: Observation) -> Decision:
            number[0] += 1
            return Decision(Action.of(["w"] if number[0] % 4 < 2 else [], dx=(-1) ** number[0]))

    number = [0]
    stopped, listening = threading.Event(), contextlib.ExitStack()
    takeover = Takeover(Agent(), TakeoverKeys("F9"), stop=stopped.set)
    shared = SharedGame(game, takeover, lambda: listening.enter_context(contextlib.closing(game.listen(takeover.hear))))
    session = Session(shared, takeover, source=takeover)
    playing = threading.Thread(target=lambda: session.run_episode(0, max_seconds=600))
    game.outcome = lambda: Outcome(done=stopped.is_set())  # type: ignore[method-assign]
    person = Person(desktop)  # type: ignore[arg-type]
    playing.start()
    try:
        wait_until(lambda: number[0] > 12, "the agent plays, presses and releases")
        assert takeover.turn is Turn.AGENT
        person.press("a")
        wait_until(lambda: takeover.turn is Turn.PERSON, "the person takes over")
        wait_until(lambda: keys_down(display) == {key_codes(display)["a"]}, "the agent's key is released")
        person.release("a")
        person.tap("F9")
        wait_until(lambda: takeover.turn is Turn.AGENT, "and lets the agent resume")
        person.tap("F12")
        assert stopped.wait(60)
    finally:
        stopped.set()
        playing.join()
        listening.close()
        person.close()


def test_a_hook_that_has_ended_is_said(game: PortableGame, desktop: Desktop) -> None:
    def fail(event: InputEvent) -> None:
        raise ValueError("what hears it is broken")

    game.reset(0)
    person = Person(desktop)  # type: ignore[arg-type]
    with contextlib.closing(game.listen(fail)) as listener:
        listener.check()
        person.tap("w")
        wait_until(lambda: not listener._keyboard.is_alive(), "the hook ends")
        with pytest.raises(UserError, match="cannot be heard any more"):
            listener.check()
    person.close()


@pytest.mark.slow  # ten seconds and more
def test_what_a_person_does_is_heard(game: PortableGame, desktop: Desktop) -> None:
    game.reset(0)
    heard: list[InputEvent] = []
    listener = game.listen(heard.append)
    person = Person(desktop)  # type: ignore[arg-type]
    for name in ("w", "LeftShift", "F5", "Space", "3", "button 0"):
        person.tap(name)
    wait_until(lambda: len(heard) >= 12, "all of it")
    listener.close()
    person.close()
    for kind, names in (("key", ("w", "LeftShift", "F5", "Space", "3")), ("button", ("0",))):
        told = [(event.name, event.is_pressed) for event in heard if event.kind == kind]
        assert told == [(name, is_pressed) for name in names for is_pressed in (True, False)]


KILLED = """
import time
from eyehand.action import Action
from eyehand.desktop.window_query import WindowQuery
from eyehand.games.desktop.portable import PortableGame
game = PortableGame(WindowQuery(title="freedoom"))
game.reset(0)
while True:
    game.act(Action.of(["w"], ["0"]))
    print("held", flush=True)
    time.sleep(0.05)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hanging_player_holds_nothing(
    desktop: Desktop, window: Window, display: XDisplay, number: signal.Signals
) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    _pointer_to(window, display)
    process.stdout.readline()
    wait_until(lambda: bool(keys_down(display)) and bool(buttons_down(display)), "both are held")
    process.send_signal(number)
    wait_until(lambda: not keys_down(display) and not buttons_down(display), "the watchdog releases both")
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_the_command_line_plays_it(desktop: Desktop, window: Window, tmp_path: Path) -> None:
    arguments = ["--player", "random", "--seconds", "0.5", "--no-video", "--out", str(tmp_path)]
    assert main(["play", "--window", "Freedoom", "--backend", "portable", *arguments]) == 0
    assert main(["play", "--game", "chocolate-doom", "--backend", "portable", *arguments]) == 2
