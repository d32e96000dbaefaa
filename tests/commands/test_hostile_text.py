"""What strangers write into data, names and answers is shown in a terminal, and steers nothing there."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import moving_block
from eyehand.action import Action
from eyehand.checkpoint import save_checkpoint
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.writer import RecordingWriter
from eyehand.wire import extended_pb2
from eyehand.wire.framing import pack
from tiny import tiny_policy

CODES = "\x1b]52;c;aGFjaw==\x07\x1b[31337m\x9b2J\u202e\rx"
"""Writes the clipboard, colours, clears the screen (as C1), turns the direction of writing, goes back to overwrite."""

EVIL = f"evil[nope]{CODES}"
ONE_STEP = ("--steps", "1", "--batch-size", "1", "--clip-steps", "4")
SEEN = r"evil[nope]\x1b]52;c;aGFjaw==\x07\x1b[31337m\x9b2J\u202e\rx"

OURS = re.compile(r"\r?\x1b\[(\?\d+[hl]|[0-9;]*[mKAG])")
"""Sequences with which rich colours, and draws bars."""


def terminal(*words: object) -> str:
    """What `eyehand WORDS` sends to its terminal, which is wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "2000"}
    command = [sys.executable, "-m", "eyehand", *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        pieces = []
        try:
            while piece := os.read(ours, 65536):
                pieces.append(piece)
        except OSError:  # nobody has the terminal open any more
            pass
        finally:
            os.close(ours)
    return b"".join(pieces).decode()


def steering(said: str) -> set[str]:
    """The characters that would steer the terminal and that neither rich nor the end of a line has put there."""
    left = OURS.sub("", said.replace("\x1b[31337m", "\x1b").replace("\r\n", "\n"))
    return {character for character in left if character in CODES and not character.isprintable() and character != "\n"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording and a checkpoint of a stranger, and files of other formats that cannot be read."""
    folder = tmp_path_factory.mktemp("data")
    info = RecordingInfo("one", EVIL, EVIL, 20.0, user=EVIL, os=EVIL, env_version=EVIL, tasks=(EVIL,))
    with RecordingWriter(folder / "recordings", info) as writer:
        for index in range(30):
            done = Decision(Action(frozenset([EVIL])), by_user=True) if index else None
            writer.add(Frame(moving_block.picture(index % 3, index), round(index * 50e6), index), done, EVIL)
    writer.path.rename(folder / "recordings" / EVIL)
    save_checkpoint(folder / EVIL, tiny_policy(), {EVIL: EVIL})
    (folder / "damaged").mkdir()
    (folder / "damaged" / f"{EVIL}.hdf5").write_bytes(b"no data")
    (folder / "damaged" / f"{EVIL}.mcap").write_bytes(b"no data")
    (folder / "profile.toml").write_text(f"{json.dumps(EVIL)} = 1\n")
    (folder / "many").mkdir()
    for name in "ab":
        (folder / "many" / f"{name}{EVIL}").touch()
    return folder


CASES: dict[str, Callable[[Path], list[object]]] = {
    "inspect": lambda data: ["inspect", data / "recordings"],
    "a page": lambda data: ["inspect", data / "recordings", "--html", data / "page.html", "--max-mb", "0.001"],
    "data index": lambda data: ["data", "index", data / "recordings", "--out", data / "i.parquet", "--replace"],
    "data check": lambda data: ["data", "check", data / "recordings"],
    "data reencode": lambda data: ["data", "reencode", data / "recordings", "--out", data / "small" / EVIL],
    "export": lambda data: ["export", "lerobot", data / "recordings", "--out", data / "lerobot"],
    "import csgo": lambda data: ["import", "csgo", data / "damaged", "--out", data / "csgo"],
    "import owa": lambda data: ["import", "owa", data / "damaged", "--out", data / "owa"],
    "train": lambda data: ["train", "--data", data / "recordings", "--out", data / "run" / EVIL, *ONE_STEP],
    "a checkpoint's facts": lambda data: ["checkpoint", "info", data / EVIL],
    "no checkpoint": lambda data: ["play", "--game", "doom/aim", "--checkpoint", EVIL],
    "a profile": lambda data: ["games", "show", data / "profile.toml"],
    "names of files as options": lambda data: ["inspect", *sorted((data / "many").iterdir())],
}


@pytest.mark.parametrize("case", CASES)
def test_a_terminal_shows_and_does_not_obey(case: str, data: Path) -> None:
    said = terminal(*CASES[case](data))
    assert "Traceback" not in said
    assert steering(said) == set()
    assert SEEN in said, said


def test_a_servers_answer(tmp_path: Path) -> None:
    refusal = extended_pb2.ServerMessage(parting=extended_pb2.Parting(reason=EVIL, is_final=True))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()

        def refuse() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(pack(refusal.SerializeToString()))
                connection.recv(4096)

        threading.Thread(target=refuse, daemon=True).start()
        said = terminal("play", "--game", "doom/aim", "--server", tmp_path / "s")
    assert steering(said) == set()
    assert SEEN in said


def test_what_python_itself_prints() -> None:
    """Of faults of ours, of threads, warnings and logs of libraries."""
    code = (
        "import logging, sys, threading, warnings\nfrom eyehand.cli import main\n"
        "main(['games', 'doom/aim', '--as-json'])\n"
        f"evil = {EVIL!r}\n"
        "warnings.warn(evil)\nlogging.warning(evil)\n"
        "def fail(): raise RuntimeError(evil)\n"
        "thread = threading.Thread(target=fail)\nthread.start()\nthread.join()\nfail()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert steering(said) == set()
    assert said.count(SEEN) == 4
    assert said.count("Traceback (most recent call last):\n") == 2
