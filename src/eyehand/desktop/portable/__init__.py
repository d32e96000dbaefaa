"""The portable backend for desktop windows: mss, pynput and PyWinCtl, on Windows, macOS and X11."""

from __future__ import annotations

import importlib

from eyehand.errors import UserError

__all__ = ["require_portable"]


def require_portable() -> None:
    """Check for the libraries; call before importing a module of this package.

    Raises:
        UserError: the libraries, or the programs that they call, are not installed, or find no display.
    """
    try:
        for name in ("mss", "pynput.keyboard", "pynput.mouse", "pywinctl"):
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(f"The portable backend needs {error.name}: pip install 'eyehand[portable]'.") from error
    except SystemExit as error:  # what PyMonCtl does without xset and xrandr
        raise UserError("The portable backend needs xset and xrandr (Debian: x11-xserver-utils).") from error
    except Exception as error:  # each of them connects to the display when it is imported, and fails in its own way
        raise UserError(
            f"The portable backend finds no display ({error}): log in to a desktop, or add --own-screen 640x480."
        ) from error
