"""What a person does on a real X server is heard, all of it, with exact sums, and told apart from what we inject."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import xcffib.xproto as x

from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.listener import DeviceMotion, EventReader, Listener
from eyehand.desktop.x11.raw_events import Valuator
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.errors import UserError
from eyehand.input_event import InputEvent
from fake_clock import FakeClock
from programs import need
from x_typist import PRESS, RELEASE, Typist
from x_window import Window, wait_until


@pytest.fixture
def person(display: XDisplay) -> Typist:
    return Typist(display)


@pytest.fixture
def listener(screen: OwnScreen) -> Iterator[Listener]:
    with Listener(screen.name, screen.authority, hears_injected=True) as listener:
        yield listener
    listener.close()


def _drain(reader: EventReader, is_last: Callable[[InputEvent], bool]) -> list[InputEvent]:
    """Everything up to an event that is sure to come."""
    events: list[InputEvent] = []

    def has_come() -> bool:
        events.extend(reader.drain())
        return any(map(is_last, events))

    wait_until(has_come, "the last event")
    return events


def _released(key: str) -> Callable[[InputEvent], bool]:
    return lambda event: event.name == key and not event.is_pressed


def test_every_event_is_heard_with_its_name(listener: Listener, person: Typist) -> None:
    reader = listener.reader()
    person.key("LeftShift")
    person.do(PRESS, 3)
    for button in (1, 8):
        person.do(PRESS, button)
        person.do(RELEASE, button)
    for notch in (4, 5, 5, 7):
        person.do(PRESS, notch)
        person.do(RELEASE, notch)
    person.move(-3, 20)
    person.do(RELEASE, 3)
    person.key("LeftShift", False)
    events = _drain(reader, _released("LeftShift"))
    assert [(event.kind, event.name, event.is_pressed, event.x, event.y) for event in events] == [
        ("key", "LeftShift", True, 0, 0),
        ("button", "1", True, 0, 0),
        ("button", "0", True, 0, 0),
        ("button", "0", False, 0, 0),
        ("button", "3", True, 0, 0),
        ("button", "3", False, 0, 0),
        ("wheel", "", False, 0, 120),
        ("wheel", "", False, 0, -120),
        ("wheel", "", False, 0, -120),
        ("wheel", "", False, 120, 0),
        ("mouse_delta", "", False, -3, 20),
        ("button", "1", False, 0, 0),
        ("key", "LeftShift", False, 0, 0),
    ]
    times = [event.time_ns for event in events]
    assert times == sorted(times)
    assert not any(event.is_simulated for event in events)


def test_motion_under_a_grab_adds_up_exactly(listener: Listener, person: Typist, window: Window) -> None:
    """A game holds the pointer and puts it back all the time: what the hand does is heard all the same."""
    reader = listener.reader()
    status = window.core.GrabPointer(
        *(False, window.id, x.EventMask.PointerMotion, x.GrabMode.Async, x.GrabMode.Async),
        *(window.id, 0, x.Time.CurrentTime),
    ).reply()
    assert status.status == x.GrabStatus.Success
    try:
        for index in range(500):
            person.move(index % 23 - 9, 5 - index % 11)
            window.core.WarpPointer(0, window.id, 0, 0, 0, 0, 100, 50)
            window.sync()
        person.key("F1")
        person.key("F1", False)
        events = _drain(reader, _released("F1"))
    finally:
        window.core.UngrabPointer(x.Time.CurrentTime)
        window.sync()
    moves = [event for event in events if event.kind == "mouse_delta"]
    assert sum(event.x for event in moves) == sum(index % 23 - 9 for index in range(500))
    assert sum(event.y for event in moves) == sum(5 - index % 11 for index in range(500))
    assert len(moves) == sum((index % 23, index % 11) != (9, 5) for index in range(500))


def test_what_is_held_follows_the_events(listener: Listener, person: Typist) -> None:
    reader = listener.reader()
    person.key("w")
    person.key("LeftShift")
    person.do(PRESS, 1)
    wait_until(lambda: listener.held.buttons == {"0"}, "the button is heard")
    assert listener.held.keys == {"w", "LeftShift"}
    person.key("w", False)
    person.do(RELEASE, 1)
    person.key("LeftShift", False)
    _drain(reader, _released("LeftShift"))
    assert listener.held.keys == listener.held.buttons == frozenset()


def test_keys_that_are_down_already_are_known(screen: OwnScreen, person: Typist) -> None:
    person.key("s")
    person.do(PRESS, 3)
    person.sync()
    try:
        with Listener(screen.name, screen.authority) as listener:
            assert listener.held.keys == {"s"}
            assert listener.held.buttons == {"1"}
    finally:
        person.key("s", False)
        person.do(RELEASE, 3)
        person.sync()


def test_the_injected_is_told_apart(screen: OwnScreen, person: Typist) -> None:
    with Listener(screen.name, screen.authority) as listener:
        reader = listener.reader()
        person.key("w")
        person.move(5, 0)
        person.key("w", False)
        events = _drain(reader, _released("w"))
        assert len(events) == 3
        assert all(event.is_simulated for event in events)
        assert not listener.held.keys


def test_a_persons_own_device_is_told_apart(screen: OwnScreen, person: Typist, guard: Guard) -> None:
    """In Xephyr, a server within a window, the keys of the outer server come from a keyboard that is not XTest's."""
    need("Xephyr")
    before = {name: os.environ.get(name) for name in ("DISPLAY", "XAUTHORITY")}
    os.environ.update(screen.environment)
    try:
        inner = OwnScreen((320, 240), guard, visible=True)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    try:
        shown = list(person.display.core.QueryTree(person.display.root).reply().children)
        person.display.core.SetInputFocus(x.InputFocus.PointerRoot, shown[-1], 0)
        injecting = XDisplay.open(inner.name, inner.authority)
        with Listener(inner.name, inner.authority) as listener:
            reader = listener.reader()

            def is_heard() -> bool:
                person.key("d")
                person.key("d", False)
                person.sync()
                return any(not event.is_simulated for event in seen(reader))

            def seen(reader: EventReader) -> list[InputEvent]:
                return [event for event in reader.drain() if event.name == "d"]

            wait_until(is_heard, "a key typed into Xephyr")
            Typist(injecting).key("a")
            Typist(injecting).key("a", False)
            Typist(injecting).sync()
            events = _drain(reader, _released("a"))
            assert all(event.is_simulated == (event.name == "a") for event in events if event.kind == "key")
        injecting.close()
    finally:
        inner.close()


def test_every_reader_hears_everything_and_callbacks_come_first(listener: Listener, person: Typist) -> None:
    first, second = listener.reader(), listener.reader()
    called: list[InputEvent] = []
    listener.subscribe(called.append)
    person.key("e")
    person.key("e", False)
    events = _drain(first, _released("e"))
    assert events == called == _drain(second, _released("e"))
    assert first.drain() == []


def test_catching_up_leaves_nothing_unheard(listener: Listener, person: Typist) -> None:
    reader = listener.reader()
    for index in range(50):
        person.move(1, 0)
        person.sync()
        listener.catch_up()
        assert len(reader.drain()) == 1, index
    listener.close()
    listener.catch_up()


def test_a_listener_that_got_no_time_still_knows_when_it_happened(listener: Listener, person: Typist) -> None:
    """The server's clock tells, to within its step, although the thread came to it much later."""
    go_on = threading.Event()
    listener.subscribe(lambda event: go_on.wait(60) and None)
    reader = listener.reader()
    person.key("q")  # the thread is held up by this one
    person.sync()
    begin_ns = time.monotonic_ns()
    person.key("q", False)
    person.sync()
    end_ns = time.monotonic_ns()
    while time.monotonic_ns() < end_ns + 200_000_000:
        time.sleep(0.01)
    go_on.set()
    event = _drain(reader, _released("q"))[-1]
    assert begin_ns - 10_000_000 <= event.time_ns <= end_ns + 10_000_000


def test_fractions_and_places_add_up_to_pixels() -> None:
    motion = DeviceMotion()
    moved = [motion.pixels({0: 0.3, 1: -0.7}, {}, (640, 480)) for _ in range(10)]
    assert (sum(dx for dx, _ in moved), sum(dy for _, dy in moved)) in {(3, -7), (2, -6), (3, -6), (2, -7)}
    tablet = {0: Valuator(True, 0, 6399), 1: Valuator(True, 0, 4799)}
    motion = DeviceMotion()
    places = [(1000, 1000), (1010, 1000), (6399, 0), (0, 4799)]
    steps = [motion.pixels({0: float(px), 1: float(py)}, tablet, (640, 480)) for px, py in places]
    assert steps == [(0, 0), (1, 0), (538, -100), (-639, 479)]


@pytest.mark.needs("Xvfb")
def test_a_display_that_dies_is_one_sentence(guard: Guard) -> None:
    screen = OwnScreen((320, 240), guard)
    with Listener(screen.name, screen.authority) as listener:
        reader = listener.reader()
        screen.close()
        with pytest.raises(UserError, match="is gone"):
            wait_until(lambda: bool(reader.drain()), "the end")


def test_a_display_without_raw_events_is_one_sentence(screen: OwnScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server's refusal: a mask for a device that does not exist stands for a server that lets nobody see."""
    monkeypatch.setattr("eyehand.desktop.x11.raw_events._ALL_MASTERS", 250)
    with pytest.raises(UserError, match="does not let this program see raw input events"):
        Listener(screen.name, screen.authority).start()
    monkeypatch.undo()
    monkeypatch.setattr("eyehand.desktop.x11.raw_events._EXTENSION", "XInputExtensionThatIsNotThere")
    with pytest.raises(UserError, match="has no XInput extension"):
        Listener(screen.name, screen.authority).start()


def test_the_clock_of_frames_stamps_the_events(screen: OwnScreen, person: Typist) -> None:
    clock = FakeClock(10**18)
    with Listener(screen.name, screen.authority, clock=clock, hears_injected=True) as listener:
        reader = listener.reader()
        person.key("z")
        person.key("z", False)
        assert _drain(reader, _released("z"))[-1].time_ns == 10**18
