"""Rounding of mouse motion to whole pixels, the rest carried on to the next tick (`WholePixels`), and its limit."""

from __future__ import annotations

__all__ = ["WholePixels", "plausible"]

_MOST_PX = 1_000_000


def plausible(*motion_px: float) -> None:
    """Check numbers from outside.

    Raises:
        ValueError: one is above a million pixels, or not a number.
    """
    for value in motion_px:
        if not abs(value) <= _MOST_PX:
            raise ValueError(f"the number {value}")


class WholePixels:
    """The sum of what it gives never differs from the sum of what it was given by more than half a pixel."""

    def __init__(self) -> None:
        self._rest_x = self._rest_y = 0.0

    def step(self, dx: float, dy: float) -> tuple[int, int]:
        """The whole pixels of this tick's motion. Raises ValueError where `plausible` does."""
        plausible(dx, dy)
        self._rest_x += dx
        self._rest_y += dy
        whole_x, whole_y = round(self._rest_x), round(self._rest_y)
        self._rest_x -= whole_x
        self._rest_y -= whole_y
        return whole_x, whole_y
