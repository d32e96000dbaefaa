"""The one way to open a video file for reading, `open_container`: nothing in a file makes FFmpeg open another one.

FFmpeg guesses what a file is and would follow a playlist to any file or address of this machine. Here a container is
mp4 or Matroska, its pictures are of a codec that recordings have, and its tables and pictures are bounded.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Any, BinaryIO

import av

from eyehand.errors import UserError

__all__ = ["DECODER_OPTIONS", "MAX_PIXELS", "open_container"]

MAX_PIXELS = 4096 * 4096
"""Pixels of the largest picture that is decoded: more than a screen of 5120 x 2880."""

_CODECS = "h264,hevc,mpeg4,mjpeg,vp8,vp9,av1,libvpx,libvpx-vp9,libdav1d,libaom-av1"
_BOUNDS = {"codec_whitelist": _CODECS, "max_pixels": str(MAX_PIXELS)}
_MAX_ALLOCATION_BYTES = 256 << 20

DECODER_OPTIONS = {**_BOUNDS, "err_detect": "explode"}
"""Options of a video stream's decoder: with the last one it gives up at damage instead of painting over it."""

with contextlib.suppress(OSError, AttributeError):  # on Windows FFmpeg is no symbol of PyAV's own library
    ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(_MAX_ALLOCATION_BYTES))


def open_container(file: str | BinaryIO, path: object) -> tuple[Any, Any]:
    """Open a video file.

    Args:
        file: its path, or the open file.
        path: for sentences.

    Returns:
        PyAV's container, which the caller closes, and its first video stream.

    Raises:
        av.FFmpegError, IndexError, UnicodeDecodeError: it is damaged, of another format, or has no video stream.
        UserError: its pictures are too large, or of another codec.
    """
    name = f"file:{file}" if isinstance(file, str) else file
    options = {**_BOUNDS, "format_whitelist": "mp4,matroska", "protocol_whitelist": "file"}
    container = av.open(name, options=options)
    try:
        stream = container.streams.video[0]
        context = stream.codec_context
        if context is not None and context.width * context.height > MAX_PIXELS:
            raise UserError(
                f"{path} has pictures of {context.width} x {context.height}, and at most {MAX_PIXELS:,} pixels can be "
                "read: make smaller ones of it, or leave it out."
            )
        if context is not None and context.codec.name not in _CODECS.split(","):
            raise UserError(f"{path} is encoded as {context.codec.name}, which is not read: encode it as H.264.")
        if context is not None:
            context.thread_count, context.options = 1, DECODER_OPTIONS
    except BaseException:
        container.close()
        raise
    return container, stream
