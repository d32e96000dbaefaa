"""Names of keys as the numbers that pynput passes to the system: X key symbols, Windows' and macOS' virtual keys.

A key that a system does not have is missing from its table.
"""

from __future__ import annotations

import sys

from eyehand.action import KEYS
from eyehand.desktop.key_symbols import KEY_SYMBOLS, WINDOWS_KEYS

__all__ = ["key_of", "number_of"]

_MACOS: dict[str, int] = (
    dict(zip("asdfhgzxcv", range(10), strict=True))
    | dict(zip("bqweryt", range(11, 18), strict=True))
    | {
        "1": 18,
        "2": 19,
        "3": 20,
        "4": 21,
        "6": 22,
        "5": 23,
        "Equal": 24,
        "9": 25,
        "7": 26,
        "Minus": 27,
        "8": 28,
        "0": 29,
    }
    | {"RightBracket": 30, "o": 31, "u": 32, "LeftBracket": 33, "i": 34, "p": 35, "Enter": 36, "l": 37, "j": 38}
    | {"Apostrophe": 39, "k": 40, "Semicolon": 41, "Backslash": 42, "Comma": 43, "Slash": 44, "n": 45, "m": 46}
    | {"Period": 47, "Tab": 48, "Space": 49, "GraveAccent": 50, "Backspace": 51, "Escape": 53, "RightWin": 54}
    | {"LeftWin": 55, "LeftShift": 56, "CapsLock": 57, "LeftAlt": 58, "LeftControl": 59, "RightShift": 60}
    | {"RightAlt": 61, "RightControl": 62, "Decimal": 65, "Multiply": 67, "Add": 69, "NumLock": 71, "Divide": 75}
    | {"Subtract": 78, "F5": 96, "F6": 97, "F7": 98, "F3": 99, "F8": 100, "F9": 101, "F11": 103, "F10": 109}
    | {"Menu": 110, "F12": 111, "Insert": 114, "Home": 115, "PageUp": 116, "Delete": 117, "F4": 118, "End": 119}
    | {"F2": 120, "PageDown": 121, "F1": 122, "LeftArrow": 123, "RightArrow": 124, "DownArrow": 125, "UpArrow": 126}
)
"""HIToolbox Events.h, kVK_*."""


_TABLE = {"win32": WINDOWS_KEYS, "darwin": _MACOS}.get(sys.platform, KEY_SYMBOLS)
_NAMES = {number: name for name, number in _TABLE.items()}
# With Shift held X and pynput report the shifted symbol of a key.
_SHIFTED = dict(
    zip(
        'ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()_+{}|:"~<>?',
        "abcdefghijklmnopqrstuvwxyz1234567890-=[]\\;'`,./",
        strict=True,
    )
)


def number_of(name: str) -> int | None:
    """The system's number of a key; None: it has none.

    Args:
        name: as in `action.KEYS`.
    """
    assert name in KEYS, name
    return _TABLE.get(name)


def key_of(number: int | None, char: str | None = None) -> str | None:
    """The name of a key that the system reports; None: it has none in `action.KEYS`."""
    if number in _NAMES:
        return _NAMES[number]
    if char is None or len(char) != 1:
        return None
    char = _SHIFTED.get(char, char)
    return _X_NAMES.get(ord(char))


_X_NAMES = {number: name for name, number in KEY_SYMBOLS.items() if number < 0x80}
"""Names of the keys that type a character, by the character."""
