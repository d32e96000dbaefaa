"""What the hands did, from OWA's keyboard and mouse messages: `OwaHands` gathers events and gives an Action per tick.

A key or button that was pressed and let go within one tick counts as held in it, as in P2P's recordings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eyehand.action import Action
from eyehand.formats.motion import plausible
from eyehand.formats.windows_keys import KEY_OF_VK
from eyehand.input_event import InputEvent

__all__ = ["OwaHands"]

_BUTTONS = {"left": "0", "right": "1", "middle": "2", "x1": "3", "x2": "4"}
_RAW_BUTTONS = tuple((str(n), 1 << 2 * n, 2 << 2 * n) for n in range(5))
"""Button, the flag that it went down and the flag that it went up, of Windows' RAWMOUSE.usButtonFlags."""

_RAW_WHEEL, _RAW_HORIZONTAL_WHEEL, _NOTCH = 0x0400, 0x0800, 120
_RAW_ABSOLUTE = 0x0001


@dataclass
class OwaHands:
    """The state of keyboard and mouse.

    Attributes:
        has_raw_motion: the recording has RawMouseEvents, which say more than the pointer's way.
        has_clicks: it has MouseEvents, so that raw buttons and wheels would count twice.
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
    _num_missed: int = 0

    def see(self, time_ns: int, kind: str, data: Mapping[str, Any]) -> None:
        """Take in a message; kinds that are not about hands are passed over.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it is not laid out as such messages are.
        """
        match kind:
            case "KeyboardEvent":
                self._key(time_ns, int(data["vk"]), {"press": True, "release": False}[data["event_type"]])
            case "KeyboardState":
                self._release_missed(time_ns, {KEY_OF_VK.get(int(vk), "") for vk in data["buttons"]})
            case "MouseEvent":
                self._mouse(time_ns, data)
            case "RawMouseEvent":
                self._raw_mouse(time_ns, data)

    def take(self) -> tuple[Action, list[InputEvent]]:
        """What was done since the last call, and the events that say so."""
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
        """Sentences on what was odd or lost."""
        notes = []
        if self._unknown:
            names = ", ".join(f"{name} ({count})" for name, count in sorted(self._unknown.items()))
            notes.append(f"Keys and buttons without a name here: {names}.")
        if self._num_absolute:
            notes.append(f"{self._num_absolute} raw mouse events with absolute positions (a tablet?) are left out.")
        if self._num_missed:
            notes.append(f"{self._num_missed} keys were let go unseen: they end with the next keyboard state.")
        return notes

    def _key(self, time_ns: int, code: int, is_pressed: bool) -> None:
        key = KEY_OF_VK.get(code)
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
        self._events.append(InputEvent(time_ns, "key" if kind == "key" else "button", name, is_pressed))

    def _release_missed(self, time_ns: int, held: set[str]) -> None:
        """The state, noted every second, knows of releases that were not seen (another window had the keyboard)."""
        for key in sorted(self._keys - held):
            self._num_missed += 1
            self._switch(time_ns, "key", key, False)

    def _mouse(self, time_ns: int, data: Mapping[str, Any]) -> None:
        x, y = int(data["x"]), int(data["y"])
        plausible(x, y)
        if data["event_type"] == "click":
            self._button(time_ns, str(data["button"]), bool(data["pressed"]))
        elif data["event_type"] == "scroll":
            self._move(time_ns, "wheel", int(data.get("dx") or 0), int(data.get("dy") or 0))
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
        else:
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
        notches = ((turned & 0xFFFF) ^ 0x8000) - 0x8000  # the field is a signed 16-bit number in an unsigned one
        if flags & _RAW_WHEEL:
            self._move(time_ns, "wheel", 0, round(notches / _NOTCH))
        if flags & _RAW_HORIZONTAL_WHEEL:
            self._move(time_ns, "wheel", round(notches / _NOTCH), 0)

    def _move(self, time_ns: int, kind: str, x: int, y: int) -> None:
        plausible(x, y)
        if x or y:
            self._events.append(InputEvent(time_ns, "wheel" if kind == "wheel" else "mouse_delta", x=x, y=y))
