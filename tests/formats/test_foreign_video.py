"""Videos of others: only containers and codecs that recordings have, no other file, and memory for what is there."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from numbered_video import write_video

from eyehand.errors import UserError
from eyehand.formats.foreign_video import pictures_of
from eyehand.recording.video import VideoReader
from mp4_boxes import table, with_boxes
from peak_memory import peak_mb

MOST_MB = 64
SETUP = """
    from pathlib import Path
    from eyehand.errors import UserError
    from eyehand.formats.foreign_video import pictures_of
    from eyehand.recording.video import VideoReader
"""
READ_BOTH_WAYS = """
    for read in (lambda path: VideoReader(path).num_frames, lambda path: sum(1 for _ in pictures_of(path))):
        try:
            print(read(Path(sys.argv[1])))
        except UserError:
            print("UserError")
"""


def one_chunk(num_samples: int) -> dict[bytes, bytes | None]:
    """Tables of samples of one byte, all of them in one stretch of the file."""
    return {
        b"stsz": table(1, num_samples),
        b"stts": table(1, num_samples, 512),
        b"stsc": table(1, 1, num_samples, 1),
        b"stco": table(1, 48),
        b"ctts": None,
        b"stss": None,
    }


BOMBS: dict[str, tuple[str, dict[bytes, bytes | None]]] = {
    "50 million pictures": ("", one_chunk(50_000_000)),
    "edits that repeat them": ("", {**one_chunk(10_000), b"elst": table(3000, *[10_000_000, 0, 1 << 16] * 3000)}),
    "fragments": ("frag_keyframe+default_base_moof+empty_moov", {b"trun": table(40_000_000)}),
    "offsets of time": ("", {b"ctts": table(1, 1 << 28, 0)}),
    "long pictures": ("", {b"stts": table(1, 1 << 28, 512)}),
}


def small_video(path: Path, flags: str = "") -> bytes:
    with av.open(str(path), "w", format="mp4", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("libx264", rate=20, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for _ in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((96, 160, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("name", BOMBS)
def test_tables_that_state_what_is_not_there_take_no_memory(tmp_path: Path, name: str) -> None:
    flags, changes = BOMBS[name]
    path = tmp_path / "video.mp4"
    path.write_bytes(with_boxes(small_video(path, flags), changes))
    assert path.stat().st_size < 100_000
    grown_mb, printed = peak_mb(SETUP, READ_BOTH_WAYS, path)
    assert grown_mb < MOST_MB
    assert all(line == "UserError" or int(line) <= 40 for line in printed.splitlines())


def test_what_the_tables_do_not_tell_is_bounded_by_the_allocator(tmp_path: Path) -> None:
    """FFmpeg finds tables where they do not belong; 20 million entries of them are more than it is given memory for."""
    path = tmp_path / "video.mp4"
    changed = with_boxes(small_video(path), one_chunk(50_000_000))
    path.write_bytes(changed.replace(b"stbl", b"dinf"))  # a box that FFmpeg looks into as well
    grown_mb, _ = peak_mb(SETUP, READ_BOTH_WAYS, path)
    assert grown_mb < 5 * MOST_MB


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.m3u8", "x.ffconcat", "x.sdp"])
@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{}'\n"]
)
def test_a_playlist_names_no_other_file(tmp_path: Path, name: str, text: str) -> None:
    write_video(tmp_path / "private.mp4", [0, 50, 100])
    for reference in ("private.mp4", f"file://{tmp_path}/private.mp4"):
        (tmp_path / name).write_text(text.format(reference))
        with pytest.raises(UserError, match="is no video"):
            next(pictures_of(tmp_path / name))
        with pytest.raises(UserError, match="no mp4 video"):
            _ = VideoReader(tmp_path / name).num_frames


def test_a_name_is_a_file_and_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "private.mp4", [0, 50, 100])
    (tmp_path / "concat:private.mp4").write_bytes(b"nothing")
    for name in ("concat:private.mp4", "private%03d.mp4"):
        with pytest.raises(UserError, match=r"is no video|is missing"):
            next(pictures_of(Path(name)))


@pytest.mark.parametrize(
    ("codec", "size", "sentence"),
    [("mpeg2video", 96, "encoded as mpeg2video"), ("libx264", 4160, "at most 16,777,216 pixels")],
)
def test_other_codecs_and_larger_pictures_are_one_sentence(
    tmp_path: Path, codec: str, size: int, sentence: str
) -> None:
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream(codec, rate=20, options={"preset": "ultrafast"} if codec == "libx264" else {})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(size, size, "yuv420p")))
        container.mux(stream.encode(None))
    for read in (lambda path: next(pictures_of(path)), lambda path: VideoReader(path).num_frames):
        with pytest.raises(UserError, match=sentence):
            read(tmp_path / "x.mp4")


def test_pictures_that_grow_within_a_video_are_bounded(tmp_path: Path) -> None:
    """A header of small pictures before large ones: the decoder has the limit, not only who opens it."""
    parts = []
    for size in (96, 4160):
        target = io.BytesIO()
        with av.open(target, "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=20, options={"preset": "ultrafast", "bf": "0"})
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame(size, size, "yuv420p")))
            container.mux(stream.encode(None))
        parts.append(target.getvalue())
    with av.open(str(tmp_path / "x.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width = stream.height = 96
        for number, part in enumerate(parts):
            packet = av.Packet(part)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = 1 / stream.average_rate, stream
            container.mux(packet)
    with pytest.raises(UserError, match=r"is no video, or it is damaged|at most 16,777,216 pixels"):
        list(pictures_of(tmp_path / "x.mkv"))
