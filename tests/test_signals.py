"""Long commands that a signal ends say so: 130 after Ctrl-C, 143 after SIGTERM, 129 when the terminal is closed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import moving_block
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.writer import RecordingWriter
from eyehand.train.log import read_log
from patience import wait_until
from programs import need, need_game, need_xcb


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of many recordings."""
    root = tmp_path_factory.mktemp("data")
    with RecordingWriter(root, RecordingInfo("r0", "paper", "signals", 20.0)) as writer:
        for index in range(60):
            done = Decision(moving_block.ACTIONS[index % 3], by_user=True) if index else None
            writer.add(Frame(moving_block.picture(index % 3, index), index * 50_000_000, index), done)
    for number in range(1, 200):
        shutil.copytree(root / "r0", root / f"r{number}")
    return root


def ended_by(number: signal.Signals, words: str, is_at_work: Callable[[int], bool], **environment: str) -> int:
    """The status of a command that gets a signal while it is at work, as a terminal or `kill` sends it."""
    command = [sys.executable, "-m", "eyehand", *words.split()]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, **environment}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
        try:
            wait_until(lambda: process.poll() is not None or is_at_work(process.pid), "it is at work")
            assert process.poll() is None, process.communicate()[1]
            if number is signal.SIGTERM:
                process.send_signal(number)
            else:
                os.killpg(process.pid, number)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert "Traceback" not in said
    return process.returncode


@pytest.mark.usefixtures("heeds_hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_training_is_saved_first(number: signal.Signals, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = f"train --data {data / 'r0'} --out {run} --steps 100000 --batch-size 1 --log-every 1 --workers 1"
    assert ended_by(number, words, lambda _: bool(read_log(run))) == 128 + number
    assert (run / "policy" / "checkpoint.json").exists()
    assert (run / "training_state.pt").exists()


def test_ctrl_c_while_a_video_is_read_is_not_lost(data: Path) -> None:
    """FFmpeg, which asks a file of ours for bytes, would swallow it."""
    code = (
        "import av, io, os, signal, sys\n"
        "from eyehand.terminal import show_what_python_prints\n"
        "show_what_python_prints()\n"
        "class File(io.FileIO):\n"
        "    is_first = True\n"
        "    def read(self, num):\n"
        "        if self.is_first:\n"
        "            self.is_first = False\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        return super().read(num)\n"
        "try:\n"
        f"    av.open(File({str(data / 'r0' / '192x192.mp4')!r}))\n"
        "    signal.pause()\n"  # until it comes again
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def _has_children(pid: int) -> bool:
    return any(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))


def _anything(folder: str) -> Callable[[Path, int], bool]:
    return lambda out, _: any(path.is_file() for path in out.glob(folder))


OTHERS: dict[str, tuple[str, Callable[[Path, int], bool]]] = {
    "record": ("record --game doom/aim --episodes 100000 --out OUT/new", _anything("new/*/annotation.proto")),
    "record, two workers": (
        "record --game doom/aim --episodes 100000 --workers 2 --out OUT/new",
        _anything("new/*/annotation.proto"),
    ),
    "play": ("play --game doom/aim --player random --seconds 1000 --out OUT/play", _anything("play/play.mp4")),
    "demo": ("demo --games doom/aim --seconds 1000 --out OUT/demo", _anything("demo/*/play.mp4")),
    "evaluate": (
        "evaluate --game doom/aim --episodes 100000 --json OUT/scores.json",
        lambda _, pid: _has_children(pid),
    ),
    "export": ("export lerobot DATA --out OUT/lerobot", lambda out, _: any(out.iterdir())),
    "data index": ("data index DATA --out OUT/index.parquet", _anything("index.parquet.journal")),
    "data reencode": ("data reencode DATA --out OUT/small", lambda out, _: any(out.iterdir())),
    "data check": ("data check DATA --out OUT/found.json", _anything("found.json.journal")),
}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("case", OTHERS)
def test_others(case: str, number: signal.Signals, data: Path, tmp_path: Path) -> None:
    words, is_at_work = OTHERS[case]
    words = words.replace("DATA", str(data)).replace("OUT", str(tmp_path))
    assert ended_by(number, words, lambda pid: is_at_work(tmp_path, pid)) == 128 + number


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_persons_recording(number: signal.Signals, tmp_path: Path) -> None:
    need("Xvfb")
    need_xcb()
    need_game("chocolate-doom")
    from eyehand.desktop.x11.guard import Guard
    from eyehand.desktop.x11.screen import OwnScreen
    from eyehand.recording.reader import Recording, find_recordings

    with closing(Guard()) as guard, closing(OwnScreen((640, 480), guard)) as screen:
        place = {"DISPLAY": screen.name, "XAUTHORITY": str(screen.authority)}
        words = f"record --game chocolate-doom --out {tmp_path / 'new'}"

        def at_work(_: int) -> bool:  # for more than a second: what is shorter is no recording
            return any(path.stat().st_size > 4000 for path in tmp_path.glob("new/*/annotation.proto"))

        assert ended_by(number, words, at_work, **place) == 128 + number
    assert [Recording.open(folder).is_cut_off for folder in find_recordings(tmp_path / "new")] == [False]
