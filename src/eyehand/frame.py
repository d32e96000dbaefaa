"""Pictures of a game: `Frame`, and `resize`, which scales every picture to the network's input size.

Recorder, data set, server and live play all call `resize`. The paper lost quality to two resizers that were thought
identical, so there is one; a change of its pixels raises `RESIZE_VERSION`, which every checkpoint carries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = ["MODEL_SIZE", "RESIZE_VERSION", "Frame", "glance", "picture_change", "resize"]

MODEL_SIZE = 192
"""Height and width in pixels of what the network sees (the reference's)."""

RESIZE_VERSION = 1
"""torch uint8 bilinear with antialiasing, channels last, no crop."""

_FULL = 0
"""Where a Frame keeps its RGB of full size, beside those of other sizes."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a game.

    A screen gives BGRX. It is converted to RGB on the first use of `pixels`; the network's `small` reads either.

    Attributes:
        captured: uint8 RGB, shape (height, width, 3), or BGRX, shape (height, width, 4), whose fourth channel has no
            meaning. Never changed after the Frame is made.
        time_ns: when it was captured, on the monotonic clock of `clock.Clock.now_ns`.
        index: counts the pictures of one episode from 0; gaps are frames that were not observed.
    """

    captured: NDArray[np.uint8]
    time_ns: int
    index: int = 0
    _made: dict[int, NDArray[np.uint8]] = field(default_factory=dict, init=False, repr=False)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture as uint8 RGB, shape (height, width, 3); read-only."""
        if self.captured.shape[2] == 3:
            return self.captured
        if _FULL not in self._made:
            self._made[_FULL] = _rgb(self.captured)
        return self._made[_FULL]

    def small(self, size: int = MODEL_SIZE) -> NDArray[np.uint8]:
        """The picture scaled by `resize`, uint8 RGB (size, size, 3); read-only, cached."""
        if size not in self._made:
            self._made[size] = resize(self.captured, size)
        return self._made[size]


def resize(pixels: NDArray[np.uint8], size: int = MODEL_SIZE) -> NDArray[np.uint8]:
    """Scale RGB (H, W, 3) or BGRX (H, W, 4) uint8 to RGB (size, size, 3) uint8, the aspect ratio not kept.

    An RGB picture that has this size already is returned as it is, so that reading back a recorded 192x192 frame and
    resizing it again changes nothing. Channels are scaled one by one: BGRX gives what its RGB would give.
    """
    is_rgb = pixels.shape[2] == 3
    if pixels.shape[:2] == (size, size):
        return pixels if is_rgb else _rgb(pixels)
    import torch

    # The batch dimension comes first: only then torch sees that the channels are last, and leaves them there.
    image_1CHW = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
    small_1CHW: torch.Tensor = torch.nn.functional.interpolate(
        image_1CHW, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    resized: NDArray[np.uint8] = small_1CHW[0].permute(1, 2, 0).contiguous().numpy()
    return resized if is_rgb else _rgb(resized)


def glance(pixels: NDArray[np.uint8], width_px: int) -> NDArray[np.uint8]:
    """A picture for people to look at: shrunk by the largest whole number that leaves it `width_px` wide or wider.

    Takes and gives RGB (H, W, 3) or BGRX (H, W, 4) uint8; the picture itself where it is not twice as wide. Skips every
    other pixel of large pictures and averages the rest: 4 ms for 3840x2160. Nothing learns from it, see `resize`.
    """
    factor = pixels.shape[1] // width_px
    if factor < 2 or pixels.shape[0] < factor:
        return pixels
    from PIL import Image

    step = factor // 2
    layout = {3: "RGB", 4: "RGBX"}[pixels.shape[2]]  # channels are averaged one by one, whatever they mean
    skipped = np.ascontiguousarray(pixels[::step, ::step])
    picture = Image.frombuffer(layout, skipped.shape[1::-1], skipped, "raw", layout, 0, 1)
    return np.asarray(picture.reduce(factor // step))


def _rgb(bgrx: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BGRX to RGB, channel by channel: five times as fast as one indexed copy."""
    pixels = np.empty((*bgrx.shape[:2], 3), np.uint8)
    for channel in range(3):
        pixels[..., channel] = bgrx[..., 2 - channel]
    return pixels


def picture_change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Mean absolute difference of the pixels of two pictures, 0 to 255; 255 if the sizes differ."""
    if before.shape != after.shape:
        return 255.0
    small_before, small_after = before[::4, ::4].astype(np.int16), after[::4, ::4].astype(np.int16)
    return float(np.abs(small_after - small_before).mean())
