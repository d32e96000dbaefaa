"""`eyehand games list|show|check`, `eyehand doctor` and `eyehand play --window` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eyehand.cli import main
from eyehand.desktop.profile import profile_names
from eyehand.desktop.x11.screen import OwnScreen
from x_window import Window


def test_the_profiles_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["games", "list", "--as-json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == profile_names()
    assert main(["games", "list"]) == 0
    assert "chocolate-doom" in capsys.readouterr().out
    assert main(["games", "show", "chocolate-doom"]) == 0
    shown = capsys.readouterr().out
    assert "9.9 mouse pixels a degree" in shown
    assert "-iwad {iwad}" in shown


def test_the_doctor_without_a_display_checks_a_screen_of_its_own(
    screen: OwnScreen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    main(["doctor"])
    lines = {line.split()[1]: line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert [lines[name] for name in ("own", "display", "picture", "mouse", "raw", "watchdog")] == ["ok"] * 6


def test_the_doctor_says_what_is_wrong(
    screen: OwnScreen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    assert main(["doctor"]) == 2
    assert "FAIL display" in capsys.readouterr().out


def test_a_window_is_played_from_the_command_line(
    screen: OwnScreen, window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    arguments = ["--player", "random", "--seconds", "0.5", "--no-video", "--out", str(tmp_path)]
    assert main(["play", "--window", "Freedoom", *arguments]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["game"] == "window:Freedoom"
    assert [name for name, _ in window.events() if name == "KeyPress"], "the random player's keys came to the window"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["play"], "Say what to play"),
        (["play", "--game", "doom/aim", "--window", "Doom"], "Say what to play"),
        (["play", "--window", "Quake", "--player", "random", "--out", "OUT"], "No window matches"),
        (["play", "--window", "pid=me", "--player", "random", "--out", "OUT"], "pid=me is not a number"),
        (["games", "show"], "Say which"),
        (["games", "show", "tetris"], "Unknown game 'tetris'"),
        (["games", "doom", "aim"], "takes no name"),
        (["evaluate", "--checkpoint", "pocket-doom", "--game", "supertux"], "supertux"),
        (["doctor", "--game", "tetris"], "Unknown game 'tetris'"),
        (["doctor", "--game", "doom/aim"], "doom/aim is no desktop game"),
        (["games", "check", "gym/CarRacing-v3"], "gym/CarRacing-v3 is no desktop game"),
        (["play-with", "--game", "doom/aim"], "doom/aim is no desktop game"),
        (["doctor", "--own-screen", "big"], "write it like 640x480"),
    ],
)
def test_a_mistake_gets_one_sentence_and_status_2(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    screen: OwnScreen,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    assert main([argument.replace("OUT", str(tmp_path)) for argument in arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert sentence in error
    assert len(error.splitlines()) == 1, error
