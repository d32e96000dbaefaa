"""Raw events of input devices: `InputEvent`, one press, release, motion or wheel turn, with its time in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["HOTKEY", "EventKind", "InputEvent"]

HOTKEY = "hotkey:"
"""Names of key events begin with it where the key was pressed for the recorder (`hotkey:pause`) and not to play."""

EventKind = Literal[
    "key", "button", "mouse_delta", "mouse_position", "wheel", "gamepad_button", "gamepad_axis", "gamepad_trigger"
]


@dataclass(frozen=True, slots=True)
class InputEvent:
    """One raw event of an input device.

    Attributes:
        time_ns: since the start of the recording; before it is written: on the clock of the frames.
        kind: what happened.
        name: of the key, button, axis or trigger.
        is_pressed: pressed or released (key, button, gamepad_button).
        x, y: pixels (mouse_delta, mouse_position); wheel: as `Action.scroll_dx` and `scroll_dy`.
        value: of an axis or trigger.
        is_simulated: made by software, not by a person.
    """

    time_ns: int
    kind: EventKind
    name: str = ""
    is_pressed: bool = False
    x: int = 0
    y: int = 0
    value: float = 0.0
    is_simulated: bool = False
