"""Draws the executed action beneath the picture: key caps, mouse, instruction, score and latency.

`Hud.draw` makes one video frame of a `Shown`. Everything that stays the same is drawn once, four times too large, and
scaled down (Pillow does not smooth edges itself); a frame then costs a few milliseconds. Knows no session and no file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["WIDTH_PX", "Hud", "Shown"]

WIDTH_PX, PANEL_PX = 640, 112
_SCALE = 4
_CAP_PX, _GAP_PX = 30, 4
_ROWS: tuple[tuple[tuple[str, str, float], ...], ...] = (
    (("q", "Q", 1), ("w", "W", 1), ("e", "E", 1), ("f", "F", 1)),
    (("a", "A", 1), ("s", "S", 1), ("d", "D", 1), ("z", "Z", 1)),
    (("LeftShift", "Shift", 1.6), ("Space", "Space", 2.27)),
)
"""(key, label, width in caps) of the caps that are always there; other keys appear beside them while held."""

_BACK = (14, 17, 22)
_CAP, _CAP_EDGE, _CAP_TEXT = (33, 38, 46), (58, 66, 78), (139, 148, 158)
_LIT, _LIT_EDGE, _LIT_TEXT = (255, 200, 61), (255, 224, 140), (24, 20, 6)
_TEXT, _DIM, _LATE = (236, 240, 244), (139, 148, 158), (255, 107, 107)

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """The content of one video frame.

    Attributes:
        pixels: the game's picture, uint8 RGB (H, W, 3) or BGRX (H, W, 4), any size.
        keys, buttons, dx, dy: of the executed Action.
        instruction: None: none.
        player, task: names for the corners of the picture.
        score, score_name: how it stands, and what it counts; "": the game tells none.
        seconds: time in the episode.
        latency_ms: frame to action; None in a stepped game or where no action came in time.
        is_late: whether no action came in time, or one on an earlier picture.
    """

    pixels: NDArray[np.uint8]
    keys: frozenset[str]
    buttons: frozenset[str]
    dx: int
    dy: int
    instruction: str | None
    player: str
    task: str
    score: float
    score_name: str
    seconds: float
    latency_ms: float | None
    is_late: bool


class Hud:
    """Draws frames `WIDTH_PX` wide: the picture above, a panel below. Remembers the last motions for a short trail.

    Args:
        picture_height_px: height that every picture is scaled to; even.
    """

    def __init__(self, picture_height_px: int) -> None:
        self.picture_height_px = picture_height_px
        self._trail: list[tuple[int, int]] = []
        self._panel = _empty_panel()

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of a frame, both even."""
        return WIDTH_PX, self.picture_height_px + PANEL_PX

    def draw(self, shown: Shown) -> NDArray[np.uint8]:
        """One video frame, uint8 RGB (height, width, 3)."""
        canvas = Image.new("RGB", self.size_px, _BACK)
        canvas.paste(self._picture(shown.pixels), (0, 0))
        canvas.paste(self._panel, (0, self.picture_height_px))
        self._draw_labels(canvas, shown)
        self._draw_keys(canvas, shown.keys)
        self._draw_mouse(canvas, shown)
        self._draw_figures(canvas, shown)
        return np.asarray(canvas)

    def _picture(self, pixels: NDArray[np.uint8]) -> Image.Image:
        pixels = np.ascontiguousarray(pixels)
        height, width, channels = pixels.shape
        layout = {3: "RGB", 4: "BGRX"}[channels]
        picture = Image.frombuffer("RGB", (width, height), pixels, "raw", layout, 0, 1)
        size = (WIDTH_PX, self.picture_height_px)
        is_whole = size[0] % picture.width == 0 and size[1] % picture.height == 0
        return picture.resize(size, Image.Resampling.NEAREST if is_whole else Image.Resampling.BICUBIC)

    def _draw_labels(self, canvas: Image.Image, shown: Shown) -> None:
        chip = _chip(shown.player, 13)
        canvas.paste(chip, (10, 10), chip)
        chip = _chip(shown.task, 13)
        canvas.paste(chip, (WIDTH_PX - chip.width - 10, 10), chip)
        if shown.instruction:
            chip = _chip(_shorten(f"“{shown.instruction}”", 17, WIDTH_PX - 60), 17)
            canvas.paste(chip, ((WIDTH_PX - chip.width) // 2, 46), chip)  # the lower edge is the game's own display

    def _draw_keys(self, canvas: Image.Image, held: frozenset[str]) -> None:
        top = self.picture_height_px + 7
        for row, caps in enumerate(_ROWS):
            left = 14
            for key, label, width in caps:
                cap = _cap(label, _cap_width_px(width), key in held)
                canvas.paste(cap, (left, top + row * (_CAP_PX + _GAP_PX)))
                left += cap.width + _GAP_PX
        shown_always = {key for caps in _ROWS for key, _, _ in caps}
        for row, key in enumerate(sorted(held - shown_always)[:3]):
            cap = _cap(key.upper() if len(key) == 1 else key, 34 if len(key) == 1 else 74, True)
            canvas.paste(cap, (14 + 4 * (_CAP_PX + _GAP_PX), top + row * (_CAP_PX + _GAP_PX)))

    def _draw_mouse(self, canvas: Image.Image, shown: Shown) -> None:
        top = self.picture_height_px
        canvas.paste(_mouse("0" in shown.buttons, "1" in shown.buttons, "2" in shown.buttons), (258, top + 18))
        self._trail = [*self._trail[-3:], (shown.dx, shown.dy)]
        canvas.paste(_motion(tuple(self._trail)), (330, top + 8))

    def _draw_figures(self, canvas: Image.Image, shown: Shown) -> None:
        draw = ImageDraw.Draw(canvas)
        left, top = 448, self.picture_height_px
        name = _shorten(shown.score_name, 12, WIDTH_PX - left - 8)
        draw.text((left, top + 10), name, _DIM, _font(12))
        if shown.score_name:
            draw.text((left, top + 25), _number(shown.score), _TEXT, _font(32))
        draw.text((left, top + 68), "time", _DIM, _font(12))
        draw.text((left, top + 83), f"{shown.seconds:.1f} s", _TEXT, _font(15))
        draw.text((left + 84, top + 68), "latency", _DIM, _font(12))
        if shown.is_late:
            draw.text((left + 84, top + 83), "late", _LATE, _font(15))
        elif shown.latency_ms is not None:
            draw.text((left + 84, top + 83), f"{shown.latency_ms:.1f} ms", _TEXT, _font(15))
        else:
            draw.text((left + 84, top + 83), "stepped", _DIM, _font(15))


def _number(score: float) -> str:
    return f"{score:.0f}" if abs(score) >= 1000 or score == round(score) else f"{score:.1f}"


@lru_cache(maxsize=32)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same on every machine, no file to find."""
    return ImageFont.load_default(size_px)


@lru_cache(maxsize=64)
def _shorten(text: str, size_px: int, width_px: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width_px`."""
    font = _font(size_px)
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "...") > width_px:
        text = text[:-1]
    return text.rstrip() + "..."


def _cap_width_px(caps: float) -> int:
    return round(caps * _CAP_PX + (caps - 1) * _GAP_PX)


def _small(image: Image.Image) -> Image.Image:
    return image.resize((image.width // _SCALE, image.height // _SCALE), Image.Resampling.LANCZOS)


@lru_cache(maxsize=128)
def _cap(label: str, width_px: int, is_lit: bool) -> Image.Image:
    """One key cap."""
    fill, edge, text = (_LIT, _LIT_EDGE, _LIT_TEXT) if is_lit else (_CAP, _CAP_EDGE, _CAP_TEXT)
    size = (width_px * _SCALE, _CAP_PX * _SCALE)
    cap = Image.new("RGB", size, _BACK)
    draw = ImageDraw.Draw(cap)
    box = (_SCALE // 2, _SCALE // 2, size[0] - _SCALE // 2, size[1] - _SCALE // 2)
    draw.rounded_rectangle(box, 6 * _SCALE, fill, edge, _SCALE)
    font = _font((14 if len(label) == 1 else 12) * _SCALE)
    draw.text((size[0] / 2, size[1] / 2), label, text, font, anchor="mm")
    return _small(cap)


@lru_cache(maxsize=64)
def _chip(text: str, size_px: int) -> Image.Image:
    """Text on a dark translucent ground, RGBA."""
    font = _font(size_px)
    width, height = round(font.getlength(text)) + 20, size_px + 14
    chip = Image.new("RGBA", (width * _SCALE, height * _SCALE), (0, 0, 0, 0))
    ImageDraw.Draw(chip).rounded_rectangle((0, 0, chip.width - 1, chip.height - 1), 8 * _SCALE, (10, 12, 16, 190))
    chip = _small(chip)
    ImageDraw.Draw(chip).text((width / 2, height / 2), text, (*_TEXT, 255), font, anchor="mm")
    return chip


@lru_cache(maxsize=8)
def _mouse(is_left: bool, is_right: bool, is_middle: bool) -> Image.Image:
    """A mouse seen from above with its buttons."""
    width, height, unit = 52, 76, _SCALE
    image = Image.new("RGB", (width * unit, height * unit), _BACK)
    draw = ImageDraw.Draw(image)
    body = (unit, unit, (width - 1) * unit, (height - 1) * unit)
    draw.rounded_rectangle(body, 24 * unit, _CAP, _CAP_EDGE, unit)
    # Each button is the body's outline filled and cut out along the middle and the lower edge of the buttons.
    for is_held, left, right in ((is_left, 0, width / 2), (is_right, width / 2, width)):
        if is_held:
            lit = Image.new("RGB", image.size, _BACK)
            ImageDraw.Draw(lit).rounded_rectangle(body, 24 * unit, _LIT, _LIT_EDGE, unit)
            box = (round(left * unit), 0, round(right * unit), 32 * unit)
            image.paste(lit.crop(box), box[:2])
    middle = width * unit // 2
    draw.line((middle, unit, middle, 32 * unit), _CAP_EDGE, unit)
    draw.line((unit, 32 * unit, (width - 1) * unit, 32 * unit), _CAP_EDGE, unit)
    wheel = (middle - 4 * unit, 11 * unit, middle + 4 * unit, 25 * unit)
    draw.rounded_rectangle(wheel, 4 * unit, _LIT if is_middle else _BACK, _CAP_EDGE, unit)
    return _small(image)


@lru_cache(maxsize=256)
def _motion(trail: tuple[tuple[int, int], ...]) -> Image.Image:
    """A dial with the mouse motion of this tick as an arrow and those of the ticks before it fading."""
    side, unit = 96, 3
    image = Image.new("RGB", (side * unit, side * unit), _BACK)
    draw = ImageDraw.Draw(image)
    centre, radius = side * unit / 2, 44 * unit
    for share in (1.0, 0.5):
        ring = radius * share
        draw.ellipse((centre - ring, centre - ring, centre + ring, centre + ring), None, _CAP_EDGE, unit)
    draw.line((centre - radius, centre, centre + radius, centre), _CAP, unit)
    draw.line((centre, centre - radius, centre, centre + radius), _CAP, unit)
    for age, (dx, dy) in zip(range(len(trail) - 1, -1, -1), trail, strict=True):
        length = math.hypot(dx, dy)
        if length > 0:
            # Square root: a motion of 3 px is still seen, one of 100 px still fits.
            reach = radius * min(1.0, math.sqrt(length / 100))
            end = (centre + dx / length * reach, centre + dy / length * reach)
            colour = _mix(_LIT, _BACK, age / 4 + (0.25 if age else 0))
            _draw_arrow(draw, (centre, centre), end, colour, (4 if age == 0 else 2) * unit, is_headed=age == 0)
    dot = 3 * unit
    draw.ellipse((centre - dot, centre - dot, centre + dot, centre + dot), _TEXT)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _draw_arrow(
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: Colour,
    width_px: int,
    is_headed: bool,
) -> None:
    draw.line((*start, *end), colour, width_px)
    if not is_headed:
        return
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    head = 3.0 * width_px
    wings = [(end[0] - head * math.cos(angle + a), end[1] - head * math.sin(angle + a)) for a in (0.5, -0.5)]
    tip = (end[0] + 0.5 * width_px * math.cos(angle), end[1] + 0.5 * width_px * math.sin(angle))
    draw.polygon([tip, *wings], colour)


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


@lru_cache(maxsize=1)
def _empty_panel() -> Image.Image:
    panel = Image.new("RGB", (WIDTH_PX, PANEL_PX), _BACK)
    draw = ImageDraw.Draw(panel)
    draw.line((0, 0, WIDTH_PX, 0), _CAP_EDGE, 1)
    for x in (238, 434):
        draw.line((x, 16, x, PANEL_PX - 16), _CAP, 1)
    return panel
