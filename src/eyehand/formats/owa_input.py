"""Actions from OWA's keyboard and mouse messages: `OwaInput` keeps what is held and gives an Action for each tick.

A key or button that was pressed and released within one tick counts as held in it, as in P2P's recordings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eyehand.action import PIXELS_PER_NOTCH, Action
from eyehand.desktop.key_symbols import WINDOWS_KEYS
from eyehand.formats.motion import plausible
from eyehand.input_event import InputEvent

__all__ = ["OwaInput", "is_raw_motion"]

_BUTTONS = {"left": "0", "right": "1", "middle": "2", "x1": "3", "x2": "4"}
_RAW_BUTTONS = tuple((str(n), 1 << 2 * n, 2 << 2 * n) for n in range(5))
"""Button, the flag that it went down and the flag that it went up, of Windows' RAWMOUSE.usButtonFlags."""

_RAW_WHEEL, _RAW_HORIZONTAL_WHEEL = 0x0400, 0x0800
_RAW_ABSOLUTE = 0x0001

_KEY_OF_CODE = {code: key for key, code in WINDOWS_KEYS.items()}
_KEY_OF_CODE |= {0x10: "LeftShift", 0x11: "LeftControl", 0x12: "LeftAlt"}  # codes that do not say which side
_SIDES = {0x10: {0xA0, 0xA1}, 0x11: {0xA2, 0xA3}, 0x12: {0xA4, 0xA5}}
"""Codes of shift, control and alt without a side, which states hold beside those of the sides."""

_SETTLED_NS = 50_000_000
"""A state may have been read so long before it was noted: an event in between is newer than the state."""


def is_raw_motion(data: Mapping[str, Any]) -> bool:
    """Whether a RawMouseEvent says how the mouse moved, and not where it is (remote desktops, virtual machines)."""
    return not int(data.get("us_flags") or 0) & _RAW_ABSOLUTE and bool(data.get("last_x") or data.get("last_y"))


@dataclass
class OwaInput:
    """The input state of keyboard and mouse, from one message to the next.

    Attributes:
        has_raw_motion: RawMouseEvents say how the mouse moved, which is more than the pointer's way.
        has_clicks: there are MouseEvents, so that raw buttons and wheels would count twice.
    """

    has_raw_motion: bool
    has_clicks: bool
    _keys: set[str] = field(default_factory=set)
    _buttons: set[str] = field(default_factory=set)
    _tapped_keys: set[str] = field(default_factory=set)
    _tapped_buttons: set[str] = field(default_factory=set)
    _events: list[InputEvent] = field(default_factory=list)
    _pointer: tuple[int, int] | None = None
    _unknown: Counter[str] = field(default_factory=Counter)
    _num_absolute: int = 0
    _switched_ns: dict[tuple[str, str], int] = field(default_factory=dict)
    _num_missed: Counter[bool] = field(default_factory=Counter)

    def see(self, time_ns: int, kind: str, data: Mapping[str, Any]) -> None:
        """Take in a message; kinds that are not about keyboard and mouse are passed over.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it is not laid out as such messages are.
        """
        match kind:
            case "KeyboardEvent":
                self._key(time_ns, int(data["vk"]), {"press": True, "release": False}[data["event_type"]])
            case "KeyboardState":
                codes = {int(code) for code in data["buttons"]}
                codes -= {code for code, sides in _SIDES.items() if codes & sides}
                self._see_state(time_ns, "key", {_KEY_OF_CODE[code] for code in codes if code in _KEY_OF_CODE})
            case "MouseState":
                held = {_BUTTONS[name] for name in data["buttons"] if name in _BUTTONS}
                others = self._buttons - {"0", "1", "2"}  # ocap looks at these three alone
                self._see_state(time_ns, "button", held | others)
            case "MouseEvent":
                self._mouse(time_ns, data)
            case "RawMouseEvent":
                self._raw_mouse(time_ns, data)

    def take(self) -> tuple[Action, list[InputEvent]]:
        """The Action since the last call, and its events."""
        events, self._events = self._events, []
        moved = [event for event in events if event.kind == "mouse_delta"]
        wheel = [event for event in events if event.kind == "wheel"]
        action = Action(
            frozenset(self._keys | self._tapped_keys),
            frozenset(self._buttons | self._tapped_buttons),
            sum(event.x for event in moved),
            sum(event.y for event in moved),
            sum(event.x for event in wheel),
            sum(event.y for event in wheel),
        )
        self._tapped_keys, self._tapped_buttons = set(), set()
        return action, events

    def notes(self) -> list[str]:
        """Sentences on odd or lost input."""
        notes = []
        if self._unknown:
            names = ", ".join(f"{name} ({count})" for name, count in sorted(self._unknown.items()))
            notes.append(f"Keys and buttons without a name here: {names}.")
        if self._num_absolute:
            way = "" if self.has_raw_motion else "; motion is the way of the pointer"
            what = "raw mouse events with absolute positions (remote desktop, virtual machine, tablet)"
            notes.append(f"{self._num_absolute} {what} are left out{way}.")
        for is_pressed, num in sorted(self._num_missed.items()):
            what = "pressed unseen: they begin" if is_pressed else "released unseen: they end"
            notes.append(f"{num} keys and buttons were {what} with the next state of keyboard or mouse.")
        return notes

    def _key(self, time_ns: int, code: int, is_pressed: bool) -> None:
        key = _KEY_OF_CODE.get(code)
        if key is None:
            self._unknown[f"key {code:#04x}"] += is_pressed
        else:
            self._switch(time_ns, "key", key, is_pressed)

    def _switch(self, time_ns: int, kind: str, name: str, is_pressed: bool) -> None:
        """A key or button goes down or up; a press of what is down already is the keyboard's repetition."""
        held, tapped = (self._keys, self._tapped_keys) if kind == "key" else (self._buttons, self._tapped_buttons)
        if is_pressed == (name in held):
            return
        if is_pressed:
            held.add(name)
            tapped.add(name)
        else:
            held.remove(name)
        self._switched_ns[kind, name] = time_ns
        self._events.append(InputEvent(time_ns, "key" if kind == "key" else "button", name, is_pressed))

    def _see_state(self, time_ns: int, kind: str, held: set[str]) -> None:
        """A state, noted at the start and every second, knows of presses and releases that were not seen."""
        for name in sorted(held ^ (self._keys if kind == "key" else self._buttons)):
            if time_ns - self._switched_ns.get((kind, name), -_SETTLED_NS) < _SETTLED_NS:
                continue
            self._num_missed[name in held] += 1
            self._switch(time_ns, kind, name, name in held)

    def _mouse(self, time_ns: int, data: Mapping[str, Any]) -> None:
        x, y = int(data["x"]), int(data["y"])
        plausible(x, y)
        if data["event_type"] == "click":
            self._button(time_ns, str(data["button"]), bool(data["pressed"]))
        elif data["event_type"] == "scroll":
            notches = (data.get("dx") or 0, data.get("dy") or 0)
            self._move(time_ns, "wheel", *(round(float(number) * PIXELS_PER_NOTCH) for number in notches))
        if self._pointer is not None and not self.has_raw_motion:
            self._move(time_ns, "mouse_delta", x - self._pointer[0], y - self._pointer[1])
        if (x, y) != self._pointer:
            self._pointer = x, y
            self._events.append(InputEvent(time_ns, "mouse_position", x=x, y=y))

    def _button(self, time_ns: int, name: str, is_pressed: bool) -> None:
        button = _BUTTONS.get(name)
        if button is None:
            self._unknown[f"button {name}"] += is_pressed
        else:
            self._switch(time_ns, "button", button, is_pressed)

    def _raw_mouse(self, time_ns: int, data: Mapping[str, Any]) -> None:
        if int(data.get("us_flags") or 0) & _RAW_ABSOLUTE:
            self._num_absolute += 1
        elif self.has_raw_motion:
            self._move(time_ns, "mouse_delta", int(data["last_x"]), int(data["last_y"]))
        if self.has_clicks:
            return
        flags = int(data.get("button_flags") or 0)
        for button, down, up in _RAW_BUTTONS:
            if flags & down:
                self._switch(time_ns, "button", button, True)
            if flags & up:
                self._switch(time_ns, "button", button, False)
        turned = int(data.get("button_data") or 0)
        turned = ((turned & 0xFFFF) ^ 0x8000) - 0x8000  # a signed 16-bit number in an unsigned one, 120 for a notch
        if flags & _RAW_WHEEL:
            self._move(time_ns, "wheel", 0, turned)
        if flags & _RAW_HORIZONTAL_WHEEL:
            self._move(time_ns, "wheel", turned, 0)

    def _move(self, time_ns: int, kind: str, x: int, y: int) -> None:
        plausible(x, y)
        if x or y:
            self._events.append(InputEvent(time_ns, "wheel" if kind == "wheel" else "mouse_delta", x=x, y=y))
