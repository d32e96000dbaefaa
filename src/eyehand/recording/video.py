"""Video files of recordings, through PyAV: `VideoWriter` survives a kill, `VideoReader` gives clips fast.

Written as fragmented mp4 (a fragment every half second, so a killed process loses no more than that) that turns into
an ordinary mp4 at the end. H.264, yuv420p in BT.601 limited range, tagged as such. A key frame every second; no
B-frames and no lookahead, so that no picture waits in the encoder. Knows nothing about annotations.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from eyehand.errors import UserError, unreadable
from eyehand.recording.container import open_container
from eyehand.recording.file_range import FileRange, Window, open_file
from eyehand.recording.mp4_index import Layout, indexed_times, is_overstated, read_index, read_layout

__all__ = ["CAPTURED", "SMALL", "VideoReader", "VideoRing", "VideoWriter", "fit_lines"]

SMALL: dict[str, str] = {"preset": "veryfast", "tune": "fastdecode,zerolatency", "crf": "18"}
"""Encoder settings of the network's picture: good quality, twice as fast to decode as the preset alone."""

CAPTURED: dict[str, str] = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26"}
"""Encoder settings of the picture for people: as cheap as can be."""

_BT601, _LIMITED = 6, 1  # the numbers of smpte170m and of the "mpeg" range in H.264's tables
_FRAGMENT_US = 500_000

_CHUNK_BYTES = 32 << 20

_RANGE_BYTES = 1 << 18
"""What is read at once from a URL: some seconds of the network's picture."""


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
        self._container = self._make_container(path)
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
            self._keep(packet)

    def _make_container(self, path: Path) -> Any:
        """Open the output file."""
        return av.open(
            str(path),
            "w",
            format="mp4",
            options={
                "movflags": "+hybrid_fragmented+frag_keyframe+default_base_moof",
                "frag_duration": str(_FRAGMENT_US),
                "flush_packets": "1",
            },
        )

    def _keep(self, packet: Any) -> None:
        """Write an encoded packet to the file."""
        self._container.mux(packet)

    def close(self) -> None:
        """Finish the file. May be called twice; after an error the file keeps what it had."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if self._num_frames:
                for packet in self._stream.encode(None):
                    self._keep(packet)
        finally:
            self._container.close()


class VideoRing(VideoWriter):
    """The newest pictures as encoded packets in memory; `save` makes a video of them. Arguments as of `VideoWriter`.

    A video can only begin with a key frame, so that pictures are dropped a second at a time.
    """

    def __init__(self, height: int, width: int, fps: float, settings: dict[str, str]) -> None:
        super().__init__(Path(os.devnull), height, width, fps, settings)
        self._packets: deque[Any] = deque()
        self._stream.codec_context.flags |= av.codec.context.Flags.global_header  # as mp4 wants it
        self._container.start_encoding()  # only then does the stream know what `save` must tell

    def __len__(self) -> int:
        """Number of pictures held."""
        return len(self._packets)

    def drop_second(self) -> int:
        """Drop the oldest pictures up to the next key frame; how many these were."""
        num_before = len(self._packets)
        self._packets.popleft()
        while self._packets and not self._packets[0].is_keyframe:
            self._packets.popleft()
        return num_before - len(self._packets)

    def save(self, path: Path) -> None:
        """Write the pictures as a video file, without encoding them again.

        Raises:
            OSError: the file cannot be written.
        """
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream_from_template(self._stream)
            for index, kept in enumerate(self._packets):
                packet = av.Packet(bytes(kept))
                packet.pts = packet.dts = index
                packet.duration = 1
                packet.time_base = 1 / self._stream.average_rate
                packet.is_keyframe = kept.is_keyframe
                packet.stream = stream
                container.mux(packet)

    def _make_container(self, path: Path) -> Any:
        return av.open(str(path), "w", format="null")

    def _keep(self, packet: Any) -> None:
        self._packets.append(packet)


class VideoReader:
    """Gives clips of a video as RGB arrays, on one thread. Opens the file when first needed; can be pickled.

    Raises:
        UserError: from any method, when the file is missing, truncated or no video.
    """

    def __init__(self, path: Path | FileRange) -> None:
        self.path = path
        self._file: BinaryIO | None = None
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
        """Whole frames in the file, whatever its header promises."""
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

    def clip(self, start: int, length: int, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Frames `start` to `start + length - 1` as RGB, uint8 (length, H, W, 3); written to `into` if it is given.

        Consecutive clips are read on without seeking.

        Raises:
            IndexError: the video has not so many frames.
        """
        self._open()
        if start < 0 or length < 0 or start + length > len(self._pts):
            raise IndexError(f"{self.path}: frames {start} to {start + length - 1} of {len(self._pts)}")
        clip_THWC = np.empty((length, *self.size, 3), np.uint8) if into is None else into
        if clip_THWC.shape != (length, *self.size, 3):
            raise ValueError(f"pictures of {self.path} do not fit into {clip_THWC.shape}")
        for origin in (start, 0):  # some encoders make key frames that one cannot begin at: then from the very first
            try:
                self._fill(clip_THWC, start, origin)
                return clip_THWC
            except (av.FFmpegError, StopIteration, _MissedError) as error:
                self._frames = None
                if origin == 0:
                    raise self._damaged(f"frame {start} or one after it cannot be decoded") from error
        return clip_THWC

    def clips(self, num_frames: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """The first frames, or all, as consecutive clips of at most 32 MiB, or of one frame."""
        num_frames = self.num_frames if num_frames is None else num_frames
        step = max(1, _CHUNK_BYTES // (self.size[0] * self.size[1] * 3 or 1))
        for start in range(0, num_frames, step):
            yield self.clip(start, min(step, num_frames - start))

    def _fill(self, clip_THWC: NDArray[np.uint8], start: int, origin: int) -> None:
        """Decode frames from `start` on, after the key frame before `origin` unless the file stands there already."""
        if len(clip_THWC) and (self._frames is None or start != self._next):
            self._seek(origin)
        for row in range(len(clip_THWC)):
            assert self._frames is not None
            frame = next(self._frames)
            while frame.pts is None or frame.pts < self._pts[start + row]:
                frame = next(self._frames)
            if frame.pts != self._pts[start + row] or frame.is_corrupt:
                raise _MissedError
            # The frame's own conversion would start swscale's threads anew for every picture: 14 times slower.
            clip_THWC[row] = self._to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
            self._next = start + row + 1

    @property
    def plays_in_browsers(self) -> bool:
        """Whether every browser decodes it: H.264 with 4:2:0 chroma."""
        self._open()
        context = self._stream.codec_context
        return context.name == "h264" and context.pix_fmt in ("yuv420p", "yuvj420p")

    def packets(self) -> tuple[Any, list[Any]]:
        """The stream and its encoded pictures in the order of decoding, to be copied before this reader is closed."""
        self._open()
        self._seek(0)
        self._frames = None
        return self._stream, list(self._whole_packets())

    def copy_to(self, target: BinaryIO, num_frames: int) -> list[int]:
        """Copy the first frames, without decoding them, into an ordinary mp4 that begins at time 0.

        Args:
            target: a new file that can be sought in.
            num_frames: at most; the rest is left out.

        Returns:
            When each frame is shown in the copy, in microseconds.
        """
        self._open()
        shown = self._pts[:num_frames]
        self._seek(0)
        self._frames = None
        try:
            with av.open(target, "w", format="mp4") as container:
                stream = container.add_stream_from_template(self._stream)
                for packet in self._whole_packets():
                    if packet.pts > shown[-1]:
                        continue
                    packet.pts, packet.dts = packet.pts - shown[0], packet.dts - shown[0]
                    packet.stream = stream
                    container.mux(packet)
        except av.FFmpegError as error:
            raise self._damaged("its packets cannot be copied") from error
        return [round((pts - shown[0]) * self._stream.time_base * 1_000_000) for pts in shown]

    def close(self) -> None:
        """Close the file. It is opened again when needed."""
        if self._container is not None:
            self._container.close()
        if self._file is not None:
            self._file.close()
        self.__init__(self.path)  # type: ignore[misc]

    def _open(self) -> None:
        if self._container is not None:
            return
        try:
            self._file = open_file(self.path, block_bytes=_RANGE_BYTES)
        except FileNotFoundError as error:
            raise UserError(
                f"{self.path} is missing: the recording is incomplete, record it again or remove it."
            ) from error
        except OSError as error:
            raise unreadable(self.path, error) from error
        try:
            self._open_container(self._file)
        except BaseException:
            self.close()
            raise

    def _open_container(self, file: BinaryIO) -> None:
        """Open the demuxer and read when each picture is shown."""
        try:
            layout = read_layout(file)
            index = read_index(file, layout)
            if is_overstated(file, layout):
                raise self._damaged("its index states more pictures than it could hold")
            container, stream = open_container(self._without_broken_box(file, layout), self.path)
        except (av.FFmpegError, IndexError, UnicodeDecodeError) as error:  # the last: texts in a garbled header
            raise self._damaged("it is no mp4 video or its end is missing") from error
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._container, self._stream = container, stream
        if stream.codec_context is None:
            raise self._damaged("its header does not say how it was encoded")
        try:
            times = None if index is None else indexed_times(index, layout, container, stream)
        except av.FFmpegError as error:
            raise self._damaged("its first picture cannot be read") from error
        if times is None:
            times = sorted(packet.pts for packet in self._whole_packets())
        self._pts = times

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
        """Decoded frames from the demuxer's position on."""
        for packet in self._whole_packets():
            yield from self._stream.decode(packet)
        yield from self._stream.decode(None)

    def _seek(self, index: int) -> None:
        self._container.seek(self._pts[index], stream=self._stream, backward=True)
        self._frames = self._decoded()

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self.path} is damaged ({what}): remove this recording or restore the file.")

    def _without_broken_box(self, file: BinaryIO, layout: Layout) -> str | BinaryIO:
        """The file to demux: as it is, or without a last box that is cut off and describes other boxes.

        A full disk can cut a fragment's index in half, on which the demuxer gives up the whole file. Pictures cut in
        half it can live with.
        """
        file.seek(0)
        if layout.broken is not None:
            return io.BufferedReader(Window(file, 0, layout.broken))
        return str(self.path) if isinstance(self.path, Path) else file


class _MissedError(Exception):
    """The decoder gave another picture than the one asked for."""
