"""Imports, exports and pulls that end badly: a full disk, SIGKILL. Real processes, real signals, real limits."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_vpt import NAME, step, write_pair

import moving_block
from eyehand.cli import main
from eyehand.formats.importing import import_recordings
from eyehand.formats.vpt import VptImporter
from eyehand.hub.push import push
from eyehand.hub.store import FolderStore
from eyehand.jobs.local import LocalEngine
from eyehand.recording.reader import Recording, find_recordings

pytestmark = pytest.mark.slow  # a dozen processes

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from eyehand.cli import main
sys.exit(main(sys.argv[2:]))
"""

KILLED = """
import os, signal, sys
from eyehand.recording.writer import RecordingWriter
add = RecordingWriter.add
def killing(self, *arguments, **more):
    add(self, *arguments, **more)
    if self.num_frames == 5:
        os.kill(os.getpid(), signal.SIGKILL)
RecordingWriter.add = killing
from eyehand.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(2):
        moving_block.record(root, seed=seed, num_frames=60)
    return root


def check_full(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "File too large" in done.stderr or "no space left" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_full_disk_while_importing_leaves_nothing(tmp_path: Path) -> None:
    folder = write_pair(tmp_path / "in", [step()] * 12)
    done = run(LIMITED, 2_000, "import", "vpt", folder, "--out", tmp_path / "out")
    check_full(done, "Cannot write to")
    assert not (tmp_path / "out").exists()
    assert main(["import", "vpt", str(folder), "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("limit", [1_000, 20_000])
def test_a_full_disk_while_exporting_leaves_nothing(tmp_path: Path, recordings: Path, limit: int) -> None:
    done = run(LIMITED, limit, "export", "lerobot", recordings, "--out", tmp_path / "out")
    check_full(done, "Cannot write")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_while_pulling_keeps_what_it_has_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, size in enumerate((100, 40_000, 200)):
        data = np.random.default_rng(number).bytes(size)
        (tmp_path / f"data/file-{number}.bin").write_bytes(data)
    push(tmp_path / "data", FolderStore(str(tmp_path / "store")), "# card")
    done = run(LIMITED, 20_000, "data", "pull", tmp_path / "store", tmp_path / "back")
    check_full(done, "Cannot write")
    assert not (tmp_path / "back").exists()
    assert main(["data", "pull", str(tmp_path / "store"), str(tmp_path / "back")]) == 0
    for number in range(3):
        name = f"file-{number}.bin"
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "data" / name).read_bytes()


def test_an_import_that_was_killed_is_done_again_without_remains(tmp_path: Path) -> None:
    folder = write_pair(tmp_path / "in", [step()] * 12)
    (folder / f"{NAME}.mp4").rename(folder / "b.mp4")
    (folder / f"{NAME}.jsonl").rename(folder / "b.jsonl")
    write_pair(folder, [step()] * 4)  # short enough to be complete when the other is not
    (folder / f"{NAME}.mp4").rename(folder / "a.mp4")
    (folder / f"{NAME}.jsonl").rename(folder / "a.jsonl")
    done = run(KILLED, "import", "vpt", folder, "--out", tmp_path / "out", "--workers", 1)
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole = [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]
    assert len(whole) == 1
    report = import_recordings(VptImporter([folder]), tmp_path / "out")
    assert (report.skipped, len(report.written)) == (whole, 1)
    found = find_recordings(tmp_path / "out")
    assert sorted(found) == sorted([*report.skipped, *report.written])
    for path in found:
        with Recording.open(path) as recording:
            assert not recording.is_cut_off


def test_several_processes_import_the_same_and_what_is_there_twice_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_pair(tmp_path / "in/a", [step()] * 8)
    write_pair(tmp_path / "in/b", [step()] * 12)
    write_pair(tmp_path / "in/c", [step()] * 8)  # as a
    (tmp_path / f"in/b/{NAME}.mp4").rename(tmp_path / "in/b/other.mp4")
    (tmp_path / f"in/b/{NAME}.jsonl").rename(tmp_path / "in/b/other.jsonl")
    (tmp_path / "in/bad.mp4").write_bytes(b"")
    importer = VptImporter([tmp_path / "in"])
    alone = import_recordings(importer, tmp_path / "one")
    both = import_recordings(importer, tmp_path / "many", engine=LocalEngine(2))
    assert {path.name for path in both.written} == {path.name for path in alone.written}
    assert (len(both.written), len(both.skipped), both.problems) == (2, 1, alone.problems)
    assert len(both.problems) == 1
    content = [
        {path.name: (path / "192x192.mp4").read_bytes() for path in find_recordings(tmp_path / name)}
        for name in ("one", "many")
    ]
    assert content[0] == content[1]
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == sorted(content[0])


def test_remains_of_a_killed_export_are_cleared_away(tmp_path: Path, recordings: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    half = tmp_path / f".out.{ended.pid}.partial/videos/half.mp4"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    assert main(["export", "lerobot", str(recordings), "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not list((tmp_path / "out").rglob("half.mp4"))


def test_a_lerobot_data_set_can_be_pushed_and_pulled(tmp_path: Path, recordings: Path) -> None:
    assert main(["export", "lerobot", str(recordings), "--out", str(tmp_path / "set")]) == 0
    assert main(["data", "push", str(tmp_path / "set"), str(tmp_path / "store"), "--licence", "mit"]) == 0
    assert main(["data", "pull", str(tmp_path / "store"), str(tmp_path / "back")]) == 0
    assert main(["import", "lerobot", str(tmp_path / "back"), "--out", str(tmp_path / "out")]) == 0
    assert len(find_recordings(tmp_path / "out")) == 2
    card = (tmp_path / "store/README.md").read_text()
    assert 'tags: ["LeRobot"' in card
    assert "2 episodes, 120 frames at 20 a second. Licence: mit." in card
