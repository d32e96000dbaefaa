"""Desktop windows: capture, input injection, listening and watchdogs on two backends, and game profiles."""

from __future__ import annotations

import importlib

from eyehand.errors import UserError

__all__ = ["require_xcb"]


def require_xcb() -> None:
    """Check for XCB; call before importing a module that uses an X display.

    Raises:
        UserError: the library is not installed.
    """
    try:
        importlib.import_module("xcffib.xproto")
    except (ImportError, OSError) as error:
        raise UserError(
            "Desktop games need xcffib and libxcb: pip install xcffib, and on Debian apt install libxcb1."
        ) from error
