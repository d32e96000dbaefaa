"""The listener on an X display: `Listener` receives every key, button, motion and wheel event.

It uses XInput2's raw events, which come also while a game grabs keyboard and pointer, with the device's own motion. A
thread with a connection of its own stamps them on the clock of frames. XTest's events are marked by their source device
(`is_simulated`); `Listener.held` is rebuilt from the person's events alone. Every reader gets every event; callbacks
are called at once, on the listener's thread. Knows nothing of windows: it receives input for other windows too.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import xcffib

from eyehand.action import PIXELS_PER_NOTCH
from eyehand.clock import Clock, SystemClock
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.keys import BUTTON_NUMBERS, SCROLL_BUTTONS, key_codes
from eyehand.desktop.x11.raw_events import Device, RawEvent, RawEvents, RawKind, Valuator
from eyehand.errors import UserError
from eyehand.input_event import InputEvent

__all__ = ["EventReader", "Held", "Listener"]

_MS = 1_000_000
_CLOCK_STEP_MS = 5
"""The X server's clock may go in steps of so much: within it the moment of receipt is the better one."""

_OLDEST_MS = 10_000
_END, _CATCH_UP = b"x", b"c"
_PATIENCE_S = 1.0
_WHEEL = {
    SCROLL_BUTTONS["up"]: (0, PIXELS_PER_NOTCH),
    SCROLL_BUTTONS["down"]: (0, -PIXELS_PER_NOTCH),
    SCROLL_BUTTONS["left"]: (-PIXELS_PER_NOTCH, 0),
    SCROLL_BUTTONS["right"]: (PIXELS_PER_NOTCH, 0),
}
_BUTTON_NAMES = {number: name for name, number in BUTTON_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Held:
    """A person's held keys and buttons: names as in `action`, `KeyCode79` or `Button10` where there is none."""

    keys: frozenset[str] = frozenset()
    buttons: frozenset[str] = frozenset()


class EventReader:
    """A queue of events for one reader; see `Listener.reader`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._events: deque[InputEvent] = deque()

    def drain(self) -> list[InputEvent]:
        """The events since the last call, in the order of time; `time_ns` is on the listener's clock.

        Raises:
            UserError: the display is gone, and all that came before has been read.
        """
        events: list[InputEvent] = []
        while self._events:
            events.append(self._events.popleft())
        if not events:
            self._listener.check()
        return events


class Listener:
    """Receives the input events of a display, from `start` to `close`.

    Args:
        display: as in DISPLAY; None: the environment's.
        authority: Xauthority file; None: the environment's.
        hears_injected: XTest's events count as the person's (for tests: relative motion only, since an absolute
            one cannot be told from it).
        clock: stamps the events; the one that stamps the frames.

    Raises:
        UserError: from `start`: no such display, or it has no raw events.
    """

    def __init__(
        self,
        display: str | None = None,
        authority: str | None = None,
        *,
        hears_injected: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._name = display
        self._authority = authority
        self._hears_injected = hears_injected
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._readers: list[EventReader] = []
        self._callbacks: list[Callable[[InputEvent], None]] = []
        self._held = Held()
        self._asking: deque[threading.Event] = deque()
        self._failure: BaseException | None = None
        self._display: XDisplay | None = None
        self._thread: threading.Thread | None = None
        self._wake = (-1, -1)

    def __enter__(self) -> Listener:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def held(self) -> Held:
        """The person's held state now. Keys that were down before `start` count as the person's."""
        return self._held

    def start(self) -> Listener:
        """Start listening. Events count from the return of this call."""
        if self._thread is not None:
            raise RuntimeError("the listener is listening already")
        display = XDisplay.open(self._name, self._authority)
        try:
            source = RawEvents(display)
            translator = _Translator(source, self._clock, self._hears_injected)
            self._held = translator.held_now()
        except BaseException:
            display.close()
            raise
        self._display, self._failure = display, None
        self._wake = os.pipe()
        self._thread = threading.Thread(
            target=self._listen, args=(source, translator), name="eyehand listener", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop listening. May be called twice; readers keep what they have."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            os.write(self._wake[1], _END)
        thread.join()
        for descriptor in self._wake:
            os.close(descriptor)
        if self._display is not None:
            self._display.close()

    def reader(self) -> EventReader:
        """A new reader, which gets every event from now on."""
        reader = EventReader(self)
        with self._lock:
            self._readers.append(reader)
        return reader

    def subscribe(self, callback: Callable[[InputEvent], None]) -> None:
        """Call `callback` with every event from now on, on the listener's thread, before readers get it. It must be
        quick; its exception ends the listener and is raised by readers."""
        with self._lock:
            self._callbacks.append(callback)

    def catch_up(self) -> None:
        """Return when all events before this call have reached readers and callbacks.

        After a second it returns all the same: a machine on which the listener gets no time must not stop the rest.
        """
        done = threading.Event()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return
            self._asking.append(done)
            os.write(self._wake[1], _CATCH_UP)
        done.wait(_PATIENCE_S)

    def check(self) -> None:
        """Raise the error that ended the listener, if any.

        Raises:
            UserError: the display is gone.
        """
        if self._failure is not None:
            raise self._failure

    def _listen(self, source: RawEvents, translator: _Translator) -> None:
        try:
            asking: list[threading.Event] = []
            while True:
                while (raw := source.next()) is not None:
                    for event in translator.events(raw):
                        self._tell(event)
                for done in asking:
                    done.set()
                asking.clear()
                ready, _, _ = select.select([source.descriptor, self._wake[0]], [], [])
                if self._wake[0] not in ready:
                    continue
                if os.read(self._wake[0], 1) == _END:
                    return
                asking.append(self._asking.popleft())
                source.display.core.GetInputFocus().reply()  # events that happened before this answer precede it
        except xcffib.ConnectionException:
            self._failure = UserError(
                f"The display {source.display.name!r} is gone: the X server has ended or closed us out."
            )
        except BaseException as error:  # handed to whoever reads, who raises it
            self._failure = error

    def _tell(self, event: InputEvent) -> None:
        if not event.is_simulated:
            self._held = _after(self._held, event)
        with self._lock:
            readers, callbacks = list(self._readers), list(self._callbacks)
        for callback in callbacks:
            callback(event)
        for reader in readers:
            reader._events.append(event)


def _after(held: Held, event: InputEvent) -> Held:
    """The held state after an event."""
    if event.kind == "key":
        return Held(held.keys | {event.name} if event.is_pressed else held.keys - {event.name}, held.buttons)
    if event.kind == "button":
        return Held(held.keys, held.buttons | {event.name} if event.is_pressed else held.buttons - {event.name})
    return held


class _Translator:
    """Translates raw events into `InputEvent`s with our clock and names."""

    def __init__(self, source: RawEvents, clock: Clock, hears_injected: bool) -> None:
        self._source = source
        self._clock = clock
        self._hears_injected = hears_injected
        self._key_names = {code: name for name, code in key_codes(source.display).items()}
        self._devices = source.devices()
        self._motions = {number: DeviceMotion() for number in self._devices}
        self._screen_px = source.display.size_px
        self._last_ns = 0

    def held_now(self) -> Held:
        """The keys and buttons that are down on the display, injected ones included."""
        display = self._source.display
        with display.talk():
            keymap = display.core.QueryKeymap()
            pointer = display.core.QueryPointer(display.root)
            down, mask = bytes(keymap.reply().keys), pointer.reply().mask
        keys = {self._key_name(code) for code in range(256) if down[code // 8] >> (code % 8) & 1}
        buttons = {_BUTTON_NAMES[button] for button in (1, 2, 3) if mask >> (7 + button) & 1}
        return Held(frozenset(keys), frozenset(buttons))

    def events(self, raw: RawEvent) -> list[InputEvent]:
        """The events of one raw event; none where motion is less than a pixel so far."""
        time_ns = self._time_ns(raw.time_ms)
        device = self._device(raw.source)
        is_simulated = device.is_injecting and not self._hears_injected
        if raw.kind == RawKind.MOTION:
            x, y = self._motions[raw.source].pixels(raw.values, device.axes, self._screen_px)
            return [InputEvent(time_ns, "mouse_delta", x=x, y=y, is_simulated=is_simulated)] if x or y else []
        is_pressed = raw.kind in (RawKind.KEY_PRESS, RawKind.BUTTON_PRESS)
        if raw.kind in (RawKind.KEY_PRESS, RawKind.KEY_RELEASE):
            return [InputEvent(time_ns, "key", self._key_name(raw.detail), is_pressed, is_simulated=is_simulated)]
        if raw.detail in _WHEEL:
            x, y = _WHEEL[raw.detail]
            return [InputEvent(time_ns, "wheel", x=x, y=y, is_simulated=is_simulated)] if is_pressed else []
        name = _BUTTON_NAMES.get(raw.detail, f"Button{raw.detail}")
        return [InputEvent(time_ns, "button", name, is_pressed, is_simulated=is_simulated)]

    def _key_name(self, code: int) -> str:
        return self._key_names.get(code, f"KeyCode{code}")

    def _device(self, number: int) -> Device:
        """The device of this number; the list is read anew for an unknown one."""
        if number not in self._devices:
            self._devices = self._source.devices()
            self._motions = {number: self._motions.get(number, DeviceMotion()) for number in self._devices}
            if number not in self._devices:  # pulled out already
                self._devices[number], self._motions[number] = Device("", False, {}), DeviceMotion()
        return self._devices[number]

    def _time_ns(self, server_ms: int) -> int:
        """The time of an event. An X server on this machine has the same clock: then its time stamp corrects for the
        delay of this thread on a busy machine."""
        now_ns = self._clock.now_ns()
        behind_ms = (now_ns // _MS - server_ms) % 2**32
        if _CLOCK_STEP_MS < behind_ms < _OLDEST_MS:
            now_ns -= behind_ms * _MS
        self._last_ns = max(self._last_ns, now_ns)
        return self._last_ns


class DeviceMotion:
    """Accumulates one device's motion to whole pixels without loss."""

    def __init__(self) -> None:
        self._rest = [0.0, 0.0]
        self._place: dict[int, float] = {}

    def pixels(
        self, values: dict[int, float], axes: dict[int, Valuator], screen_px: tuple[int, int]
    ) -> tuple[int, int]:
        """The whole pixels (right, down) of an event and the remainder of earlier ones.

        Args:
            values: of the event, by axis.
            axes: the device's; an absolute one (a tablet, the mouse of a virtual machine) spans the screen.
            screen_px: width and height.
        """
        whole = [0, 0]
        for number in (0, 1):
            if number not in values:
                continue
            axis = axes.get(number)
            moved = values[number]
            if axis is not None and axis.is_absolute:
                before = self._place.get(number, moved)
                self._place[number] = moved
                span = axis.most - axis.least
                moved = (moved - before) * (screen_px[number] / (span + 1) if span > 0 else 1.0)
            self._rest[number] += moved
            whole[number] = int(self._rest[number])
            self._rest[number] -= whole[number]
        return whole[0], whole[1]
