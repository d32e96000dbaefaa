"""Compression artefacts as augmentation: `recompress` encodes and decodes pictures with H.264, in memory.

The same encoder, colours and decoder as a recording's small video, with another quality or chroma. Deterministic: the
same pictures and coding give the same bytes. Knows no files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from eyehand.clock import FPS
from eyehand.recording.video import SMALL

__all__ = ["Chroma", "Coding", "RandomRecompression", "draw_coding", "recompress"]

Chroma = Literal["420", "444", "rgb"]
"""Colour at half the resolution (as recordings have it), at full resolution, or red, green and blue as they are."""

_STREAM = 0x434F4445  # so that these draws are not those that anything else makes of the same seed
_BT601, _LIMITED = 6, 1  # the numbers of smpte170m and of the "mpeg" range in H.264's tables
_PIXELS = {"420": "yuv420p", "444": "yuv444p", "rgb": "rgb24"}


@dataclass(frozen=True)
class Coding:
    """The parameters of an encoding: x264's CRF (lower is better, recordings have 18) and the chroma format."""

    crf: int
    chroma: Chroma = "420"

    def __str__(self) -> str:
        return f"CRF {self.crf}, {'RGB' if self.chroma == 'rgb' else '4:' + ':'.join(self.chroma[1:])}"


def draw_coding(rng: np.random.Generator) -> Coding:
    """A random Coding: CRF 6 to 18, in YUV at half or full colour resolution, or in RGB."""
    chroma: tuple[Chroma, ...] = ("420", "444", "rgb")
    return Coding(int(rng.integers(6, 19)), chroma[rng.integers(len(chroma))])


@dataclass(frozen=True)
class RandomRecompression:
    """Compresses a share of the clips of a stream once more: what happens to a clip follows from seed and position."""

    share: float
    seed: int

    def __call__(self, frames_THWC: NDArray[np.uint8], position: int) -> NDArray[np.uint8]:
        """The clip at this position of the stream, recompressed or unchanged."""
        rng = np.random.default_rng((self.seed, position, _STREAM))
        return recompress(frames_THWC, draw_coding(rng)) if rng.random() < self.share else frames_THWC


def recompress(frames_THWC: NDArray[np.uint8], coding: Coding) -> NDArray[np.uint8]:
    """Encode and decode consecutive RGB pictures, uint8 (T, H, W, 3) in and out; H and W even."""
    encoder = _encoder(frames_THWC.shape[1], frames_THWC.shape[2], coding)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    to_rgb = VideoReformatter()
    coded_THWC = np.empty_like(frames_THWC)
    count = 0
    for packet in [*_encoded(frames_THWC, encoder, coding), None]:
        for frame in decoder.decode(packet):
            coded_THWC[count] = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
            count += 1
    assert count == len(frames_THWC), f"{count} of {len(frames_THWC)} pictures came back"
    return coded_THWC


def _encoder(height: int, width: int, coding: Coding) -> Any:
    encoder: Any = av.CodecContext.create("libx264rgb" if coding.chroma == "rgb" else "libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, _PIXELS[coding.chroma]
    encoder.time_base, encoder.framerate, encoder.thread_count = 1 / Fraction(FPS), Fraction(FPS), 1
    gop = str(round(FPS))
    encoder.options = {**SMALL, "crf": str(coding.crf), "g": gop, "keyint_min": gop, "sc_threshold": "0", "bf": "0"}
    if coding.chroma != "rgb":
        encoder.colorspace = encoder.color_primaries = encoder.color_trc = _BT601
        encoder.color_range = _LIMITED
    return encoder


def _encoded(frames_THWC: NDArray[np.uint8], encoder: Any, coding: Coding) -> Iterator[Any]:
    scaler = VideoReformatter()
    for index, pixels_HWC in enumerate(frames_THWC):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HWC), format="rgb24")
        if coding.chroma != "rgb":
            frame = scaler.reformat(
                frame,
                format=_PIXELS[coding.chroma],
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        frame.pts, frame.time_base = index, 1 / Fraction(FPS)
        yield from encoder.encode(frame)
    yield from encoder.encode(None)
