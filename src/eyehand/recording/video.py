"""Video files of recordings, through PyAV: `VideoWriter` survives a kill, `VideoReader` gives clips fast.

Written as fragmented mp4 (a fragment every half second, so a killed process loses no more than that) that turns into
an ordinary mp4 at the end. H.264, yuv420p in BT.601 limited range, tagged as such. A key frame every second; no
B-frames and no lookahead, so that no picture waits in the encoder. Knows nothing about annotations.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from eyehand.errors import UserError

__all__ = ["CAPTURED", "SMALL", "VideoReader", "VideoWriter", "fit_lines"]

SMALL: dict[str, str] = {"preset": "veryfast", "tune": "fastdecode,zerolatency", "crf": "18"}
"""Encoder settings of the network's picture: good quality, twice as fast to decode as the preset alone."""

CAPTURED: dict[str, str] = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26"}
"""Encoder settings of the picture for people: as cheap as can be."""

_BT601, _LIMITED = 6, 1  # the numbers of smpte170m and of the "mpeg" range in H.264's tables
_FRAGMENT_US = 500_000


def fit_lines(height: int, width: int, max_lines: int = 480) -> tuple[int, int]:
    """Height and width of a picture scaled down to at most `max_lines`, aspect kept, both even (yuv420p needs it)."""
    scale = min(1.0, max_lines / height)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


class VideoWriter:
    """Writes RGB pictures of one size; scales them to the size of the file if that differs.

    Args:
        path: the file to make.
        height, width: of the file's picture.
        fps: frames per second.
        settings: options of libx264 (`SMALL`, `CAPTURED`).

    Raises:
        OSError: from any method, when the file cannot be written.
    """

    def __init__(self, path: Path, height: int, width: int, fps: float, settings: dict[str, str]) -> None:
        rate = Fraction(fps).limit_denominator(1001)
        self._container = av.open(
            str(path),
            "w",
            format="mp4",
            options={
                "movflags": "+hybrid_fragmented+frag_keyframe+default_base_moof",
                "frag_duration": str(_FRAGMENT_US),
                "flush_packets": "1",
            },
        )
        gop = str(max(1, round(fps)))
        self._stream: Any = self._container.add_stream(
            "libx264", rate=rate, options={**settings, "g": gop, "keyint_min": gop, "sc_threshold": "0", "bf": "0"}
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.thread_count = 1
        context.colorspace = context.color_primaries = context.color_trc = _BT601
        context.color_range = _LIMITED
        self._scaler = VideoReformatter()
        self._height, self._width = height, width
        self._num_frames = 0
        self._is_open = True

    def write(self, pixels_HWC: NDArray[np.uint8]) -> None:
        """Add one RGB picture, uint8 (H, W, 3)."""
        is_scaled = pixels_HWC.shape[:2] != (self._height, self._width)
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_HWC), format="rgb24")
        frame = self._scaler.reformat(
            rgb,
            width=self._width,
            height=self._height,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA if is_scaled else Interpolation.BILINEAR,
            threads=1,
        )
        frame.pts, frame.time_base = self._num_frames, 1 / self._stream.average_rate
        self._num_frames += 1
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file. May be called twice; after an error the file keeps what it had."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if self._num_frames:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
        finally:
            self._container.close()


class VideoReader:
    """Gives clips of a video as RGB arrays, on one thread. Opens the file when first needed; can be pickled.

    Raises:
        UserError: from any method, when the file is missing, truncated or no video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container: Any = None
        self._stream: Any = None
        self._pts: list[int] = []
        self._frames: Iterator[Any] | None = None
        self._to_rgb = VideoReformatter()
        self._next = 0

    def __getstate__(self) -> dict[str, Any]:
        """An open file does not travel to another process: the copy opens its own."""
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    @property
    def num_frames(self) -> int:
        """Frames in the file, counted, since the header of an unfinished file does not know."""
        self._open()
        return len(self._pts)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        self._open()
        return self._stream.height, self._stream.width

    @property
    def fps(self) -> float:
        """The frame rate that the file states."""
        self._open()
        return float(self._stream.average_rate or self._stream.guessed_rate or 0)

    def clip(self, start: int, length: int) -> NDArray[np.uint8]:
        """Frames `start` to `start + length - 1` as RGB, uint8 (length, H, W, 3).

        Consecutive clips are read on without seeking.

        Raises:
            IndexError: the video has not so many frames.
        """
        self._open()
        if start < 0 or length < 0 or start + length > len(self._pts):
            raise IndexError(f"{self.path}: frames {start} to {start + length - 1} of {len(self._pts)}")
        height, width = self.size
        clip_THWC = np.empty((length, height, width, 3), np.uint8)
        try:
            if length and (self._frames is None or start != self._next):
                self._seek(start)
            for row in range(length):
                assert self._frames is not None
                frame = next(self._frames)
                while frame.pts is None or frame.pts < self._pts[start + row]:
                    frame = next(self._frames)
                if frame.pts != self._pts[start + row] or frame.is_corrupt:
                    raise self._damaged(f"frame {start + row} cannot be decoded")
                # The frame's own conversion would start swscale's threads anew for every picture: 14 times slower.
                clip_THWC[row] = self._to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
        except (av.FFmpegError, StopIteration) as error:
            self._frames = None
            raise self._damaged(f"frame {self._next} or one after it cannot be decoded") from error
        self._next = start + length if length else self._next
        return clip_THWC

    def close(self) -> None:
        """Close the file. It is opened again when needed."""
        if self._container is not None:
            self._container.close()
        self.__init__(self.path)  # type: ignore[misc]

    def _open(self) -> None:
        if self._container is not None:
            return
        if not self.path.is_file():
            raise UserError(f"{self.path} is missing: the recording is incomplete, record it again or remove it.")
        try:
            container = av.open(_without_broken_box(self.path))
            stream = container.streams.video[0]
        except (av.FFmpegError, IndexError) as error:
            raise self._damaged("it is no mp4 video or its end is missing") from error
        if stream.codec_context is None:
            raise self._damaged("its header does not say how it was encoded")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"err_detect": "explode"}  # or the decoder paints over damage in silence
        self._container, self._stream = container, stream
        self._pts = sorted(packet.pts for packet in self._whole_packets())

    def _whole_packets(self) -> Iterator[Any]:
        """The packets until the end, or until the file breaks off within one."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:
                    return
                if packet.size and packet.pts is not None:
                    yield packet
        except av.FFmpegError:
            return

    def _decoded(self) -> Iterator[Any]:
        """The frames from where the file stands."""
        for packet in self._whole_packets():
            yield from self._stream.decode(packet)
        yield from self._stream.decode(None)

    def _seek(self, index: int) -> None:
        self._container.seek(self._pts[index], stream=self._stream, backward=True)
        self._frames = self._decoded()

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self.path} is damaged ({what}): remove this recording or restore the file.")


def _without_broken_box(path: Path) -> str | io.BytesIO:
    """What to open: the file, or without its last box if the file breaks off in one that describes the others.

    A full disk can cut a fragment's index in half, on which the demuxer gives up the whole file. Pictures cut in half
    it can live with.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = 0
        while start < size:
            file.seek(start)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length == 0:  # to the end of the file
                length = size - start
            if kind != b"mdat" and (length < 8 or start + length > size):
                file.seek(0)
                return io.BytesIO(file.read(start))
            start += max(length, 8)
    return str(path)
