"""What goes wrong in the middle of `eyehand play`: one sentence, status 2, everything released, the recording kept."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from eyehand.cli import main
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.recording.reader import Recording, find_recordings
from programs import need
from x_person import Person
from x_window import WINDOW_PROGRAM, Window, buttons_down, keys_down, wait_until


@pytest.fixture
def own_screen(guard: Guard) -> Iterator[OwnScreen]:
    """One that may die."""
    need("Xvfb")
    screen = OwnScreen((320, 240), guard)
    yield screen
    screen.close()


def _play(folder: Path, what: list[str], fault: Callable[[], None]) -> int:
    """Play until the fault, which happens on a thread when there is a recording of more than a few pictures."""

    def wait_for_it() -> None:
        started = folder.glob
        wait_until(lambda: any(file.stat().st_size > 1200 for file in started("*/annotation.proto")), "it plays", 240.0)
        fault()

    thread = threading.Thread(target=wait_for_it)
    thread.start()
    out = str(folder / "out")
    status = main(
        ["play", *what, "--player", "random", "--no-video", "--out", out, "--record", str(folder), "--seconds", "900"]
    )
    thread.join()
    return status


def _check_recording(folder: Path) -> None:
    (path,) = find_recordings(folder)
    with Recording.open(path) as recording:
        assert recording.num_frames > 2
        assert not recording.is_cut_off
        assert recording.outcome["aborted"] == 1.0


def _use(screen: OwnScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("who", ["agent", "person"])
def test_the_window_is_closed(
    who: str,
    screen: OwnScreen,
    window: Window,
    display: XDisplay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _use(screen, monkeypatch)
    person = Person(screen)

    def close() -> None:
        if who == "person":
            person.press("a")
            person.release("a")
        window.core.DestroyWindow(window.id)
        window.sync()

    assert _play(tmp_path, ["--window", "Freedoom"], close) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "you play" not in line]
    sentence = "The window was closed: everything is released."
    assert said[-1] == f"eyehand: {sentence}"
    assert json.loads((tmp_path / "out" / "report.json").read_text())["end"] == sentence
    assert (tmp_path / "out" / "report.html").is_file()
    assert not keys_down(display)
    assert not buttons_down(display)
    _check_recording(tmp_path)
    person.close()


@pytest.mark.slow
def test_the_display_dies(
    own_screen: OwnScreen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _use(own_screen, monkeypatch)
    window = Window(own_screen, "Freedoom")
    window.focus()
    server = psutil.Process(own_screen._process.pid)
    assert _play(tmp_path, ["--window", "Freedoom"], server.kill) == 2
    assert "is gone" in capsys.readouterr().err
    _check_recording(tmp_path)
    window.close()


@pytest.mark.needs("Xvfb")
@pytest.mark.slow
def test_the_game_crashes(
    screen: OwnScreen, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EYEHAND_YES", "1")
    program = tmp_path / "game.py"
    program.write_text(WINDOW_PROGRAM.replace('sys.exit("the game fell over")', "continue"))
    profile = tmp_path / "fragile.toml"
    profile.write_text(
        f'title = "x"\ninstructions = ["a", "b"]\nwindow_class = "probe"\n[launch]\ncommand = ["{sys.executable}", '
        f'"{program}"]\n[launch.environment]\nPYTHONPATH = "{":".join(sys.path)}"\n'
    )

    def crash() -> None:
        (game,) = [one for one in psutil.Process().children(recursive=True) if str(program) in one.cmdline()]
        game.kill()

    assert _play(tmp_path, ["--game", str(profile), "--own-screen", "400x300", "--view", "off"], crash) == 2
    assert "fragile has ended (exit status" in capsys.readouterr().err
    _check_recording(tmp_path)


def test_a_display_where_nobody_can_be_heard(
    screen: OwnScreen,
    window: Window,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _use(screen, monkeypatch)
    monkeypatch.setattr("eyehand.desktop.x11.raw_events._EXTENSION", "an extension that no server has")
    arguments = ["--window", "Freedoom", "--player", "random", "--no-video", "--out", str(tmp_path), "--seconds", "0.3"]
    assert main(["play", *arguments]) == 2
    assert "--no-takeover" in capsys.readouterr().err
    assert main(["play", *arguments, "--no-takeover"]) == 0
