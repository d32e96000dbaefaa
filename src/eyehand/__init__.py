"""eyehand teaches an agent to play a game by watching a person play it: pixels in, keyboard and mouse out, live."""

__version__ = "0.1.0"
__all__ = ["__version__"]
