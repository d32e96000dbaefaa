"""`eyehand serve` and `eyehand play --server` as a user meets them."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from serving import Serve, Sum
from talker import Talker, noise

from eyehand.action import NOTHING, Action
from eyehand.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eyehand.cli import main
from eyehand.frame import Frame
from eyehand.player import Observation
from eyehand.players.policy import PolicyPlayer
from eyehand.wire.messages import action_of

TOKEN = "0123456789abcdef"


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`eyehand serve` in a process of its own, and the line that it prints when it is ready."""
    command = [sys.executable, "-m", "eyehand", "serve", "--checkpoint", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def unix(path: Path) -> Talker:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return Talker(connection)


def test_a_checkpoint_is_served_at_two_addresses_until_sigterm(
    tmp_path: Path, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, path, token_file = tmp_path / "tiny", tmp_path / "s", tmp_path / "token"
    save_checkpoint(folder, checkpoint.policy, dtype="float32")
    token_file.write_text(TOKEN)
    here = PolicyPlayer(load_checkpoint(folder))
    expected = [NOTHING]
    for index in range(4):
        seen = Observation(Frame(noise(index), 0, index), "turn left", expected[-1])
        expected.append(here.act(seen).action)

    def play(client: Talker) -> list[Action]:
        actions = []
        for index in range(4):
            client.show(index, noise(index))
            actions.append(action_of(client.answer()))
        return actions

    options = ["--socket", str(path), "--instruction", "turn left"]
    tcp = ["--tcp", "127.0.0.1:0", "--token-file", str(token_file)]
    with serving(folder, *options, *tcp) as (process, line), ExitStack() as silent:
        port = re.search(r":(\d+)$", line)
        assert line.startswith(f"serving {folder} at {path}, 127.0.0.1:")
        assert port is not None
        for _ in range(200):  # who does not have the token takes no place from who has it, or owns the other socket
            silent.enter_context(socket.create_connection(("127.0.0.1", int(port[1])), timeout=60))
        with unix(path) as client:
            assert play(client) == expected[1:]
            assert main(["serve", *options]) == 2
            assert "serves at" in capsys.readouterr().err
        with Talker(socket.create_connection(("127.0.0.1", int(port[1])))) as client:
            assert client.hello(token=TOKEN).welcome.checkpoint == "tiny"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        assert "client 1 at" in log
        assert "Traceback" not in log
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--socket", "OUT"], "is no socket"),
        (["--socket-mode", "rw"], "--socket-mode is 'rw'"),
        (["--max-clients", "0"], "--max-clients is 0"),
        (["--tcp", "0.0.0.0:0"], "give --token-file"),
        (["--tcp", "9999"], "is no address"),
        (["--token-file", "OUT/token"], "--token-file is for TCP"),
        (["--tcp", "localhost:0", "--token-file", "OUT/token"], "The token file"),
        (["--socket", "OUT/s", "--checkpoint", "no/such"], "There is no checkpoint"),
        (["--socket", "OUT/s", "--temperature", "-1"], "temperature"),
    ],
)
def test_mistakes_get_one_sentence(
    tmp_path: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    assert main(["serve", *(option.replace("OUT", str(tmp_path)) for option in options)]) == 2
    torch.set_num_threads(threads)
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--server", "OUT/s"], "There is no model server at"),
        (["--server", "host:"], "is no address"),
        (["--server", "OUT/s", "--player", "random"], "not both"),
        (["--token-file", "OUT/token"], "does nothing without --server"),
        (["--server", "OUT/s", "--token-file", "OUT/token"], "The token file"),
    ],
)
def test_mistakes_of_playing_get_one_sentence(
    tmp_path: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["play", "--game", "doom/aim", "--out", str(tmp_path / "out")]
    assert main(arguments + [option.replace("OUT", str(tmp_path)) for option in options]) == 2
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert len(error.splitlines()) == 1


def test_doom_is_played_by_a_server(tmp_path: Path, serve: Serve) -> None:
    pytest.importorskip("vizdoom")
    told: list[Observation | int] = []
    running = serve(lambda: Sum(told))
    arguments = ["--server", str(running.address), "--seconds", "1", "--out", str(tmp_path), "--no-video"]
    assert main(["play", "--game", "doom/aim", "--instruction", "shoot", *arguments]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["player"] == "tiny (remote)"
    assert told[0] == 0  # the seed of the episode
    seen = told[1]
    assert isinstance(seen, Observation)
    assert (seen.frame.pixels.shape, seen.instruction) == ((32, 32, 3), "shoot")
