"""Actions as the Doom engine's input: keys and buttons to engine buttons, mouse pixels to exact angles.

The only place with the key bindings. Every task gets the same controls, so that one policy plays them all.
Knows the engine's names for its buttons, but does not import it.
"""

from __future__ import annotations

from eyehand.action import Action
from eyehand.clock import FPS

__all__ = ["ENGINE_BUTTONS", "LOOK", "TICKS_PER_SECOND", "TICS_PER_SECOND", "TURN", "AngleMotion", "held_buttons"]
__all__ += ["tics_of_tick"]

TICS_PER_SECOND = 35
TICKS_PER_SECOND = round(FPS)

_BUTTON_OF_KEY: dict[str, str] = {
    "w": "MOVE_FORWARD",
    "UpArrow": "MOVE_FORWARD",
    "s": "MOVE_BACKWARD",
    "DownArrow": "MOVE_BACKWARD",
    "a": "MOVE_LEFT",
    "d": "MOVE_RIGHT",
    "LeftArrow": "TURN_LEFT",
    "RightArrow": "TURN_RIGHT",
    "LeftShift": "SPEED",
    "RightShift": "SPEED",
    "Space": "USE",
    "e": "USE",
    **{str(slot): f"SELECT_WEAPON{slot}" for slot in range(1, 8)},
}
_BUTTON_OF_MOUSE: dict[str, str] = {"0": "ATTACK", "1": "USE"}

_HELD_BUTTONS: tuple[str, ...] = tuple(dict.fromkeys([*_BUTTON_OF_MOUSE.values(), *_BUTTON_OF_KEY.values()]))
ENGINE_BUTTONS: tuple[str, ...] = (*_HELD_BUTTONS, "TURN_LEFT_RIGHT_DELTA", "LOOK_UP_DOWN_DELTA")
"""The engine's buttons, in the order in which it is told about them."""

TURN = len(ENGINE_BUTTONS) - 2
"""Position of the turn in degrees, positive to the right."""

LOOK = len(ENGINE_BUTTONS) - 1
"""Position of the look in degrees, positive downwards."""

_ANGLE_UNITS_PER_TURN = 65536
_PIXELS_PER_TURN = 3600  # 0.1 degree a pixel


def held_buttons(action: Action) -> list[float]:
    """The engine's button values (1.0 held, 0.0 not) for an Action; turn and look are 0."""
    held = {_BUTTON_OF_KEY[key] for key in action.keys if key in _BUTTON_OF_KEY}
    held |= {_BUTTON_OF_MOUSE[button] for button in action.buttons if button in _BUTTON_OF_MOUSE}
    return [float(name in held) for name in ENGINE_BUTTONS]


def tics_of_tick(tick: int) -> int:
    """Number of the engine's 35 tics a second in tick number `tick` of 20 a second: 2, 2, 2, 1, 2, 2, 2, 1.

    The first k ticks together always last the whole number of tics next above 1.75 k.
    """
    return -(-(tick + 1) * 7 // 4) - -(-tick * 7 // 4)


class AngleMotion:
    """Turns mouse pixels into the engine's angle units (1/65536 of a turn) without ever losing a fraction.

    The engine knows whole units only and a pixel is 18.2 of them, so what one tic cannot turn the next one does: after
    any number of tics the angle turned is 0.1 degree for each pixel, to the nearest unit.
    """

    def __init__(self) -> None:
        self._pixels = 0
        self._units_sent = 0
        self._units_total = 0

    def add(self, pixels: int) -> None:
        """Add mouse motion in pixels."""
        self._pixels += pixels
        self._units_total = (2 * self._pixels * _ANGLE_UNITS_PER_TURN + _PIXELS_PER_TURN) // (2 * _PIXELS_PER_TURN)

    def take(self, num_tics: int) -> float:
        """Degrees to turn in the next tic: the remaining angle, spread over `num_tics` tics."""
        left = self._units_total - self._units_sent
        units = left // num_tics
        self._units_sent += units
        return _degrees(units)


def _degrees(units: int) -> float:
    """Degrees that the engine turns into exactly this many units: it rounds down what it is given."""
    if units == 0:
        return 0.0
    half_turn = _ANGLE_UNITS_PER_TURN // 2
    wrapped = (units + half_turn) % _ANGLE_UNITS_PER_TURN - half_turn
    return (wrapped + 0.5) * 360.0 / _ANGLE_UNITS_PER_TURN
