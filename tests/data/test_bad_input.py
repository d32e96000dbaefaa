"""Bad data through the real commands: one sentence each, status 2 if nothing usable is left, never an empty set."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import av
import pytest

import moving_block
from eyehand.cli import main
from eyehand.data.index import read_index
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.reader import find_recordings
from programs import small_disk

NUM_FRAMES = 30


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(2):
        moving_block.record(root, seed=seed, num_frames=NUM_FRAMES)
    return root


@pytest.fixture
def data(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two recordings; a test damages `data/block-000`. Commands run beside them."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(recordings, tmp_path / "data")


def plain_mp4(path: Path, flags: str) -> bytes:
    """The same pictures as other recorders store them: with an index at the end, or (faststart) at the front."""
    made, options = path.with_suffix(".plain"), {"movflags": flags} if flags else {}
    with av.open(str(path)) as source, av.open(str(made), "w", format="mp4", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = made.read_bytes()
    made.unlink()
    return data


def without_index(path: Path) -> None:
    data = plain_mp4(path / "192x192.mp4", "")
    (path / "192x192.mp4").write_bytes(data[: data.rindex(b"moov") - 4])


def cut_off(path: Path) -> None:
    data = plain_mp4(path / "192x192.mp4", "faststart")
    (path / "192x192.mp4").write_bytes(data[: len(data) * 2 // 3])


def empty_video(path: Path) -> None:
    (path / "192x192.mp4").write_bytes(b"")
    (path / "video.mp4").unlink()


def empty_annotation(path: Path) -> None:
    (path / "annotation.proto").write_bytes(b"")


def another_format(path: Path) -> None:
    """A message whose frames (field 3) are numbers, as some later version may have them."""
    (path / "annotation.proto").write_bytes(bytes([3 << 3, 7]) * 30)


def frames_of_another_kind(path: Path) -> None:
    """A message whose frames hold something else than ours do."""
    (path / "annotation.proto").write_bytes(bytes([3 << 3 | 2, 2, 0xFF, 0xFF]) * 30)


def folder_for_a_file(path: Path) -> None:
    (path / "annotation.proto").unlink()
    (path / "annotation.proto").mkdir()
    (path / "annotation.proto" / "x").touch()


def change(path: Path, edit: Callable[[pb.VideoAnnotation], object]) -> None:
    message = pb.VideoAnnotation.FromString((path / "annotation.proto").read_bytes())
    edit(message)
    (path / "annotation.proto").write_bytes(message.SerializeToString())


def no_rate(path: Path) -> None:
    change(path, lambda message: setattr(message.metadata, "frames_per_second", float("nan")))


def forbidden_video(path: Path) -> None:
    (path / "192x192.mp4").chmod(0)
    (path / "video.mp4").chmod(0)


def forbidden_annotation(path: Path) -> None:
    (path / "annotation.proto").chmod(0)


BAD = {
    without_index: "192x192.mp4 is damaged",
    cut_off: "is damaged (30 annotations and",
    empty_video: "192x192.mp4 ",
    empty_annotation: "annotation.proto is damaged (it holds no frames)",
    another_format: "annotation.proto is damaged",
    frames_of_another_kind: "annotation.proto is damaged",
    folder_for_a_file: "annotation.proto",
    no_rate: "frames per second",
    forbidden_video: "192x192.mp4 cannot be read (Permission denied)",
    forbidden_annotation: "annotation.proto cannot be read (Permission denied)",
}


@contextmanager
def as_an_ordinary_user(path: Path) -> Iterator[None]:
    """Who runs tests as root reads everything; for a while this thread's file accesses are nobody's.

    Everything that is imported must have been before: nobody may not read root's Python.
    """
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for each in (path, *path.rglob("*")):
        os.chown(each, nobody, nobody)
    path.parent.chmod(0o777)  # results are written beside it
    for folder in path.parents:  # pytest's folders are the user's own
        if not (mode := folder.stat().st_mode) & 0o001:
            folder.chmod(mode | 0o011)
    setfsuid = ctypes.CDLL(None).setfsuid
    setfsuid(nobody)
    try:
        yield
    finally:
        setfsuid(0)


def commands(out: str) -> dict[str, list[str]]:
    return {
        "index": ["data", "index", "data", "--out", f"{out}.parquet", "--workers", "1"],
        "check": ["data", "check", "data", "--workers", "1", "--max-key-share", "1"],
        "reencode": ["data", "reencode", "data", "--out", f"{out}.made", "--workers", "1"],
    }


@pytest.mark.skipif(sys.platform != "linux", reason="a thread's access rights are changed as only Linux can")
@pytest.mark.parametrize("damage", BAD, ids=lambda damage: damage.__name__)
def test_a_bad_recording_has_its_sentence(data: Path, capsys: pytest.CaptureFixture[str], damage: Callable) -> None:
    for arguments in commands("sound").values():
        assert main(arguments) == 0
    capsys.readouterr()
    damage(data / "block-000")
    with as_an_ordinary_user(data) if "forbidden" in damage.__name__ else nullcontext():
        for name, arguments in commands("both").items():
            assert main(arguments) == 0, name  # the other recording is used
            said = [line for line in capsys.readouterr().out.replace("\n ", " ").splitlines() if BAD[damage] in line]
            assert len(said) == 1, name
            assert all("block-000" in line for line in said)
        assert [row.id for row in read_index(Path("both.parquet"), "error is null")] == ["block-001"]
        assert [path.name for path in find_recordings("both.made")] == ["block-001"]
        shutil.rmtree(data / "block-001")
        for name, arguments in commands("alone").items():
            assert main(arguments) == 2, name
            printed = capsys.readouterr()
            assert "Traceback" not in printed.err
            assert printed.err.count("\n") <= 1
    assert not Path("alone.parquet").exists()
    assert not Path("alone.made").exists() or not any(Path("alone.made").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="a thread's access rights are changed as only Linux can")
def test_a_folder_without_permission_is_not_passed_over(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in commands("sound").values():
        assert main(arguments) == 0
    capsys.readouterr()
    (data / "block-000").chmod(0)
    with as_an_ordinary_user(data):
        for arguments in commands("x").values():
            assert main(arguments) == 2
            printed = capsys.readouterr().err
            assert "data cannot be listed (Permission denied): check address and permissions." in printed
            assert printed.count("\n") == 1
    (data / "block-000").chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name is text")
def test_a_name_that_is_not_utf_8(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename(bytes(data / "block-000"), bytes(data) + b"/caf\xe9")
    for name, arguments in commands("both").items():
        assert main(arguments) == 0, name
        assert "Its name is not UTF-8: rename it." in capsys.readouterr().out
    assert [row.id for row in read_index(Path("both.parquet"), "error is null")] == ["block-001"]
    assert main(["data", "push", "data", "store"]) == 2
    printed = capsys.readouterr().err
    assert r"holds the name 'caf\udce9/192x192.mp4', which is not UTF-8: rename it" in printed
    assert not Path("store").exists()
    assert main(["inspect", "data", "--html", "page.html"]) == 0  # to look at it no name is needed
    assert "udce9" in Path("page.html").read_text(encoding="utf-8")


def test_a_later_version_with_more_in_it_is_read_as_far_as_it_is_known(data: Path) -> None:
    path = data / "block-000" / "annotation.proto"
    change(data / "block-000", lambda message: setattr(message, "version", 99))
    path.write_bytes(path.read_bytes() + bytes([12 << 3 | 2, 3]) + b"new" + bytes([13 << 3, 5]))
    assert main(commands("both")["index"]) == 0
    assert [row.error for row in read_index(Path("both.parquet"))] == [None, None]


def test_a_rate_that_is_not_told_is_the_references(data: Path) -> None:
    change(data / "block-000", lambda message: message.metadata.ClearField("frames_per_second"))
    for arguments in commands("both").values():
        assert main(arguments) == 0
    assert [row.fps for row in read_index(Path("both.parquet"))] == [20.0, 20.0]
    assert len(find_recordings("both.made")) == 2


def test_rates_that_differ(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(data / "block-000", lambda message: setattr(message.metadata, "frames_per_second", 60))
    assert main(commands("both")["index"]) == 0
    assert "block-000: It has 60 frames per second and a policy acts at 20" in capsys.readouterr().out
    shutil.rmtree(data / "block-001")
    assert main(["train", "--data", "data", "--out", "run", "--minutes", "0.01"]) == 2
    said = capsys.readouterr().err
    assert "left out: data/block-000: It has 60 frames per second" in said
    assert "None of the 1 recordings in data can be learnt from" in said


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "64k") as disk:
        yield disk


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
@pytest.mark.parametrize("command", ["index", "reencode"])
def test_a_full_disk(data: Path, disk: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    with tarfile.open("a.tar.gz", "w:gz") as tar:
        for number in range(8):
            tar.add(data / "block-000", f"set/{number}")
            shutil.copytree(data / "block-000", data / f"more-{number}")
    arguments = {
        "index": ["data", "index", "a.tar.gz", "--out", str(disk / "i.parquet"), "--workers", "1"],
        "reencode": ["data", "reencode", "data", "--out", str(disk / "made"), "--workers", "1"],
    }[command]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("eyehand: Cannot write ")
    assert printed.endswith("make space or choose another place, and run the command again; it goes on where it was.\n")
    assert "No space left on device" in printed
    assert printed.count("\n") == 1
    subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
    assert main(arguments) == 0
    capsys.readouterr()
    if command == "index":
        assert len(read_index(disk / "i.parquet")) == 8
    else:
        assert len(find_recordings(disk / "made")) == 10
