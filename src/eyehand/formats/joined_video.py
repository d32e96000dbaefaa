"""Videos joined without decoding: `JoinedVideo` copies the pictures of many mp4 files one after another into one.

Pictures come at exact multiples of 1/fps, whatever their times were. Only videos that were encoded alike can be joined:
`fits` says whether the next one was.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from eyehand.recording.video import VideoReader

__all__ = ["JoinedVideo"]


class JoinedVideo:
    """A new mp4.

    Args:
        path: the file to make.
        fps: pictures a second.

    Attributes:
        num_frames: how many pictures it has.
        facts: `video.codec` and `video.pix_fmt` of what is in it.

    Raises:
        OSError: from any method, when the file cannot be written.
    """

    def __init__(self, path: Path, fps: int) -> None:
        self.path = path
        self.num_frames = 0
        self.facts: dict[str, str] = {}
        self._tick = Fraction(1, fps)
        self._container: Any = av.open(str(path), "w", format="mp4")
        self._stream: Any = None
        self._kind: tuple[Any, ...] | None = None

    def fits(self, video: VideoReader) -> bool:
        """Whether a video was encoded as those that are in it."""
        return self._kind is None or self._kind == _kind(video.packets()[0])

    def append(self, video: VideoReader) -> None:
        """Copy all pictures of a video.

        Raises:
            UserError: it is missing or damaged.
        """
        stream, packets = video.packets()
        if self._stream is None:
            self._stream = self._container.add_stream_from_template(stream)
            self._kind = _kind(stream)
            context = stream.codec_context
            self.facts = {"video.codec": context.name, "video.pix_fmt": str(context.pix_fmt)}
        rank = {pts: place for place, pts in enumerate(sorted(packet.pts for packet in packets))}
        shown = [rank[packet.pts] for packet in packets]
        delay = max(decoded - place for decoded, place in enumerate(shown))  # of B-frames
        for decoded, packet in enumerate(packets):
            packet.stream = self._stream
            packet.time_base = self._tick
            packet.pts, packet.dts = self.num_frames + shown[decoded], self.num_frames + decoded - delay
            packet.duration = 1
            self._container.mux(packet)
        self.num_frames += len(packets)

    def close(self) -> None:
        """Finish the file. May be called twice."""
        container, self._container = self._container, None
        if container is not None:
            container.close()


def _kind(stream: Any) -> tuple[Any, ...]:
    context = stream.codec_context
    return context.name, context.width, context.height, context.pix_fmt, bytes(context.extradata or b"")
