"""The X11 backend: windows, capture, injector, listener, watchdog and virtual screens."""
