"""A real X server and windows on it, as fixtures."""

from x_fixtures import display, guard, open_window, pytest_pycollect_makemodule, screen, window

__all__ = ["display", "guard", "open_window", "pytest_pycollect_makemodule", "screen", "window"]
