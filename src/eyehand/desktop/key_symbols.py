"""Numbers of the keys of an Action: X key symbols (X11, pynput) and Windows' virtual key codes (pynput, OWA)."""

from __future__ import annotations

__all__ = ["KEY_SYMBOLS", "WINDOWS_KEYS"]

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

WINDOWS_KEYS: dict[str, int] = (
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
"""Virtual key codes (winuser.h, VK_*) of the names of an Action."""
