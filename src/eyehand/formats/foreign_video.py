"""Sequential decoder of foreign videos: `pictures_of`. Damage raises UserError; it never just ends the video early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from eyehand.clock import SECOND_NS
from eyehand.errors import UserError
from eyehand.foreign import open_regular
from eyehand.recording.container import open_container
from eyehand.recording.mp4_index import is_overstated, read_layout

__all__ = ["Picture", "pictures_of", "stated_rate"]


_SIGNS_OF_DAMAGE = (av.FFmpegError, IndexError, OSError, UnicodeDecodeError)


class Picture:
    """A decoded picture.

    Attributes:
        time_ns: when it is shown, on the video's own clock.
    """

    def __init__(self, frame: Any, to_rgb: VideoReformatter) -> None:
        self.time_ns = round(frame.pts * frame.time_base * SECOND_NS)
        self._frame = frame
        self._to_rgb = to_rgb

    def pixels(self) -> NDArray[np.uint8]:
        """As RGB, uint8 (H, W, 3). Converted when asked for: most pictures of a fast video are never looked at."""
        return np.asarray(self._to_rgb.reformat(self._frame, format="rgb24", threads=1).to_ndarray(), np.uint8)


def stated_rate(path: Path) -> float:
    """Frames per second that a video's header states; 0 where it states none.

    Raises:
        UserError: it is missing or no video.
    """
    try:
        container, stream = _opened(path)
        with container:
            return float(stream.average_rate or 0)
    except _SIGNS_OF_DAMAGE as error:
        raise _damaged(path, error) from error


def pictures_of(path: Path) -> Iterator[Picture]:
    """Decode a whole video in the order of showing, on one thread, in bounded memory.

    Raises:
        UserError: it is missing, no video, truncated or damaged.
    """
    to_rgb = VideoReformatter()
    try:
        container, stream = _opened(path)
        with container:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise UserError(f"{path} is damaged or cut off: fetch it again or leave it out.")
                for frame in packet.decode():
                    if frame.is_corrupt or frame.pts is None:
                        raise UserError(f"{path} is damaged or cut off: fetch it again or leave it out.")
                    yield Picture(frame, to_rgb)
    except _SIGNS_OF_DAMAGE as error:
        raise _damaged(path, error) from error


def _opened(path: Path) -> tuple[Any, Any]:
    with open_regular(path) as file:
        if is_overstated(file, read_layout(file)):
            raise IndexError("its index states more pictures than it could hold")
    return open_container(str(path), path)


def _damaged(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path} is missing: fetch it, or leave its partner out.")
    return UserError(f"{path} is no video, or it is damaged or cut off: fetch it again or leave it out.")
