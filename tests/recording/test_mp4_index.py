"""Where the pictures of an mp4 are: its index says what reading all of it says, and a clip costs few bytes."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import fsspec
import numpy as np
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

import moving_block
from eyehand.data.archives import read_archive
from eyehand.data.sources import Archive
from eyehand.errors import UserError
from eyehand.recording import video
from eyehand.recording.file_range import FileRange, read_file
from eyehand.recording.mp4_index import read_index, read_layout
from eyehand.recording.reader import Recording, RecordingFiles
from eyehand.recording.video import SMALL, VideoReader, VideoWriter

NUM_FRAMES = 50


def pictures() -> Iterator[np.ndarray]:
    """Noise that moves: the encoder has reasons for B-frames, and a second of it takes some 100 kB."""
    noise = np.random.default_rng(0).integers(0, 255, (192, 400, 3), np.uint8)
    return (np.ascontiguousarray(noise[:, index : index + 192]) for index in range(NUM_FRAMES))


def encode(path: Path, options: dict[str, str], flags: str = "", first: int = 0) -> Path:
    with av.open(str(path), "w", format="mp4", options={"movflags": flags} if flags else {}) as container:
        stream = container.add_stream("libx264", rate=20, options={"preset": "veryfast", **options})
        stream.height = stream.width = 192
        stream.pix_fmt = "yuv420p"
        for index, pixels in enumerate(pictures()):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = first + index, 1 / stream.average_rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shown(path: Path) -> list[int]:
    """The times of all pictures, by reading the file through."""
    with av.open(str(path)) as container:
        return sorted(packet.pts for packet in container.demux(video=0) if packet.size and packet.pts is not None)


def is_indexed(path: Path) -> bool:
    with open(path, "rb") as file:
        return read_index(file, read_layout(file)) is not None


@pytest.mark.parametrize(
    ("options", "flags", "first"),
    [
        ({"bf": "0", "g": "20"}, "", 0),
        ({"bf": "3", "b_adapt": "0", "g": "20"}, "", 0),
        ({"bf": "3", "b_adapt": "0", "g": "20"}, "faststart", 0),
        ({"bf": "3", "b_adapt": "0", "g": "20"}, "negative_cts_offsets", 0),
        ({"bf": "2", "g": "20", "x264-params": "open-gop=1"}, "", 0),
        ({"bf": "3", "b_adapt": "0", "g": "250"}, "", 7),
    ],
)
def test_the_index_says_what_reading_all_of_it_says(tmp_path: Path, options: dict, flags: str, first: int) -> None:
    path = encode(tmp_path / "v.mp4", options, flags, first)
    assert is_indexed(path)
    reader = VideoReader(path)
    assert reader.num_frames == NUM_FRAMES
    assert reader._pts == shown(path)
    whole = reader.clip(0, NUM_FRAMES)
    for start in (1, 18, 19, 20, 21, 38, 41, 45):
        assert (reader.clip(start, 5) == whole[start : start + 5]).all()
    reader.close()


def test_a_fragmented_file_is_read_through(tmp_path: Path) -> None:
    path = encode(tmp_path / "v.mp4", {"g": "20"}, "frag_keyframe+empty_moov")
    assert not is_indexed(path)
    assert VideoReader(path).num_frames == NUM_FRAMES


def test_a_finished_recording_is_indexed(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "v.mp4", 192, 192, 20, SMALL)
    for pixels in pictures():
        writer.write(pixels)
    assert not is_indexed(tmp_path / "v.mp4")
    writer.close()
    assert is_indexed(tmp_path / "v.mp4")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
def test_a_file_that_breaks_off_has_the_pictures_before(tmp_path: Path, share: float) -> None:
    path = encode(tmp_path / "v.mp4", {"bf": "0", "g": "20"}, "faststart")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    reader = VideoReader(path)
    with av.open(str(path)) as container:
        whole = list(itertools.takewhile(lambda p: not p.is_corrupt, container.demux(video=0)))
    assert 0 < reader.num_frames == len([packet for packet in whole if packet.size]) < NUM_FRAMES
    assert reader.clip(0, reader.num_frames).shape == (reader.num_frames, 192, 192, 3)


@given(st.data())
@settings(max_examples=60)
def test_a_garbled_index_is_an_error_or_gives_the_pictures(garbled: bytearray, data: st.DataObject) -> None:
    content = bytearray(garbled)
    start = content.index(b"moov")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(start + 4, start + 900))] = data.draw(st.integers(0, 255))
    path = f"memory://garbled/{hash(bytes(content))}.mp4"
    fsspec.filesystem("memory").pipe(path, bytes(content))
    reader = VideoReader(FileRange(path))
    try:
        assert reader.clip(0, min(3, reader.num_frames)).shape[1:] == (*reader.size, 3)
    except UserError:
        pass
    finally:
        reader.close()
        fsspec.filesystem("memory").rm(path)


@pytest.fixture(scope="module")
def garbled(tmp_path_factory: pytest.TempPathFactory) -> bytearray:
    path = encode(tmp_path_factory.mktemp("v") / "v.mp4", {"bf": "3", "b_adapt": "0"}, "faststart")
    return bytearray(path.read_bytes())


class Counted(AbstractFileSystem):
    """Files of memory, read through fsspec's buffers, in which every byte that is asked for is counted."""

    protocol = "counted"
    cachable = False
    files: dict[str, bytes] = {}  # noqa: RUF012
    asked: list[int] = []  # noqa: RUF012

    def info(self, path: str, **more: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path not in self.files:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.files[path]), "type": "file"}

    def cat_file(self, path: str, start: int = 0, end: int | None = None, **more: Any) -> bytes:
        return self._open(self._strip_protocol(path))._fetch_range(
            start, self.info(path)["size"] if end is None else end
        )

    def _open(self, path: str, mode: str = "rb", **more: Any) -> AbstractBufferedFile:
        return CountedFile(self, path, mode, **more)


class CountedFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        data = self.fs.files[self.path][start:end]
        self.fs.asked.append(len(data))
        return data


@pytest.fixture
def counted() -> type[Counted]:
    fsspec.register_implementation("counted", Counted, clobber=True)
    Counted.files, Counted.asked = {}, []
    return Counted


@pytest.mark.parametrize("place", ["url", "archive"])
def test_a_clip_from_far_away_costs_a_few_ranges(
    counted: type[Counted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(video, "_RANGE_BYTES", 1 << 15)  # as if the video were eight times as long
    path = moving_block.record(tmp_path, seed=0, num_frames=NUM_FRAMES)
    encode(path / "192x192.mp4", {"bf": "3", "b_adapt": "0", "g": "10", "crf": "1"})
    size = (path / "192x192.mp4").stat().st_size
    if place == "url":
        counted.files["far/v.mp4"] = (path / "192x192.mp4").read_bytes()
        far: Any = FileRange("counted://far/v.mp4")
    else:
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(path, "set/one")
        counted.files["far/a.tar"] = (tmp_path / "a.tar").read_bytes()
        (located,) = read_archive(Archive("counted://far/a.tar", len(counted.files["far/a.tar"])), None)
        far = located.files.small
    expected = VideoReader(path / "192x192.mp4").clip(40, 4)
    counted.asked.clear()
    reader = VideoReader(far)
    assert (reader.clip(40, 4) == expected).all()
    reader.close()
    assert sum(counted.asked) < size / 2
    assert len(counted.asked) < 20


def test_a_recording_far_away_is_opened_without_reading_its_video(counted: type[Counted], tmp_path: Path) -> None:
    path = moving_block.record(tmp_path, seed=0, num_frames=NUM_FRAMES)
    encode(path / "192x192.mp4", {"g": "10", "crf": "0"})
    for file in path.iterdir():
        counted.files[f"far/one/{file.name}"] = file.read_bytes()
    annotation, small = (FileRange(f"counted://far/one/{name}") for name in ("annotation.proto", "192x192.mp4"))
    with Recording.open(RecordingFiles(Path("far"), annotation, small, None)) as recording:
        assert recording.num_frames == NUM_FRAMES
    assert sum(counted.asked) < (path / "192x192.mp4").stat().st_size / 2


def test_a_stretch_of_a_far_file_is_all_that_is_asked_for(counted: type[Counted]) -> None:
    counted.files["far/a.tar"] = bytes(range(256)) * 400
    stretch = FileRange("counted://far/a.tar", 513, 300)
    assert read_file(stretch, 300) == counted.files["far/a.tar"][513:813]
    assert counted.asked == [300]
    with stretch.open() as file:
        assert file.read() == counted.files["far/a.tar"][513:813]
    with pytest.raises(FileNotFoundError):
        read_file(FileRange("counted://far/b.tar", 0, 1), 100)


def test_layout_of_what_is_no_mp4() -> None:
    for content in (b"", b"x", b"no video at all, but long enough for a header", bytes(64)):
        layout = read_layout(io.BytesIO(content))
        assert layout.size == len(content)
        assert read_index(io.BytesIO(content), layout) is None
