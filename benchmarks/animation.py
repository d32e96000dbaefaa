"""A short GIF or WebP animation, cut from a video of play, for a README: `python benchmarks/animation.py --help`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from eyehand.cli import exit_status
from eyehand.errors import UserError
from eyehand.replaced import replaced

_COLOURS = 128
_MIN_WIDTH_PX = 200


def make_animation(
    video: Path,
    out: Path,
    seconds: float = 8.0,
    width: int = 480,
    fps: float = 10.0,
    start: float = 0.0,
    max_bytes: int = 3_000_000,
) -> int:
    """Make a GIF or WebP animation that runs for ever; returns its size in bytes.

    Args:
        video: the source.
        out: a .gif, or a .webp, which is sharper at the same size.
        seconds: how much of the video, from second `start` on.
        width: in pixels; made narrower until the file fits.
        fps: pictures per second.
        max_bytes: size limit.

    Raises:
        UserError: neither .gif nor .webp, the video cannot be read or is shorter than `start`, no readable
            picture fits the limit, or `out` cannot be written.
    """
    encoders = {".gif": _gif, ".webp": _webp}
    if out.suffix not in encoders:
        raise UserError(f"Cannot make {out.name}: an animation is a .gif or a .webp.")
    pictures = _pictures(video, start, seconds, fps)
    while width >= _MIN_WIDTH_PX:
        data = encoders[out.suffix](_scaled(pictures, width), fps)
        if len(data) <= max_bytes:
            with replaced(out) as partial:
                partial.write_bytes(data)
            return len(data)
        # Bytes grow with the area; a little less than what should just fit.
        width = min(round(width * 0.9), round(width * (max_bytes / len(data)) ** 0.5 * 0.97))
    raise UserError(f"{seconds:g} s at {fps:g} pictures per second do not fit {max_bytes / 1e6:g} MB; ask for less.")


def _pictures(video: Path, start: float, seconds: float, fps: float) -> list[Image.Image]:
    """The pictures that are on screen at `start`, `start` + 1 / `fps`, ..."""
    import av

    pictures: list[Image.Image] = []
    try:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                while start + len(pictures) / fps <= frame.time + 1e-6 and len(pictures) < round(seconds * fps):
                    pictures.append(frame.to_image())
    except (OSError, av.error.FFmpegError) as error:
        raise UserError(f"Cannot read the video {video}: {error}.") from error
    if len(pictures) < 2:
        raise UserError(f"{video} ends before second {start:g}; choose an earlier start.")
    return pictures


def _scaled(pictures: list[Image.Image], width: int) -> list[Image.Image]:
    height = round(pictures[0].height * width / pictures[0].width)
    return [picture.resize((width, height), Image.Resampling.LANCZOS) for picture in pictures]


def _gif(pictures: list[Image.Image], fps: float) -> bytes:
    # One palette, of pictures from all over the animation: changing palettes flicker and compress badly.
    sample = np.concatenate([np.asarray(picture) for picture in pictures[:: max(1, len(pictures) // 12)]])
    palette = Image.fromarray(sample).quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    return _saved(indexed, "GIF", fps)


def _webp(pictures: list[Image.Image], fps: float) -> bytes:
    return _saved(pictures, "WEBP", fps, quality=60, method=4)


def _saved(pictures: list[Image.Image], form: str, fps: float, **options: int) -> bytes:
    file = io.BytesIO()
    duration_ms = round(1000 / fps)
    pictures[0].save(file, form, save_all=True, append_images=pictures[1:], duration=duration_ms, loop=0, **options)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(exit_status(lambda: tyro.cli(make_animation)))
