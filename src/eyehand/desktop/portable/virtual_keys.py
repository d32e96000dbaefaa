"""Names of keys as the numbers that pynput passes to the system: X key symbols, Windows' and macOS' virtual keys.

A key that a system does not have is missing from its table.
"""

from __future__ import annotations

import sys

from eyehand.action import KEYS

__all__ = ["key_of", "number_of"]

_WINDOWS: dict[str, int] = (
    {letter: 0x41 + n for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    | {str(n): 0x30 + n for n in range(10)}
    | {f"F{n}": 0x6F + n for n in range(1, 13)}
    | {"Space": 0x20, "Enter": 0x0D, "Tab": 0x09, "Escape": 0x1B, "Backspace": 0x08, "CapsLock": 0x14}
    | {"LeftShift": 0xA0, "RightShift": 0xA1, "LeftControl": 0xA2, "RightControl": 0xA3, "LeftAlt": 0xA4}
    | {"RightAlt": 0xA5, "LeftWin": 0x5B, "RightWin": 0x5C, "Menu": 0x5D}
    | {"LeftArrow": 0x25, "UpArrow": 0x26, "RightArrow": 0x27, "DownArrow": 0x28}
    | {"Insert": 0x2D, "Delete": 0x2E, "Home": 0x24, "End": 0x23, "PageUp": 0x21, "PageDown": 0x22}
    | {"PrintScreen": 0x2C, "ScrollLock": 0x91, "Pause": 0x13, "NumLock": 0x90}
    | {"Semicolon": 0xBA, "Equal": 0xBB, "Comma": 0xBC, "Minus": 0xBD, "Period": 0xBE, "Slash": 0xBF}
    | {"GraveAccent": 0xC0, "LeftBracket": 0xDB, "Backslash": 0xDC, "RightBracket": 0xDD, "Apostrophe": 0xDE}
    | {"Multiply": 0x6A, "Add": 0x6B, "Subtract": 0x6D, "Decimal": 0x6E, "Divide": 0x6F}
)
"""winuser.h, VK_*."""

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


def _x11() -> dict[str, int]:
    from eyehand.desktop.key_symbols import KEY_SYMBOLS

    return KEY_SYMBOLS


_TABLE = {"win32": lambda: _WINDOWS, "darwin": lambda: _MACOS}.get(sys.platform, _x11)()
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


_X_NAMES = {
    number: name
    for name, number in (
        {letter: ord(letter) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"}
        | {"Space": 0x20, "Minus": 0x2D, "Equal": 0x3D, "LeftBracket": 0x5B, "RightBracket": 0x5D, "Backslash": 0x5C}
        | {"Semicolon": 0x3B, "Apostrophe": 0x27, "GraveAccent": 0x60, "Comma": 0x2C, "Period": 0x2E, "Slash": 0x2F}
    ).items()
}
"""Names of the keys that type a character, by the character."""
