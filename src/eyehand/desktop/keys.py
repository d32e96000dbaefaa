"""From the names of keys and buttons to the numbers of an X display.

A key is found by its symbol in the keyboard's layout (unshifted, first group); one that the layout lacks is found by
its place on a PC keyboard. Knows no window and presses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eyehand.action import KEYS

if TYPE_CHECKING:
    from eyehand.desktop.display import XDisplay

__all__ = ["BUTTON_NUMBERS", "KEY_SYMBOLS", "PIXELS_PER_NOTCH", "SCROLL_BUTTONS", "key_codes"]

BUTTON_NUMBERS: dict[str, int] = {"0": 1, "1": 3, "2": 2, "3": 8, "4": 9}
"""Mouse buttons of an Action as X counts them."""

SCROLL_BUTTONS = {"up": 4, "down": 5, "left": 6, "right": 7}
"""X reports a notch of the wheel as a click of one of these."""

PIXELS_PER_NOTCH = 120
"""Scroll of an Action that is one notch of the wheel (Windows' WHEEL_DELTA, which P2P recorded)."""

KEY_SYMBOLS: dict[str, int] = (
    {letter: ord(letter) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"}
    | {f"F{n}": 0xFFBD + n for n in range(1, 13)}
    | {"Space": 0x20, "Enter": 0xFF0D, "Tab": 0xFF09, "Escape": 0xFF1B, "Backspace": 0xFF08, "CapsLock": 0xFFE5}
    | {"LeftShift": 0xFFE1, "RightShift": 0xFFE2, "LeftControl": 0xFFE3, "RightControl": 0xFFE4}
    | {"LeftAlt": 0xFFE9, "RightAlt": 0xFFEA, "LeftWin": 0xFFEB, "RightWin": 0xFFEC, "Menu": 0xFF67}
    | {"UpArrow": 0xFF52, "DownArrow": 0xFF54, "LeftArrow": 0xFF51, "RightArrow": 0xFF53}
    | {"Insert": 0xFF63, "Delete": 0xFFFF, "Home": 0xFF50, "End": 0xFF57, "PageUp": 0xFF55, "PageDown": 0xFF56}
    | {"PrintScreen": 0xFF61, "ScrollLock": 0xFF14, "Pause": 0xFF13, "NumLock": 0xFF7F}
    | {"Minus": 0x2D, "Equal": 0x3D, "LeftBracket": 0x5B, "RightBracket": 0x5D, "Backslash": 0x5C}
    | {"Semicolon": 0x3B, "Apostrophe": 0x27, "GraveAccent": 0x60, "Comma": 0x2C, "Period": 0x2E, "Slash": 0x2F}
    | {"Add": 0xFFAB, "Subtract": 0xFFAD, "Multiply": 0xFFAA, "Divide": 0xFFAF, "Decimal": 0xFFAE}
)
"""Key symbols (X11/keysymdef.h) of the names of an Action."""

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
