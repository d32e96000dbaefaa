"""A person and an agent in one real game, each on a screen of their own. The person is scripted."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from eyehand.action import Action
from eyehand.cli import main
from eyehand.desktop.profile import parse_profile
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import list_windows
from eyehand.errors import UserError
from eyehand.games.desktop.together import TogetherGame
from programs import need_game
from x_person import Person
from x_window import wait_until

MESSAGE_ROWS = 24
"""Doom writes what players say into the topmost rows."""


@pytest.fixture
def person(screen: OwnScreen) -> Iterator[Person]:
    person = Person(screen)
    yield person
    person.close()


@pytest.mark.needs("Xvfb")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["crispy-doom", "chocolate-doom"])
def test_what_the_person_says_is_read_by_the_agent(name: str, screen: OwnScreen, person: Person) -> None:
    """Both see one game: a message that one types stands on the other's screen."""
    game = TogetherGame(
        need_game(name), "co-op", (640, 480), display=screen.name, authority=screen.authority, say=lambda _: None
    )
    with contextlib.closing(game):
        game.reset(0)
        assert game.task.instructions[0] == "clear the level of monsters and find the exit"

        def messages() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
            game.act(Action())
            return game.observe().pixels[:MESSAGE_ROWS].astype(np.int16)

        def is_still() -> bool:
            return bool((messages() == messages()).all())

        wait_until(is_still, "nothing is written")
        before = messages()
        for key in ("t", "h", "e", "l", "l", "o", "Enter"):
            person.tap(key)
        wait_until(lambda: int((np.abs(messages() - before).max(-1) > 40).sum()) > 100, "the message is there")
        assert not game.outcome().done
        assert game._persons is not None
        psutil.Process(game._persons._process.pid).terminate()
        wait_until(lambda: game.outcome().done, "the person has left")
        assert game.has_ended


@pytest.mark.needs("Xvfb")
@pytest.mark.slow
def test_an_openarena_of_two(screen: OwnScreen) -> None:
    """The person's game is the server, and tells of the agent that comes in."""
    game = TogetherGame(
        need_game("openarena"), "duel", (320, 240), display=screen.name, authority=screen.authority, say=lambda _: None
    )
    with contextlib.closing(game):
        game.reset(0)
        assert game._persons is not None
        log = game._persons._log
        wait_until(lambda: log.read_text(errors="replace").count("entered the game") == 2, "two have come in", 120.0)


@pytest.mark.slow
def test_one_command_does_it_all(screen: OwnScreen, tmp_path: Path) -> None:
    """The agent joins, plays, and ends when the person leaves; nothing of it is left."""
    need_game("crispy-doom")
    before = {process.pid for process in psutil.process_iter()}
    command = ["play-with", "--player", "random", "--out", str(tmp_path), "--no-video", "--record", str(tmp_path / "r")]
    process = subprocess.Popen(
        [sys.executable, "-m", "eyehand", *command],
        env={**os.environ, **screen.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    display = XDisplay.open(screen.name, screen.authority)
    recorded = (tmp_path / "r").glob
    wait_until(lambda: process.poll() is not None or bool(list(recorded("*/192x192.mp4"))), "the agent plays", 200.0)
    (persons,) = [window for window in list_windows(display) if "Freedoom" in window.title]
    assert persons.pid is not None
    psutil.Process(persons.pid).terminate()
    said = process.communicate(timeout=120)[1]
    display.close()
    assert process.returncode == 0, said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["instruction"] == "hunt down and kill the other player"
    left = [one.name() for one in psutil.process_iter() if one.pid not in before and "crispy" in one.name()]
    assert not left


def test_a_game_that_cannot_be_played_so_is_said(
    screen: OwnScreen, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path), "--player", "random", "--no-video"]
    for arguments, sentence in (
        (["--game", "supertux"], "does not say how two play it"),
        (["--mode", "chess"], "choose deathmatch or co-op"),
        (["--game", "tetris"], "Unknown game 'tetris'"),
        (["--player", "demonstrator"], "no demonstrator"),
    ):
        assert main(["play-with", *out, *arguments]) == 2
        assert sentence in capsys.readouterr().err
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["play-with", *out, "--view", "off"]) == 2
    assert "DISPLAY is not set" in capsys.readouterr().err


@pytest.mark.needs("Xvfb")
def test_a_person_whose_game_does_not_start_is_told_why(screen: OwnScreen) -> None:
    profile = parse_profile(
        "pair",
        'title = "x"\ninstructions = ["a", "b"]\ntimeout_s = 20\n[launch]\ncommand = ["sh", "-c"]\n'
        '[together]\nhost = ["echo the port {port} is taken; exit 3"]\njoin = ["exit 0"]\n'
        "[together.modes]\nboth = []\n",
    )
    game = TogetherGame(
        replace(profile), None, (320, 240), display=screen.name, authority=screen.authority, say=lambda _: None
    )
    with contextlib.closing(game), pytest.raises(UserError, match=r"Your pair ended .*the port \d+ is taken"):
        game.reset(0)


def test_words_that_are_not_in_the_command_are_said() -> None:
    together = '[together]\nhost = []\njoin = []\nwithout = ["+map"]\n[together.modes]\na = []\n'
    text = f'title = "x"\ninstructions = ["a", "b"]\n[launch]\ncommand = ["true"]\n{together}'
    with pytest.raises(UserError, match="without is not in"):
        TogetherGame(parse_profile("x", text), None, (320, 240))


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("[together]\nhost = []\njoin = []", "together.modes is missing"),
        ("[together]\nhost = []\njoin = []\nguest = 1\n[together.modes]\na = []", "together.guest is not known"),
        ("[together]\nhost = []\njoin = []\n[together.modes]\na = 1", "together.modes.a must be a list"),
    ],
)
def test_a_wrong_section_is_said(section: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_profile("x", f'title = "x"\ninstructions = ["a", "b"]\n[launch]\ncommand = ["true"]\n{section}\n')
