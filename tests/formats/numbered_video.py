"""Pictures that show their number, and foreign videos of them, so that a test can say which picture is where."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH, NUM_BITS = 96, 160, 12


def numbered(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A picture of 3 x 4 squares, the bits of the number, red so that swapped colours are noticed."""
    bits = np.array([number >> bit & 1 for bit in range(NUM_BITS)]).reshape(3, 4)
    red = np.kron(np.where(bits, 220, 40), np.ones((height // 3, width // 4))).astype(np.uint8)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: red.shape[0], : red.shape[1], 0] = red
    return picture


def number_of(pixels_HWC: np.ndarray) -> int:
    """The number that a picture of any size shows."""
    height, width = pixels_HWC.shape[:2]
    rows, columns = (np.arange(3) * 2 + 1) * height // 6, (np.arange(4) * 2 + 1) * width // 8
    bits = pixels_HWC[np.ix_(rows, columns)][..., 0].ravel() > 128
    return sum(1 << bit for bit in range(NUM_BITS) if bits[bit])


def write_video(path: Path, times_ms: Sequence[int], fps: int = 20, first: int = 0) -> None:
    """A video whose picture number `first` + i is shown at times_ms[i]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12", "preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(numbered(first + number), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
