"""What the eyes see: `Frame`, and the one `resize` that every picture passes on its way to the network.

Recorder, data set, server and live play all call `resize`. The paper lost quality to two resizers that were thought
identical, so there is one; a change of its pixels raises `RESIZE_VERSION`, which every checkpoint carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = ["MODEL_SIZE", "RESIZE_VERSION", "Frame", "resize"]

MODEL_SIZE = 192
"""Height and width in pixels of what the network sees (the reference's)."""

RESIZE_VERSION = 1
"""torch uint8 bilinear with antialiasing, channels last, no crop."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a game.

    Attributes:
        pixels: uint8 RGB, shape (height, width, 3). Never changed after the Frame is made.
        time_ns: when it was captured, on the monotonic clock of `clock.Clock.now_ns`.
        index: counts the pictures of one episode from 0; gaps mean frames that nobody looked at.
    """

    pixels: NDArray[np.uint8]
    time_ns: int
    index: int = 0


def resize(pixels: NDArray[np.uint8], size: int = MODEL_SIZE) -> NDArray[np.uint8]:
    """Scale RGB pixels (H, W, 3) uint8 to (size, size, 3) uint8, the aspect ratio not kept.

    A picture that has this size already is returned as it is, so that reading back a recorded 192x192 frame and
    resizing it again changes nothing.
    """
    if pixels.shape[:2] == (size, size):
        return pixels
    import torch

    # The batch dimension comes first: only then torch sees that the channels are last, and leaves them there.
    image_1CHW = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
    small_1CHW: torch.Tensor = torch.nn.functional.interpolate(
        image_1CHW, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
    resized: NDArray[np.uint8] = small_1CHW[0].permute(1, 2, 0).contiguous().numpy()
    return resized
