"""What is asked once: whether a profile's program may run, and whether the places of an index may be contacted."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eyehand.cli import main
from eyehand.consent import ask_once, remember
from eyehand.data.index import IndexRow, write_index
from eyehand.desktop.profile import load_trusted_profile, profile_names
from eyehand.errors import UserError
from programs import need_xcb

PROFILE = """
title = "A game"
instructions = ["win", "win the game"]
[launch]
command = ["sh", "-c", "touch {folder}/\\u001b[2Jowned"]
[launch.environment]
LD_PRELOAD = "evil.so"
[launch.files]
"game.cfg" = "x"
[checks]
arguments = ["--calm"]
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody has agreed to anything."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("EYEHAND_YES", raising=False)
    return tmp_path / "state" / "eyehand" / "agreed"


def at_a_terminal(name: str, answer: str) -> tuple[int, str]:
    """Load a profile for its game as a person at a terminal does; the exit status and what they read."""
    program = "import sys; from eyehand.desktop.profile import load_trusted_profile as load; load(sys.argv[1])"
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    with subprocess.Popen([sys.executable, "-c", program, name], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(ours, 4096):
                said += data
    os.close(ours)
    return process.returncode, said.decode()


def test_a_profile_of_ones_own_is_asked_about_once(tmp_path: Path, state: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(PROFILE)
    status, said = at_a_terminal(str(file), "\n")
    assert status == 1
    assert "UserError: Nothing is done without a yes." in said
    assert not state.exists()
    status, said = at_a_terminal(str(file), "y\n")
    assert status == 0, said
    question = said.replace("\r\n", "")
    assert "mine.toml starts a program with your rights after writing its game.cfg: LD_PRELOAD=evil.so" in question
    assert re.search(r"sh -c 'touch \{folder\}/\\x1b\[2Jowned' \(at times also with --calm\)", question), question
    assert "Do you trust that? [y/N]" in question
    assert state.stat().st_mode & 0o077 == 0
    load_trusted_profile(str(file))
    file.write_text(PROFILE.replace('"win the game"', '"win it"').replace("[launch]", 'keys = ["w"]\n[launch]', 1))
    load_trusted_profile(str(file))  # what it runs is the same
    for changed in ("evil.so", '"x"', "touch", "--calm"):
        file.write_text(PROFILE.replace(changed, changed.replace(changed[1], "y")))
        with pytest.raises(UserError, match="starts a program with your rights"):
            load_trusted_profile(str(file))


def test_where_nobody_can_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str], state: Path) -> None:
    need_xcb()
    file = tmp_path / "mine.toml"
    file.write_text(PROFILE)
    assert main(["games", "show", str(file)]) == 0, "nothing runs"
    capsys.readouterr()
    for command in (["games", "check", str(file)], ["doctor", "--game", str(file)], ["play", "--game", str(file)]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "starts a program with your rights" in said
        assert "if you trust that, answer at a terminal once, or set EYEHAND_YES=1." in said
    assert not state.exists()


def test_what_a_placeholder_stands_for_is_shown(tmp_path: Path) -> None:
    script, file = tmp_path / "script.sh", tmp_path / "mine.toml"
    script.touch()
    file.write_text(
        'title = "x"\ninstructions = ["a", "b"]\n[launch]\ncommand = ["sh", "{map}"]\n[launch.find]\n'
        f'map = ["{tmp_path}/none", "{script}"]\n'
    )
    with pytest.raises(UserError, match=f"sh '{re.escape(str(script))}'"):
        load_trusted_profile(str(file))


def test_yes_can_be_said_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(PROFILE)
    monkeypatch.setenv("EYEHAND_YES", "1")
    assert load_trusted_profile(str(file)).name == "mine"
    assert not state.exists(), "it holds for this time"


def test_what_comes_with_eyehand_needs_no_question(tmp_path: Path) -> None:
    import eyehand.desktop

    for name in profile_names():
        load_trusted_profile(name)
        bundled = Path(eyehand.desktop.__file__).with_name("profiles") / f"{name}.toml"
        copy = tmp_path / f"my-{name}.toml"
        copy.write_text(re.sub("(?m)^title = .*", 'title = "Mine"', bundled.read_text()))
        load_trusted_profile(str(copy))


@pytest.fixture
def contacts() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine, and who has connected to it."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, address = server.accept()
                    seen.append(address)
                    connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_places_of_an_index_are_contacted_only_if_the_user_agrees(
    tmp_path: Path,
    contacts: tuple[int, list[object]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, seen = contacts
    index = tmp_path / "theirs.parquet"
    url = f"ftp://127.0.0.1:{port}/take/"
    row = IndexRow(
        *("a", "take", None, "doom", "aim", "1", "me", 20.0, 100, 5.0, 1.0),
        annotation_url=url + "annotation.proto",
        annotation_size=5000,
        annotation_sha256="0" * 64,
        video_url=url + "192x192.mp4",
        video_size=5000,
        video_sha256="0" * 64,
    )
    write_index([row], index)
    assert main(["data", "list", str(index)]) == 0, "nothing is opened"
    assert "doom/aim" in capsys.readouterr().out
    commands = [
        ["train", "--data", str(index), "--out", str(tmp_path / "run"), "--steps", "1"],
        ["data", "check", str(index)],
        ["export", "lerobot", str(index), "--out", str(tmp_path / "out")],
    ]
    for command in commands:
        assert main(command) == 2, command
        assert f"names recordings at ftp://127.0.0.1:{port}, which is contacted to read them" in capsys.readouterr().err
    assert seen == []
    monkeypatch.setenv("EYEHAND_YES", "1")
    assert main(["data", "check", str(index)]) == 2
    assert seen


def test_keys_are_told_apart(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("contact s3://bucket\n\udcff\n".encode(errors="surrogateescape").decode(errors="replace"))
    ask_once("contact s3://bucket", "x")
    several = "contact s3://a\nrun digest\u2028run another"
    remember(several)
    ask_once(several, "x")
    for other in (
        "run digest",
        "run another",
        "contact s3://a",
        "contact s3://bucket2",
        "contact s3://buck",
        "run s3://bucket",
        "",
    ):
        with pytest.raises(UserError):
            ask_once(other, "x")
