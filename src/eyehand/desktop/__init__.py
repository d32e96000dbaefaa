"""X11: windows, their pictures, keyboard and mouse for them, screens of our own, games with profiles."""

from __future__ import annotations

import importlib

from eyehand.errors import UserError

__all__ = ["require_xcb"]


def require_xcb() -> None:
    """Call before importing a module that speaks to an X display.

    Raises:
        UserError: the library for it is not there.
    """
    try:
        importlib.import_module("xcffib.xproto")
    except (ImportError, OSError) as error:
        raise UserError(
            "Desktop games need xcffib and libxcb: pip install xcffib, and on Debian apt install libxcb1."
        ) from error
