"""Re-encoding: the same recording in a video that decodes fast, whole or not there at all."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest

import moving_block
from eyehand.cli import main
from eyehand.data.reencode import Settings, reencode, target_names
from eyehand.errors import UserError
from eyehand.frame import resize
from eyehand.jobs.local import LocalEngine
from eyehand.recording.reader import Recording, RecordingFiles, find_recordings
from eyehand.recording.video import VideoReader

HERE = LocalEngine()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(3):
        moving_block.record(root, seed=seed, num_frames=25)
    return root


@pytest.fixture
def data(recordings: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(recordings, tmp_path / "data")


def files_in(root: Path) -> dict[str, RecordingFiles]:
    return {str(path): RecordingFiles.in_folder(path) for path in find_recordings(root)}


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def encode(path: Path, pictures: np.ndarray) -> None:
    """As other recorders may: B-frames and few key frames."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=20, options={"g": "250", "bf": "3", "crf": "12", "sc_threshold": "0"}
        )
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "yuv420p"
        for pixels in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def key_frames(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [number for number, packet in enumerate(container.demux(video=0)) if packet.size and packet.is_keyframe]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_a_video_that_is_slow_to_seek_becomes_a_quick_one(data: Path, tmp_path: Path) -> None:
    path = data / "block-001"
    with Recording.open(path) as recording:
        pictures = recording.decode_clip(0, 25)
    encode(path / "192x192.mp4", pictures)
    assert key_frames(path / "192x192.mp4") == [0]
    done = reencode(files_in(data), tmp_path / "out", Settings(), HERE)
    assert [(each.error, each.num_frames, each.is_resized) for each in done] == [(None, 25, False)] * 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["block-000", "block-001", "block-002"]
    made = tmp_path / "out" / "block-001"
    assert key_frames(made / "192x192.mp4") == [0, 20]
    for name in ("annotation.proto", "video.mp4"):
        assert (made / name).read_bytes() == (path / name).read_bytes()
    with Recording.open(made) as ours, Recording.open(path) as before:
        assert difference(ours.decode_clip(0, 25), before.decode_clip(0, 25)) < 1
        assert difference(ours.decode_clip(1, 24), before.decode_clip(0, 24)) > 1  # a shift by a frame is noticed
        assert list(ours.annotations) == list(before.annotations)


def test_a_recording_with_the_captured_video_only_passes_the_one_resize(data: Path, tmp_path: Path) -> None:
    path = data / "block-000"
    (path / "192x192.mp4").unlink()
    captured = np.stack([moving_block.picture(index % 3, index)[:120].repeat(2, axis=1) for index in range(25)])
    encode(path / "video.mp4", captured)
    (data / "block-001" / "192x192.mp4").write_bytes((path / "video.mp4").read_bytes())  # of another size
    (data / "block-002" / "192x192.mp4").write_bytes(b"")
    done = reencode(files_in(data), tmp_path / "out", Settings(crf=8, small_only=True), HERE)
    assert [(each.error, each.is_resized) for each in done] == [(None, True)] * 3
    reader = VideoReader(path / "video.mp4")
    expected = np.stack([resize(pixels) for pixels in reader.clip(0, 25)])
    reader.close()
    made = tmp_path / "out" / "block-000"
    assert sorted(each.name for each in made.iterdir()) == ["192x192.mp4", "annotation.proto"]
    with Recording.open(made) as recording:
        assert difference(recording.decode_clip(0, 25), expected) < 1


def test_quality_is_ours_to_choose(data: Path, tmp_path: Path) -> None:
    sizes = []
    for crf in (1, 18, 45):
        done = reencode(files_in(data), tmp_path / str(crf), Settings(crf), HERE)
        sizes.append(sum(each.bytes_after for each in done))
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(UserError, match="--crf goes from 0"):
        reencode(files_in(data), tmp_path / "x", Settings(52), HERE)


def test_several_processes_make_the_same_files(data: Path, tmp_path: Path) -> None:
    reencode(files_in(data), tmp_path / "one", Settings(), HERE)
    reencode(files_in(data), tmp_path / "many", Settings(), LocalEngine(2))
    assert content(tmp_path / "one") == content(tmp_path / "many")


def test_a_killed_run_leaves_nothing_half_and_goes_on(data: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    reencode(files_in(data), whole, Settings(), HERE)
    killed = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from eyehand.data import reencode as module\n"
        "from eyehand.jobs.local import LocalEngine\n"
        "from eyehand.recording.reader import RecordingFiles, find_recordings\n"
        "write, seen = module.VideoWriter.write, []\n"
        "def counted(self, pixels):\n"
        "    seen.append(0)\n"
        "    if len(seen) == 40:\n"  # in the second of three recordings
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(self, pixels)\n"
        "module.VideoWriter.write = counted\n"
        "found = {str(path): RecordingFiles.in_folder(path) for path in find_recordings(sys.argv[1])}\n"
        "module.reencode(found, Path(sys.argv[2]), module.Settings(), LocalEngine())\n"
    )
    ended = subprocess.run([sys.executable, "-c", killed, str(data), str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in find_recordings(out)] == ["block-000"]  # what is half is not seen
    made = (out / "block-000" / "192x192.mp4").stat().st_mtime_ns
    with pytest.raises(UserError, match="begun with other sources or options"):
        reencode(files_in(data), out, Settings(30), HERE)
    assert [each.error for each in reencode(files_in(data), out, Settings(), HERE)] == [None] * 3
    assert content(out) == content(whole)
    assert (out / "block-000" / "192x192.mp4").stat().st_mtime_ns == made


def test_a_full_disk_has_one_sentence_and_the_run_goes_on(data: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))  # no file may grow beyond: the kernel refuses to write
    try:
        with pytest.raises(UserError, match=r"Cannot write .*block-000 \(.*goes on where it was"):
            reencode(files_in(data), out, Settings(), HERE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == []
    assert len(reencode(files_in(data), out, Settings(), HERE)) == len(find_recordings(out)) == 3


def test_damage_is_not_made_to_look_whole(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = data / "block-000" / "192x192.mp4"
    bytes_before = video.read_bytes()
    video.write_bytes(bytes_before[:2000] + bytes(300) + bytes_before[2300:])
    (data / "block-001" / "annotation.proto").write_bytes(b"\xff" * 50)
    out = tmp_path / "out"
    assert main(["data", "reencode", str(data), "--out", str(out), "--as-json", "--workers", "1"]) == 0
    done = {Path(each["source"]).name: each["error"] for each in json.loads(capsys.readouterr().out)}
    assert f"{video} is damaged" in done["block-000"]
    assert "annotation.proto is damaged" in done["block-001"]
    assert done["block-002"] is None
    assert [path.name for path in out.iterdir()] == ["block-002"]
    shutil.rmtree(data / "block-002")
    assert main(["data", "reencode", str(data), "--out", str(tmp_path / "none"), "--workers", "1"]) == 2
    assert "0 recordings" in capsys.readouterr().out


def test_other_sources(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tarfile.open("a.tar", "w") as tar:
        tar.add("data", "dataset")
    fsspec.filesystem("memory").put(f"{data}/", "/slow/", recursive=True)
    assert main(["data", "index", "data", "--out", "i.parquet", "--workers", "1"]) == 0
    for source in ("data", "a.tar", "memory://slow", "i.parquet"):
        out = source.replace(":", "")
        arguments = ["data", "reencode", source, "--out", f"out/{out}", "--small-only", "--workers", "1"]
        assert main(arguments) == 0, source
        assert content(Path("out", out)) == content(Path("out/data"))
    assert "3 recordings" in capsys.readouterr().out
    assert main(["data", "reencode", "data", "--out", "out/data"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert len(content(Path("out/data"))) == 6


def test_names_in_the_new_folder_are_unique_and_never_hidden() -> None:
    names = target_names(["/a/x", "/b/x", "t.tar!set/y", "/.z"])
    assert names["/a/x"] == "x"
    assert names["t.tar!set/y"] == "y"
    assert names["/b/x"].startswith("x-")
    assert names["/.z"].startswith("z-")
