"""`DigitReader` reads a number in a rectangle of the screen: per cell the nearest example digit, or no number at all.

Nearest by normalised cross-correlation, so that brightness and a translucent text do not matter. A reading in doubt is
refused: a digit that resembles no example, or two alike, a gap, a cell that is half covered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources.abc import Traversable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyehand.errors import UserError

__all__ = ["DigitReader", "read_examples"]

_ALIKE, _APART, _BLANK = 0.75, 0.07, 0.4
"""Least correlation with a digit's example; least distance to that of another digit; most in a cell without one."""

_SHIFTS_PX = (-1, 0, 1)
_MOST_EXAMPLES = 200


class DigitReader:
    """Reads numbers of at most `num_cells` digits, which stand in cells of equal width.

    Args:
        examples: pictures of the rectangle, uint8 RGB (height, width, 3), all of one size, each with what it shows: a
            character per cell, a digit or `_` for a blank one.
        num_cells: of the rectangle.

    Raises:
        UserError: an example of another size or length, or a digit of which there is none.
    """

    def __init__(self, examples: Sequence[tuple[str, NDArray[np.uint8]]], num_cells: int) -> None:
        self.num_cells = num_cells
        digits: list[int] = []
        templates: list[NDArray[np.float32]] = []
        for text, picture in examples:
            if len(text) != num_cells:
                raise UserError(f"the example {text} shows {len(text)} characters, not {num_cells}")
            if picture.shape != examples[0][1].shape:
                raise UserError(f"the example {text} has another size than the example {examples[0][0]}")
            cells = self._cells(picture)
            for i in (i for i, character in enumerate(text) if character != "_"):
                digits.append(int(text[i]))
                templates.append(cells[i, _SHIFTS_PX.index(0)])
        if lacking := sorted(set(range(10)) - set(digits)):
            raise UserError(f"the examples show no {', no '.join(map(str, lacking))}")
        self._digits, self._templates = np.array(digits), np.array(templates)
        self._has_blanks = any("_" in text for text, _ in examples)

    def read(self, picture: NDArray[np.uint8]) -> int | None:
        """The number in a picture of the rectangle, uint8 RGB (height, width, 3); None: there is none without doubt."""
        alike = (self._cells(picture) @ self._templates.T).max(1)  # (cells, examples)
        by_digit = np.stack([alike[:, self._digits == digit].max(1) for digit in range(10)], 1)
        best, second = np.sort(by_digit, 1)[:, :-3:-1].T
        is_digit = (best >= _ALIKE) & (best - second >= _APART)
        if not (is_digit | (self._has_blanks & (best < _BLANK))).all() or not is_digit.any():
            return None
        text = "".join(
            str(digit) if is_there else " " for digit, is_there in zip(by_digit.argmax(1), is_digit, strict=True)
        )
        return int(text) if " " not in text.strip() else None

    def _cells(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Every cell at every shift, without its mean colour and of length 1; float32 (cells, shifts, values)."""
        _, width, _ = picture.shape
        cell_px = width // self.num_cells
        padded = np.pad(picture, ((0, 0), (1, 1), (0, 0)), "edge").astype(np.float32)
        lefts = [i * width // self.num_cells + 1 for i in range(self.num_cells)]
        cells = np.stack([[padded[:, x + shift : x + shift + cell_px] for shift in _SHIFTS_PX] for x in lefts])
        cells -= cells.mean((2, 3), keepdims=True)
        flat = cells.reshape(*cells.shape[:2], -1)
        return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-6), np.float32)


def read_examples(folder: Traversable, size_px: tuple[int, int]) -> list[tuple[str, NDArray[np.uint8]]]:
    """The examples of a folder: PNG pictures named by what they show, `0042.png`, `__42.png`; more of one number are
    `0042-2.png` and so on.

    Raises:
        UserError: there are none, or one cannot be read, has another size than the rectangle, or another name.
    """
    try:
        files = sorted((file for file in folder.iterdir() if file.name.endswith(".png")), key=lambda file: file.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    if not 0 < len(files) <= _MOST_EXAMPLES:
        raise UserError(f"{folder} holds {len(files)} pictures in PNG, not 1 to {_MOST_EXAMPLES}")
    examples = []
    for file in files:
        named = re.fullmatch(r"(_*\d+_*)(-\d+)?\.png", file.name, re.ASCII)
        if named is None:
            raise UserError(f"{file} is not named by the number that it shows, like 0042.png")
        try:
            with file.open("rb") as opened, Image.open(opened, formats=["PNG"]) as picture:
                if picture.size != size_px:
                    size, wanted = ("x".join(map(str, each)) for each in (picture.size, size_px))
                    raise UserError(f"{file} has {size} pixels, and the rectangle {wanted}")
                examples.append((named[1], np.asarray(picture.convert("RGB"))))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(f"{file} is no picture in PNG") from error
    return examples
