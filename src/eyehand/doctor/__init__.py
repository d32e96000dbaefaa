"""Self-tests of this machine, of the display, and of a running game: `eyehand doctor` and `games check`."""
