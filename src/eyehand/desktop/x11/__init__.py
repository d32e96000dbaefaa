"""X11: windows, their pictures, keyboard and mouse for them, screens of our own."""
