"""Locks of folders: one writer at a time, whatever the command, and none is left of a process that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import moving_block
from eyehand.cli import main
from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.train.log import read_log
from patience import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")

HOLDER = """
import os, sys, time
from pathlib import Path
from eyehand.folder_lock import alone_in
with alone_in(Path(sys.argv[1]), "train"):
    if os.fork() == 0:  # as a worker does
        sys.stdin.buffer.read()
        os._exit(0)
    print("locked", flush=True)
    time.sleep(1000)
"""


def test_a_folder_is_locked_until_its_writer_ends_even_by_sigkill(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"locked\n"
        said = rf"eyehand train \(process {holder.pid} on .*\): wait for its end"
        with pytest.raises(UserError, match=said), alone_in(folder, "train"):
            pass
        holder.kill()
        holder.wait()
        with alone_in(folder, "train"):  # although the worker that it forked is still there
            assert f"process {os.getpid()} " in (folder / ".lock").read_text()
        holder.stdin.close()
    assert os.listdir(folder) == []


def test_what_lies_at_the_place_of_the_lock_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match="Cannot write to"), alone_in(tmp_path, "train"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_name_that_is_too_long_and_a_file_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / ("x" * 256), tmp_path / "file", tmp_path / "file" / "within"):
        for beside in (False, True) if folder.name != "file" else (False,):
            with pytest.raises(UserError, match="Cannot write to"), alone_in(folder, "train", beside=beside):
                pass


def _train(tmp_path: Path, out: Path) -> Sequence[object]:
    moving_block.record(tmp_path / "data", seed=0, num_frames=30)
    return ("train", "--data", tmp_path / "data", "--out", out, "--steps", 1)


def _play(tmp_path: Path, out: Path) -> Sequence[object]:
    return ("play", "--player", "random", "--seconds", 1, "--out", out)


def _play_recorded(tmp_path: Path, out: Path) -> Sequence[object]:
    return ("play", "--player", "random", "--seconds", 1, "--out", tmp_path / "other", "--record", out)


def _record(tmp_path: Path, out: Path) -> Sequence[object]:
    return ("record", "--game", "doom/aim", "--episodes", 1, "--out", out)


def _import(tmp_path: Path, out: Path) -> Sequence[object]:
    (tmp_path / "in").mkdir()
    for name in ("take.mp4", "take.jsonl"):
        (tmp_path / "in" / name).touch()
    return ("import", "vpt", tmp_path / "in", "--out", out)


@pytest.mark.parametrize("command", [_train, _play, _play_recorded, _record, _import])
def test_every_command_that_writes_for_long_says_who_writes_there(
    command: Callable[[Path, Path], Sequence[object]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(each) for each in command(tmp_path, tmp_path / "out")]
    with alone_in(tmp_path / "out", "play"):
        assert main(arguments) == 2
        assert os.listdir(tmp_path / "out") == [".lock"]
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert f"out is being written by eyehand play (process {os.getpid()} on " in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "play"])
def test_two_that_really_run_do_not_meet(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The second of two trainings, or plays, is refused, and the first goes on."""
    out = tmp_path / "out"
    if kind == "train":
        moving_block.record(tmp_path / "data", seed=0, num_frames=60)
        words = ["train", "--data", str(tmp_path / "data"), "--out", str(out), "--steps", "100000", "--workers", "1"]
        words += ["--batch-size", "1", "--clip-steps", "8", "--log-every", "1"]
    else:
        pytest.importorskip("vizdoom")
        words = ["play", "doom/center", "--player", "random", "--seconds", "300", "--no-video", "--out", str(out)]
    with subprocess.Popen([sys.executable, "-m", "eyehand", *words], stderr=subprocess.DEVNULL) as first:
        try:
            wait_until(lambda: bool(read_log(out)) if kind == "train" else (out / ".lock").exists(), "it is at work")
            num_steps = len(read_log(out))
            for more in ([], ["--resume"]) if kind == "train" else ([],):
                assert main([*words, *more]) == 2
                assert f"being written by eyehand {kind} (process {first.pid} on " in capfd.readouterr().err
            wait_until(lambda: kind == "play" or len(read_log(out)) > num_steps, "it goes on")
            assert first.poll() is None
        finally:
            first.kill()


def test_two_exports_into_one_new_folder_do_not_meet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    moving_block.record(tmp_path / "data", seed=0, num_frames=30)
    out = tmp_path / "out"
    with alone_in(out, "export", beside=True):
        assert main(["export", "lerobot", str(tmp_path / "data"), "--out", str(out)]) == 2
    assert "out is being written by eyehand export" in capfd.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["data"]
