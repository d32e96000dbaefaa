"""Commands on full and read-only disks, without file descriptors and without shared memory: one sentence, and nothing
half-written. Real disks, real limits."""

from __future__ import annotations

import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import moving_block
from eyehand.cli import main
from eyehand.recording.reader import find_recordings
from patience import wait_until
from programs import need, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")]

PLAY = ("play", "--player", "random", "--game", "doom/aim", "--seconds", "1")
TRAIN = ("--batch-size", "2", "--clip-steps", "4", "--workers", "1", "--log-every", "1", "--steps", "4")


def run(*arguments: object, num_files: int = 0) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if num_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (num_files, num_files))

    command = [sys.executable, "-m", "eyehand", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)


def check(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_report_that_a_full_disk_does_not_take_is_shown(tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    with small_disk(tmp_path / "disk", "64k") as disk:
        done = run(*PLAY, "--out", disk / "out")
        check(done, "report.json (No space left on device)")
        assert "doom/aim · random" in done.stderr
        assert names(disk) <= {"play.mp4"}


def test_a_recording_without_room_for_its_first_frame_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    with small_disk(tmp_path / "disk", "8k") as disk:
        done = run(*PLAY, "--no-video", "--out", tmp_path / "out", "--record", disk / "recorded")
        check(done, "Cannot write the recording")
        assert "stays readable" not in done.stderr
        assert not list(disk.iterdir())


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        pytest.param("100k", "No space left on device", id="checkpoint"),
        pytest.param("66m", "training_state.pt (No space left on device): make space, then resume", id="state"),
    ],
)
def test_training_on_a_full_disk_ends_with_a_sentence(tmp_path: Path, size: str, sentence: str) -> None:
    moving_block.record(tmp_path / "data", seed=0, num_frames=40)
    with small_disk(tmp_path / "disk", size) as disk:
        done = run("train", "--data", tmp_path / "data", "--out", disk / "run", "--held-out", 0, *TRAIN)
        check(done, sentence)
        assert not [name for name in names(disk) if "partial" in name or name == ".lock"]


def test_a_disk_that_is_full_in_the_middle_of_training_is_said_once(tmp_path: Path) -> None:
    moving_block.record(tmp_path / "data", seed=0, num_frames=40)
    command = [sys.executable, "-m", "eyehand", "train", "--data", str(tmp_path / "data"), "--held-out", "0"]
    with small_disk(tmp_path / "disk", "1m") as disk:
        with subprocess.Popen(
            [*command, *TRAIN[:-1], "100000", "--out", str(disk / "run")], stderr=subprocess.PIPE, text=True
        ) as training:
            assert training.stderr is not None
            log = disk / "run" / "log.jsonl"
            wait_until(lambda: log.exists() and log.read_text().count("\n") > 3, "three steps")
            with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while filler.write(bytes(1024)):
                    pass
            said = training.stderr.read()
        assert training.returncode == 2
        assert "Traceback" not in said
        assert "log.jsonl (No space left on device): make space, then resume with --resume" in said.splitlines()[-1]


def test_a_read_only_disk_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    moving_block.record(tmp_path / "data", seed=0, num_frames=40)
    with small_disk(tmp_path / "disk", "1m") as disk:
        (disk / "there").mkdir()
        subprocess.run([need("mount"), "-o", "remount,ro", str(disk)], check=True)
        for command in (
            ("train", "--data", tmp_path / "data", "--out", disk / "there"),
            ("play", "--player", "random", "--out", disk / "there"),
            ("play", "--player", "random", "--out", tmp_path / "out", "--record", disk / "there"),
            ("record", "--game", "doom/aim", "--out", disk / "there"),
            ("inspect", tmp_path / "data", "--html", disk / "page.html"),
            ("export", "lerobot", tmp_path / "data", "--out", disk / "new"),
        ):
            assert main([str(each) for each in command]) == 2
            assert "Read-only file system" in capfd.readouterr().err.splitlines()[-1]


def test_names_that_are_too_long_are_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = str(tmp_path / ("x" * 256))
    for command in (
        ("train", "--data", name, "--out", str(tmp_path / "run")),
        ("train", "--data", str(tmp_path), "--out", name),
        ("inspect", name),
        ("play", "--checkpoint", name, "--out", str(tmp_path / "play")),
        ("import", "vpt", name, "--out", str(tmp_path / "out")),
    ):
        assert main(list(command)) == 2
        assert capfd.readouterr().err.count("\n") == 1


def test_too_few_open_files_are_one_sentence(tmp_path: Path) -> None:
    moving_block.record(tmp_path / "data", seed=0, num_frames=40)
    check(run("train", "--data", tmp_path / "data", "--out", tmp_path / "run", *TRAIN, num_files=8), "ulimit -n")
    assert not (tmp_path / "run").exists()


def test_full_shared_memory_is_a_sentence_and_no_bus_error(tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    command = [sys.executable, "-m", "eyehand", "record", "--game", "doom/aim", "--episodes", "1"]
    mounted = 'mount -t tmpfs -o size=64k tmpfs /dev/shm || exit 77; exec "$0" "$@"'
    need("mount")
    done = subprocess.run(
        [need("unshare"), "--mount", "sh", "-c", mounted, *command, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        pytest.skip("mounting a small disk needs root")
    check(done, "MB of shared memory, and 0.1 MB are free")
    assert not (tmp_path / "out").exists() or not find_recordings(tmp_path / "out")
