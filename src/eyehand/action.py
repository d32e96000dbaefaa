"""`Action`: the complete state of keyboard, mouse and gamepad during one tick, never a difference.

Knows the names of keys and buttons (those of the P2P recordings) and nothing about games, bins or networks: the
translation of Actions into token ids lives in `action_space`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["BUTTONS", "KEYS", "NOTHING", "PIXELS_PER_NOTCH", "Action", "Gamepad", "Stick"]

KEYS: tuple[str, ...] = (
    *"abcdefghijklmnopqrstuvwxyz",
    *"0123456789",
    *("Space", "Enter", "Tab", "Escape"),
    *("LeftShift", "RightShift", "LeftControl", "RightControl", "LeftAlt", "RightAlt"),
    *("UpArrow", "DownArrow", "LeftArrow", "RightArrow"),
    *(f"F{n}" for n in range(1, 13)),
    *("Backspace", "CapsLock", "Minus", "Equal", "LeftBracket", "RightBracket", "Backslash", "Semicolon"),
    *("Apostrophe", "GraveAccent", "Comma", "Period", "Slash", "Insert", "Delete", "Home", "End", "PageUp"),
    *("PageDown", "PrintScreen", "ScrollLock", "Pause", "NumLock", "LeftWin", "RightWin", "Menu"),
    *("Add", "Subtract", "Multiply", "Divide", "Decimal"),
)
"""Every key name that a recording may hold (P2P's annotation format)."""

BUTTONS: tuple[str, ...] = ("0", "1", "2", "3", "4")
"""Mouse buttons: left, right, middle, back, forward."""

PIXELS_PER_NOTCH = 120
"""Scroll of an Action that is one notch of the wheel (Windows' WHEEL_DELTA, which P2P recorded)."""

_KEY_SET = frozenset(KEYS)
_BUTTON_SET = frozenset(BUTTONS)


@dataclass(frozen=True, slots=True)
class Stick:
    """One analogue stick: x and y in [-1, 1], and whether it is pressed in."""

    x: float = 0.0
    y: float = 0.0
    pressed: bool = False


@dataclass(frozen=True, slots=True)
class Gamepad:
    """A gamepad's complete state. Button names are those of the P2P format (`south`, `dpad_up`, `left_bumper`...)."""

    buttons: frozenset[str] = frozenset()
    left_stick: Stick = Stick()
    right_stick: Stick = Stick()
    left_trigger: float = 0.0
    right_trigger: float = 0.0


@dataclass(frozen=True, slots=True)
class Action:
    """The input of one tick: complete held state, motion and scroll.

    Attributes:
        keys: names of the keys held (see `KEYS`).
        buttons: mouse buttons held (see `BUTTONS`).
        dx: mouse motion of this tick in pixels, positive to the right.
        dy: mouse motion of this tick in pixels, positive downwards.
        scroll_dx: wheel motion of this tick, PIXELS_PER_NOTCH for each notch, positive to the right.
        scroll_dy: the same, positive upwards.
        gamepad: the gamepad's state, or None where there is none.
    """

    keys: frozenset[str] = frozenset()
    buttons: frozenset[str] = frozenset()
    dx: int = 0
    dy: int = 0
    scroll_dx: int = 0
    scroll_dy: int = 0
    gamepad: Gamepad | None = None

    @staticmethod
    def of(keys: Iterable[str] = (), buttons: Iterable[str] = (), dx: float = 0, dy: float = 0) -> Action:
        """Build an Action from loose parts, checking every name and rounding the motion to whole pixels.

        Raises:
            ValueError: a key or button that does not exist.
        """
        key_set, button_set = frozenset(keys), frozenset(buttons)
        if unknown := key_set - _KEY_SET:
            raise ValueError(f"unknown key {sorted(unknown)[0]!r}: key names are like 'w', 'Space', 'LeftShift'")
        if unknown := button_set - _BUTTON_SET:
            raise ValueError(f"unknown mouse button {sorted(unknown)[0]!r}: buttons are '0' (left) to '4'")
        return Action(key_set, button_set, round(dx), round(dy))

    @property
    def is_held(self) -> bool:
        """Whether anything is held that would stay down without a release."""
        return bool(self.keys or self.buttons or (self.gamepad is not None and self.gamepad != Gamepad()))

    def held(self) -> Action:
        """The held state of this Action: keys, buttons and gamepad without the motion."""
        return Action(self.keys, self.buttons, gamepad=self.gamepad)

    def then(self, later: Action) -> Action:
        """This Action followed by `later` within one tick: the later held state, the motion of both."""
        return Action(
            later.keys,
            later.buttons,
            self.dx + later.dx,
            self.dy + later.dy,
            self.scroll_dx + later.scroll_dx,
            self.scroll_dy + later.scroll_dy,
            later.gamepad,
        )


NOTHING = Action()
"""Nothing held, nothing moved."""
