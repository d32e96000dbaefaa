"""Input through XTest, as the X server and the window see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from eyehand.action import BUTTONS, KEYS, Action
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.injector import Injector
from eyehand.desktop.x11.keys import BUTTON_NUMBERS, key_codes
from eyehand.desktop.x11.listener import Listener
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowState, WindowWatch
from eyehand.input_event import InputEvent
from fake_clock import FakeClock
from x_window import Window, buttons_down, keys_down, wait_until


@pytest.fixture
def injector(display: XDisplay, window: Window, guard: Guard, screen: OwnScreen) -> Iterator[Injector]:
    guard.watch(screen.name, screen.authority, window.id)
    injector = Injector(display, WindowWatch(display, window.id), guard, FakeClock())
    injector.pointer_to(100, 50)
    yield injector
    injector.release()


def _pointer(display: XDisplay) -> tuple[int, int]:
    reply = display.core.QueryPointer(display.root).reply()
    return reply.root_x, reply.root_y


def _do(injector: Injector, action: Action, came_of_it: Callable[[], bool]) -> None:
    """Inject an action until it has its effect: on a slow machine the watchdog releases it before the check."""

    def once() -> bool:
        injector.release()
        assert injector.do(action) is WindowState.READY
        return came_of_it()

    wait_until(once, f"what comes of {action}")


def test_every_key_has_a_code_of_its_own(display: XDisplay) -> None:
    codes = key_codes(display)
    assert set(codes) == set(KEYS)
    assert len(set(codes.values())) == len(KEYS)


def test_the_window_gets_each_change_once(injector: Injector, window: Window, display: XDisplay) -> None:
    w, shift = key_codes(display)["w"], key_codes(display)["LeftShift"]
    expected = [
        *(("KeyPress", w), ("KeyPress", shift), ("ButtonPress", 1)),
        *(("KeyRelease", w), ("ButtonRelease", 1), ("KeyRelease", shift)),
    ]
    actions = (Action.of("w"), Action.of(("w", "LeftShift"), "0"), Action.of(("LeftShift",)), Action())

    def is_as_expected() -> bool:
        window.events()
        for action in actions:
            assert injector.do(action) is WindowState.READY
        return window.events() == expected

    # On a machine that stalls between two ticks, injector and watchdog release, as they should.
    wait_until(is_as_expected, "four ticks without a pause")
    assert not injector.is_holding


def _press_and_release(injector: Injector) -> None:
    injector.do(Action.of("w", "0"))
    injector.release()


@pytest.mark.parametrize("part", ["press", "release"])
def test_what_ctrl_c_cuts_short_leaves_nothing_held(
    injector: Injector, display: XDisplay, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    send = display.connection.flush

    def interrupted(*_: object) -> None:
        send()
        raise KeyboardInterrupt

    if part == "press":
        monkeypatch.setattr(display.connection, "flush", interrupted)
    else:
        monkeypatch.setattr("eyehand.desktop.x11.injector.release_held", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _press_and_release(injector)
    monkeypatch.undo()
    injector.release()
    assert not keys_down(display)
    assert not buttons_down(display)


def test_every_key_and_button_arrives(injector: Injector, window: Window, display: XDisplay) -> None:
    codes = key_codes(display)
    for key in KEYS:
        _do(injector, Action.of((key,)), lambda key=key: keys_down(display) == {codes[key]})  # type: ignore[misc]
    window.events()
    for button in BUTTONS:
        pressed = ("ButtonPress", BUTTON_NUMBERS[button])
        _do(injector, Action.of((), (button,)), lambda pressed=pressed: pressed in window.events())  # type: ignore[misc]
    injector.do(Action())
    assert not keys_down(display)
    assert not buttons_down(display)


def test_motion_is_exact_and_adds_up(injector: Injector, display: XDisplay) -> None:
    injector.pointer_to(300, 200)
    total_x = total_y = 0
    for dx, dy in ((7, 0), (-3, 5), (120, -90), (-1, -1), (13, 37)):
        injector.do(Action.of(dx=dx, dy=dy))
        total_x, total_y = total_x + dx, total_y + dy
        assert _pointer(display) == (300 + total_x, 200 + total_y)


def test_the_wheel_keeps_what_does_not_fill_a_notch(injector: Injector, window: Window) -> None:
    seen: list[tuple[str, int]] = []

    def events() -> list[tuple[str, int]]:
        seen.extend(window.events())
        return seen

    events()
    seen.clear()
    wait_until(lambda: injector.do(Action(scroll_dy=100)) is WindowState.READY, "the first turn")
    injector.do(Action(scroll_dy=150))
    wait_until(lambda: len(events()) >= 4, "two notches of the wheel")
    assert seen == [("ButtonPress", 4), ("ButtonRelease", 4)] * 2  # and not a third for the 100
    seen.clear()
    injector.do(Action(scroll_dy=-130, scroll_dx=120))
    wait_until(lambda: len(events()) >= 4, "a notch of each wheel")
    assert seen == [("ButtonPress", 7), ("ButtonRelease", 7), ("ButtonPress", 5), ("ButtonRelease", 5)]


def test_nothing_reaches_another_window(
    injector: Injector, window: Window, display: XDisplay, open_window: Callable[..., Window]
) -> None:
    _do(injector, Action.of("wd", "0"), lambda: len(keys_down(display)) == 2)
    other = open_window("chat", size=(20, 20))
    other.focus()
    assert injector.do(Action.of("wd", "0", dx=9)) is WindowState.UNFOCUSED
    assert not keys_down(display)
    assert not buttons_down(display)
    assert _pointer(display) == (100, 50)
    assert not [event for event in other.events() if event[0].endswith("Press")]
    window.focus()
    _do(injector, Action.of("w"), lambda: len(keys_down(display)) == 1)


def test_putting_the_pointer_somewhere_is_no_motion(injector: Injector, display: XDisplay, screen: OwnScreen) -> None:
    """A game that reads raw motion (SDL does) would turn the view by the place of the pointer."""
    heard: list[InputEvent] = []
    listener = Listener(screen.name, screen.authority)
    listener.subscribe(heard.append)
    with closing(listener.start()):
        injector.pointer_to(150, 70)
        assert _pointer(display) == (150, 70)
        wait_until(lambda: injector.do(Action.of(dx=3)) is WindowState.READY, "a motion that is one")
        wait_until(lambda: bool(heard), "it is heard")
    assert {(event.kind, event.x, event.y) for event in heard} == {("mouse_delta", 3, 0)}


def test_a_click_beside_the_window_is_not_made(injector: Injector, display: XDisplay) -> None:
    injector.pointer_to(500, 400)
    _do(injector, Action.of("w", "0"), lambda: len(keys_down(display)) == 1)
    assert injector.done == Action.of("w")
    assert not buttons_down(display)


def test_a_motion_that_leads_into_the_window_clicks_there(
    injector: Injector, window: Window, display: XDisplay
) -> None:
    injector.pointer_to(250, 50)
    _do(injector, Action.of((), ("0",), dx=-200), lambda: ("ButtonPress", 1) in window.events())
    assert injector.done == Action.of((), ("0",), dx=-200)


def test_what_is_dragged_out_of_the_window_stays_in_hand_and_hits_nothing_else(
    injector: Injector, window: Window, display: XDisplay, open_window: Callable[..., Window]
) -> None:
    other = open_window("chat", size=(150, 100))
    other.configure(x=250, y=0)
    window.focus()
    wait_until(lambda: injector.watch.state() is WindowState.READY, "the window has the focus")
    _do(injector, Action.of((), ("0",)), lambda: bool(buttons_down(display)))
    window.events()
    other.events()
    injector.do(Action.of((), ("0",), dx=200))
    assert _pointer(display) == (300, 50)
    assert injector.do(Action.of((), ("0", "1"))) is WindowState.READY
    assert injector.done == Action.of((), ("0",)), "a second button would click beside it"
    injector.do(Action.of())
    wait_until(lambda: ("ButtonRelease", 1) in window.events(), "it is released where it was pressed")
    assert not [event for event in other.events() if event[0].startswith("Button")]


def test_a_motion_that_leads_out_of_the_window_makes_no_click(injector: Injector, display: XDisplay) -> None:
    assert injector.do(Action.of("w", "0", dx=300)) is WindowState.READY
    assert injector.done == Action.of("w", dx=300)
    assert _pointer(display) == (400, 50)
    assert not buttons_down(display)


def test_keys_are_pressed_anew_after_the_focus_was_away_for_a_moment(
    injector: Injector, window: Window, display: XDisplay, open_window: Callable[..., Window]
) -> None:
    w = key_codes(display)["w"]
    other = open_window("notification", size=(20, 20))

    def is_pressed_anew() -> bool:
        injector.do(Action.of("w"))
        other.focus()
        window.focus()
        window.events()
        injector.do(Action.of("w"))
        return keys_down(display) == {w} and ("KeyPress", w) in window.events()

    wait_until(is_pressed_anew, "two looks without a pause in between")


def test_a_window_that_closes_gets_everything_released(
    display: XDisplay, guard: Guard, screen: OwnScreen, open_window: Callable[..., Window]
) -> None:
    window = open_window("game")
    window.focus()
    guard.watch(screen.name, screen.authority, window.id)
    injector = Injector(display, WindowWatch(display, window.id), guard)
    injector.do(Action.of("w"))
    window.core.DestroyWindow(window.id)
    window.sync()
    assert injector.do(Action.of("w")) is WindowState.GONE
    assert not keys_down(display)
    injector.release()
