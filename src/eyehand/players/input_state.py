"""`InputState`: events of keyboard and mouse in, one Action per tick out. Knows no window and no game.

A key counts in a tick if it is held at its end or was pressed within it, so that the shortest tap is in the labels, and
the motion of all ticks together is the motion of all events, to the pixel. Keys that an Action has no name for are
heard, and left out of it.
"""

from __future__ import annotations

from collections import deque

from eyehand.action import BUTTONS, KEYS, Action
from eyehand.input_event import InputEvent

__all__ = ["InputState"]

_KEYS, _BUTTONS = frozenset(KEYS), frozenset(BUTTONS)


class InputState:
    """One person's held keys and buttons, and their input since the last tick."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.buttons: set[str] = set()
        self._waiting: deque[InputEvent] = deque()
        self._tick_keys: frozenset[str] = frozenset()
        self._tick_buttons: frozenset[str] = frozenset()

    @property
    def is_holding(self) -> bool:
        """Whether a key or button is down now."""
        return bool(self.keys or self.buttons)

    def hear(self, event: InputEvent) -> bool:
        """Take in the next event.

        Returns:
            Whether it changes anything: the repeat of a held key and the release of one that is up do not.
        """
        held = {"key": self.keys, "button": self.buttons}.get(event.kind)
        if held is not None:
            if event.is_pressed == (event.name in held):
                return False
            (held.add if event.is_pressed else held.discard)(event.name)
        elif event.kind not in ("mouse_delta", "wheel"):
            return False
        self._waiting.append(event)
        return True

    def release(self, time_ns: int) -> None:
        """Release everything, when the person's input is lost."""
        for name in sorted(self.keys):
            self.hear(InputEvent(time_ns, "key", name))
        for name in sorted(self.buttons):
            self.hear(InputEvent(time_ns, "button", name))

    def forget(self) -> None:
        """Drop the input since the last tick; held keys stay held."""
        self._waiting.clear()
        self._tick_keys, self._tick_buttons = frozenset(self.keys), frozenset(self.buttons)

    def take(self, until_ns: int) -> Action:
        """The Action since the last call, from the events before `until_ns`."""
        keys, buttons = set(self._tick_keys), set(self._tick_buttons)
        pressed_keys, pressed_buttons = set[str](), set[str]()
        dx = dy = scroll_dx = scroll_dy = 0
        while self._waiting and self._waiting[0].time_ns < until_ns:
            event = self._waiting.popleft()
            if event.kind == "mouse_delta":
                dx, dy = dx + event.x, dy + event.y
            elif event.kind == "wheel":
                scroll_dx, scroll_dy = scroll_dx + event.x, scroll_dy + event.y
            else:
                held, pressed = (keys, pressed_keys) if event.kind == "key" else (buttons, pressed_buttons)
                if event.is_pressed:
                    held.add(event.name)
                    pressed.add(event.name)
                else:
                    held.discard(event.name)
        self._tick_keys, self._tick_buttons = frozenset(keys), frozenset(buttons)
        named_keys, named_buttons = _KEYS & (keys | pressed_keys), _BUTTONS & (buttons | pressed_buttons)
        return Action(named_keys, named_buttons, dx, dy, scroll_dx, scroll_dy)
