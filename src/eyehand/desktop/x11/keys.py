"""Key codes and button numbers of an X display for the names of `action`.

A key is found by its symbol in the keyboard's layout (unshifted, first group); one that the layout lacks is found by
its place on a PC keyboard. Knows no window and presses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eyehand.action import KEYS
from eyehand.desktop.key_symbols import KEY_SYMBOLS

if TYPE_CHECKING:
    from eyehand.desktop.x11.display import XDisplay

__all__ = ["BUTTON_NUMBERS", "SCROLL_BUTTONS", "key_codes"]

BUTTON_NUMBERS: dict[str, int] = {"0": 1, "1": 3, "2": 2, "3": 8, "4": 9}
"""Mouse buttons of an Action as X counts them."""

SCROLL_BUTTONS = {"up": 4, "down": 5, "left": 6, "right": 7}
"""X reports a notch of the wheel as a click of one of these."""

_EVDEV_ROWS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (9, ("Escape", *"1234567890", "Minus", "Equal", "Backspace", "Tab", *"qwertyuiop", "LeftBracket")),
    (35, ("RightBracket", "Enter", "LeftControl", *"asdfghjkl", "Semicolon", "Apostrophe", "GraveAccent")),
    (50, ("LeftShift", "Backslash", *"zxcvbnm", "Comma", "Period", "Slash", "RightShift", "Multiply", "LeftAlt")),
    (65, ("Space", "CapsLock", *(f"F{n}" for n in range(1, 11)), "NumLock", "ScrollLock")),
    (82, ("Subtract",)),
    (86, ("Add",)),
    (91, ("Decimal",)),
    (95, ("F11", "F12")),
    (105, ("RightControl", "Divide", "PrintScreen", "RightAlt")),
    (110, ("Home", "UpArrow", "PageUp", "LeftArrow", "RightArrow", "End", "DownArrow", "PageDown", "Insert", "Delete")),
    (127, ("Pause",)),
    (133, ("LeftWin", "RightWin", "Menu")),
)
_EVDEV_CODES = {name: first + i for first, names in _EVDEV_ROWS for i, name in enumerate(names)}
"""X key codes of a PC keyboard under Linux (evdev's plus 8)."""


def key_codes(display: XDisplay) -> dict[str, int]:
    """The display's key code for every name in `action.KEYS`."""
    with display.talk():
        setup = display.connection.get_setup()
        first, last = setup.min_keycode, setup.max_keycode
        reply = display.core.GetKeyboardMapping(first, last - first + 1).reply()
        symbols, width = list(reply.keysyms), reply.keysyms_per_keycode
    code_of_symbol: dict[int, int] = {}
    for level in (0, 1):  # the keypad has its signs on the second level where NumLock is off
        for code in range(first, last + 1):
            code_of_symbol.setdefault(symbols[(code - first) * width + level] if level < width else 0, code)
    return {name: code_of_symbol.get(KEY_SYMBOLS[name], _EVDEV_CODES[name]) for name in KEYS}
