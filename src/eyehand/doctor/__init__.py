"""Is it working? Checks of this machine, of the display, and of a running game."""
