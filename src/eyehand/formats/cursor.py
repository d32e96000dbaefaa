"""A mouse cursor drawn into a picture whose recorder left it out: `draw_cursor`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_cursor"]

_SHAPE = (
    "#.........",
    "##........",
    "#o#.......",
    "#oo#......",
    "#ooo#.....",
    "#oooo#....",
    "#ooooo#...",
    "#oooooo#..",
    "#ooooooo#.",
    "#oooo####.",
    "#o#oo#....",
    "##.#oo#...",
    "#..#oo#...",
    "....##....",
)
"""An arrow: `#` black, `o` white, `.` left as it is."""

_GLYPH = np.array([list(row) for row in _SHAPE])


def draw_cursor(pixels_HWC: NDArray[np.uint8], x: int, y: int) -> NDArray[np.uint8]:
    """A copy of an RGB picture with a cursor whose tip is at column x and row y, cut off at the edges."""
    drawn = pixels_HWC.copy()
    height, width = drawn.shape[:2]
    top, left = max(0, -y), max(0, -x)
    glyph = _GLYPH[top : max(top, height - y), left : max(left, width - x)]
    patch = drawn[y + top : y + top + glyph.shape[0], x + left : x + left + glyph.shape[1]]
    patch[glyph == "#"] = 0
    patch[glyph == "o"] = 255
    return drawn
