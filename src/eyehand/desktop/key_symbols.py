"""X key symbols of the keys of an Action, which X11 and pynput share: `KEY_SYMBOLS`."""

from __future__ import annotations

__all__ = ["KEY_SYMBOLS"]

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
