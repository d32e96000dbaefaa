"""Desktop windows and launched programs as Games on a real X server: play, pause, faults, and real games."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from eyehand.action import Action
from eyehand.checkpoint import save_checkpoint
from eyehand.cli import main
from eyehand.desktop.profile import Launch, Profile, Step, load_profile, profile_names
from eyehand.desktop.score import Score
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.launch import LaunchedGame
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery
from eyehand.doctor.checks import Finding
from eyehand.doctor.doctor import check_game, check_own_screen
from eyehand.errors import UserError
from eyehand.evaluate.score import read_report
from eyehand.game import Game
from eyehand.games.desktop.score import SHARE_READ
from eyehand.games.desktop.scored import ScoredDesktopGame
from eyehand.games.desktop.x11 import LaunchedDesktopGame, WindowGame
from eyehand.improve.loop import read_rounds
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from eyehand.player import Decision, Observation
from eyehand.recording.reader import Recording, find_recordings
from eyehand.session import Session, Tick
from eyehand.viewer.running import running_plays
from programs import need_game
from viewer_page import Page
from x_window import WINDOW_PROGRAM, Window, keys_down, wait_until

BACK = (0x10, 0x20, 0x30)
RENEWING_PROGRAM = WINDOW_PROGRAM.replace(
    "window.fill(0xFFFFFF",
    """
window.core.ChangeWindowAttributes(window.id, 2048, [1 << 21])  # tell of the focus
window.sync()
while type(window.display.connection.wait_for_event()).__name__ != "FocusInEvent":
    pass
window.core.DestroyWindow(window.id)
window.sync()
window = Window(Screen, "probe game", size=(320, 240))
window.fill(0xFFFFFF""",
)
"""Its first window is gone as soon as somebody plays it: SDL may make a game's window anew while it starts."""

SCORING_PROGRAM = WINDOW_PROGRAM.replace("while (event", "points = 0\nwhile (event").replace(
    "        window.fill(0x00FF00",
    '        points += 7; print("score", points, flush=True)\n        window.fill(0x00FF00',
)
"""It prints its score, which rises at every key."""


class Holder:
    """A player that holds W."""

    def reset(self, seed: int) -> None: ...

    def act(self, observation: Observation) -> Decision:
        return Decision(Action.of("w"))


@pytest.fixture
def game(screen: OwnScreen, window: Window) -> Iterator[WindowGame]:
    said: list[str] = []
    game = WindowGame(WindowQuery(title="Freedoom"), screen.name, screen.authority, say=said.append)
    game.said = said  # type: ignore[attr-defined]
    yield game
    game.close()
    game.close()


def _profile(tmp_path: Path, program: str = WINDOW_PROGRAM, **options: object) -> Profile:
    file = tmp_path / "game.py"
    file.write_text(program)
    launch = Launch((sys.executable, str(file)), "400x300", {"PYTHONPATH": ":".join(sys.path)})
    return Profile("probe", "a probe", launch, window_class="probe", **options)  # type: ignore[arg-type]


def test_a_session_plays_a_window(game: WindowGame, display: XDisplay) -> None:
    assert isinstance(game, Game)
    ticks: list[Tick] = []

    class Watch:
        def on_start(self, start: object) -> None: ...

        def on_end(self, end: object) -> None: ...

        def on_tick(self, tick: Tick) -> None:
            ticks.append(tick)

    end = Session(game, Holder(), [Watch()]).run_episode(0, max_seconds=1.0)
    assert end.num_ticks == len(ticks) > 0
    assert not end.outcome.done
    assert all((tick.frame.pixels == BACK).all() and tick.frame.pixels.shape == (100, 200, 3) for tick in ticks)
    indices = [tick.frame.index for tick in ticks]
    assert indices == sorted(set(indices))
    assert any("w" in tick.executed.keys for tick in ticks)
    assert not keys_down(display), "the session released everything at its end"


def test_what_the_window_did_not_get_is_not_recorded_as_done(
    screen: OwnScreen, window: Window, open_window: Callable[..., Window]
) -> None:
    """The focus goes away between the look and the action, and comes back when the session says that it pauses."""
    game = WindowGame(WindowQuery(title="Freedoom"), screen.name, screen.authority, say=lambda _: window.focus())
    ticks: list[Tick] = []

    class Distracted(Holder):
        def act(self, observation: Observation) -> Decision:
            if observation.frame.index == 0:
                open_window("chat", size=(20, 20)).focus()
            return super().act(observation)

    class Watch:
        def on_start(self, start: object) -> None: ...

        def on_end(self, end: object) -> None: ...

        def on_tick(self, tick: Tick) -> None:
            ticks.append(tick)

    try:
        session = Session(game, Distracted(), [Watch()])
        while not any(tick.executed.keys for tick in ticks):
            session.run_episode(0, max_seconds=0.5)
    finally:
        game.close()
    assert ticks[0].decision is None or ticks[0].decision.action == Action.of("w")
    assert ticks[0].executed == Action()


def test_without_the_focus_the_session_pauses(
    game: WindowGame, window: Window, display: XDisplay, open_window: Callable[..., Window]
) -> None:
    game.reset(0)
    game.act(Action.of("w"))
    wait_until(lambda: bool(keys_down(display)), "the key is down")
    other = open_window("chat", size=(20, 20))
    other.focus()
    frames: list[object] = []
    looking = threading.Thread(target=lambda: frames.append(game.observe()))
    looking.start()
    wait_until(lambda: bool(game.said), "the pause is said")  # type: ignore[attr-defined]
    assert not keys_down(display)
    assert not frames
    window.focus()
    looking.join(timeout=60)
    assert len(frames) == 1
    assert [text.split(",")[0].split(":")[0] for text in game.said] == [  # type: ignore[attr-defined]
        "paused",
        "the window has the focus again",
    ]


def test_a_window_that_closes_ends_the_session_in_one_sentence(
    game: WindowGame, window: Window, display: XDisplay
) -> None:
    game.reset(0)
    game.act(Action.of("w"))
    wait_until(lambda: bool(keys_down(display)), "the key is down")
    window.core.DestroyWindow(window.id)
    window.sync()
    with pytest.raises(UserError, match="closed"):
        game.observe()
    assert not keys_down(display)
    with pytest.raises(UserError, match="No window matches"):
        game.reset(1)


@pytest.mark.needs("Xvfb")
def test_a_display_that_dies_is_one_sentence(tmp_path: Path) -> None:
    game = LaunchedDesktopGame(_profile(tmp_path), (400, 300))
    try:
        game.reset(0)
        assert game.screen is not None
        game.act(Action.of("w"))
        psutil.Process(game.screen._process.pid).kill()
        game.screen._process.wait()
        with pytest.raises(UserError, match=r"gone|ended"):
            game.observe()
        game.release()
    finally:
        game.close()


@pytest.mark.needs("Xvfb")
def test_a_launched_game_is_played_and_ended(tmp_path: Path) -> None:
    profile = _profile(tmp_path, ready_output="ready", start=(Step(keys=("Enter",), until_change=True),))
    game = LaunchedDesktopGame(profile, (400, 300))
    try:
        game.reset(0)
        frame = game.observe()
        assert frame.pixels.shape == (240, 320, 3)
        np.testing.assert_array_equal(frame.pixels[0, 0], (0, 255, 0))
        assert game._game is not None
        assert game.screen is not None
        pids = [game._game._process.pid, game.screen._process.pid]
        folder = game._game._folder
        assert folder.exists()
    finally:
        game.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not folder.exists()


def _written_profile(tmp_path: Path, source: str, program: str = SCORING_PROGRAM) -> Path:
    """A profile's file of a game that scores, with a score from this source."""
    (tmp_path / "game.py").write_text(program)
    mine = tmp_path / "mine.toml"
    mine.write_text(
        f"""
title = "A probe"
instructions = ["press keys", "win"]
window_class = "probe"
ready_output = "ready"
keys = ["w"]
[launch]
command = [{json.dumps(sys.executable)}, {json.dumps(str(tmp_path / "game.py"))}]
size = "400x300"
environment.PYTHONPATH = {json.dumps(":".join(sys.path))}
[score]
what = "points"
{source}
"""
    )
    return mine


@pytest.mark.needs("Xvfb")
@pytest.mark.slow
def test_a_person_who_watches_an_evaluation_is_its_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EYEHAND_YES", "1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    out, mine = tmp_path / "evaluation.json", _written_profile(tmp_path, "thumbs = true\nseconds = 600")

    def watch() -> None:
        wait_until(lambda: bool(running_plays()), "the page is served")
        page = Page(running_plays()[0].url)
        for thumb in ("up", "up", "down", "up"):
            page.show()  # the episode has begun
            page.say(thumb=thumb)
        wait_until(lambda: page.show()[0]["thumbs"] == 2, "they count")
        with contextlib.suppress(OSError, AssertionError):
            while True:
                page.send_input(buttons="0")  # at a click the game falls over
                page.show()

    watching = threading.Thread(target=watch)
    watching.start()
    assert main(["evaluate", "--game", str(mine), "--episodes", "1", "--json", str(out)]) == 0
    watching.join(60)
    assert [episode.score for episode in read_report(out).episodes] == [2]


@pytest.mark.needs("Xvfb")
def test_episodes_that_are_scored_end_with_their_time_or_their_game(tmp_path: Path) -> None:
    """The player clicks in the first episode, at which this game falls over."""

    class Clicks(Holder):
        def reset(self, seed: int) -> None:
            self.action = Action.of("w", ("0",) if seed else ())

        def act(self, observation: Observation) -> Decision:
            return Decision(self.action)

    score = Score("points", 1.0, line=r"^score (\d+)")
    with contextlib.closing(ScoredDesktopGame(_profile(tmp_path, SCORING_PROGRAM, score=score))) as game:
        ends = [Session(game, Clicks()).run_episode(seed, max_seconds=20.0) for seed in (1, 0)]
    assert [end.outcome.done for end in ends] == [True, True]
    assert ends[1].outcome.score >= 7, "a key went down, and may have repeated"
    assert all(end.outcome.facts == {SHARE_READ: 1.0} for end in ends)


@pytest.mark.needs("Xvfb")
@pytest.mark.slow
def test_a_desktop_game_with_a_score_is_evaluated_and_improved_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EYEHAND_YES", "1")
    lasting = SCORING_PROGRAM.replace('sys.exit("the game fell over")', "pass")
    mine = _written_profile(tmp_path, "line = '^score (\\d+)'\nseconds = 1.0", lasting)
    torch.manual_seed(0)
    config = replace(
        preset("pocket"), width=48, num_layers=1, ffn_hidden=32, history_steps=8, vision_widths=(8, 8, 8, 8)
    )
    policy = str(save_checkpoint(tmp_path / "policy", Policy(config)))
    out = tmp_path / "evaluation.json"
    assert main(["evaluate", "--checkpoint", policy, "--game", str(mine), "--episodes", "1", "--json", str(out)]) == 0
    assert "points" in capsys.readouterr().out
    assert {e.player for e in read_report(out).episodes} == {"random", tmp_path.name}
    run = tmp_path / "run"
    improved = ["improve", "--checkpoint", policy, "--game", str(mine), "--out", str(run), "--rounds", "1"]
    few = ["--starts", "2", "--tries", "2", "--validation", "1", "--minutes", "0.02"]
    assert main([*improved, *few]) == 0
    _, after = read_rounds(run)
    assert after.num_played == 4
    folders = find_recordings(run / "round-1" / "play")
    assert len(folders) == after.num_kept > 0
    with Recording.open(folders[0]) as recording:
        labelled = [recording.user_action(i) == recording.executed(i) for i in range(recording.num_frames - 1)]
        assert np.mean(labelled) > 0.5, "what the policy did is its label, but for late ticks"
    assert main([*improved, *few, "--dagger"]) == 2
    assert main(["evaluate", "--game", "supertux", "--json", str(out)]) == 2
    assert "add a section [score]" in capsys.readouterr().err


@pytest.mark.needs("Xvfb")
def test_a_game_that_makes_its_window_anew_while_it_starts_is_played(tmp_path: Path) -> None:
    game = LaunchedDesktopGame(_profile(tmp_path, RENEWING_PROGRAM, ready_output="ready"), (400, 300))
    try:
        game.reset(0)
        assert game.observe().pixels.shape == (240, 320, 3)
        game.act(Action.of("w"))
        wait_until(lambda: tuple(game.observe().pixels[0, 0]) == (0, 255, 0), "its second window gets the key")
    finally:
        game.close()


@pytest.mark.needs("Xvfb")
def test_a_game_that_closes_its_window_and_runs_on_is_said(tmp_path: Path) -> None:
    program = WINDOW_PROGRAM.replace('sys.exit("the game fell over")', "window.core.DestroyWindow(window.id)")
    game = LaunchedDesktopGame(_profile(tmp_path, program + "    window.sync()\n"), (400, 300))
    try:
        game.reset(0)
        game.act(Action.of((), "0"))
        with pytest.raises(UserError, match="probe has closed its window"):
            _observe_for_ever(game)
    finally:
        game.close()


def test_a_game_whose_files_cannot_be_written_is_said(
    screen: OwnScreen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    profile = _profile(tmp_path)
    profile = replace(profile, launch=replace(profile.launch, files={"a": "", "a/b": ""}))
    guard = Guard()
    with pytest.raises(UserError, match="does not start: "):
        LaunchedGame(profile, screen.environment, None, guard)
    guard.close()
    assert not list(tmp_path.glob("eyehand-*"))


@pytest.mark.needs("Xvfb")
def test_a_game_that_falls_over_says_its_last_words(tmp_path: Path) -> None:
    game = LaunchedDesktopGame(_profile(tmp_path), (400, 300))
    try:
        game.reset(0)
        game.act(Action.of((), "0"))
        with pytest.raises(UserError, match=r"probe has ended .*the game fell over"):
            _observe_for_ever(game)
        game.reset(1)
        assert game.observe().pixels.shape == (240, 320, 3), "the next round starts it afresh"
    finally:
        game.close()


@pytest.mark.needs("Xvfb")
@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import sys; sys.exit('no such level')", "ended before it showed its window .*no such level"),
        ("import time; time.sleep(1000)", "showed no window"),
    ],
)
def test_a_game_that_never_gets_ready_is_said(tmp_path: Path, program: str, sentence: str) -> None:
    game = LaunchedDesktopGame(_profile(tmp_path, program, timeout_s=2.0), (400, 300))
    try:
        with pytest.raises(UserError, match=sentence):
            game.reset(0)
    finally:
        game.close()


def test_what_fails_in_a_check_is_tried_in_three_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    tried: list[Container[str] | None] = []

    def run_checks(game: object, profile: Profile, only: Container[str] | None = None) -> Iterator[Finding]:
        tried.append(only)
        if only is None:
            yield Finding("picture", True, "")
        yield Finding("steer", len(rounds) == 3, "")

    monkeypatch.setattr(LaunchedDesktopGame, "reset", lambda self, seed: rounds.append(seed))
    monkeypatch.setattr("eyehand.doctor.doctor.run_checks", run_checks)
    findings = list(check_game(load_profile("extremetuxracer"), "640x480"))
    assert [(finding.name, finding.passed) for finding in findings] == [
        ("start", True),
        ("picture", True),
        ("steer", True),
    ]
    assert tried == [None, ["steer"], ["steer"]]


@pytest.mark.needs("Xvfb")
def test_a_game_that_is_not_installed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "nowhere.toml"
    file.write_text(
        'title = "x"\npackages = ["nowhere-data"]\ninstructions = ["a", "b"]\n[launch]\ncommand = ["nowhere-game"]\n'
    )
    out = str(tmp_path / "out")
    play = ["play", "--game", str(file), "--own-screen", "320x240", "--player", "random", "--out", out, "--no-video"]
    for arguments in (["games", "check", str(file)], play):
        assert main(arguments) == 2
        assert "nowhere-game is not installed" in capsys.readouterr().err


@pytest.mark.needs("Xvfb")
def test_the_screen_of_our_own_is_healthy() -> None:
    findings = list(check_own_screen())
    assert [finding.name for finding in findings if finding.passed is False] == []
    assert {"display", "picture", "mouse", "raw events", "watchdog"} <= {finding.name for finding in findings}


def _observe_for_ever(game: LaunchedDesktopGame) -> None:
    for _ in range(100_000):
        game.observe()


def test_chocolate_doom_is_played_for_real(tmp_path: Path, screen: OwnScreen) -> None:
    """The whole way: command line, own screen, real game, recording; then nothing of it is left."""
    need_game("chocolate-doom")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "eyehand", "play", "--game", "chocolate-doom", "--own-screen", "640x480"),
            *("--player", "random", "--seconds", "2", "--out", str(tmp_path), "--record", str(tmp_path / "recording")),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "play.mp4").stat().st_size > 10_000
    assert list((tmp_path / "recording").glob("*/annotation.proto"))


@pytest.mark.needs("Xvfb")
@pytest.mark.slow
@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_proven_by_its_real_game(name: str, screen: OwnScreen) -> None:
    """It starts, moves, turns and fires as the profile says, and the picture shows it."""
    profile = need_game(name)
    findings = list(check_game(profile, profile.launch.size))
    failed = [f"{finding.name}: {finding.text}" for finding in findings if finding.passed is False]
    assert not failed
    assert {finding.name for finding in findings} & {"move", "turn", "steer"}
    assert (profile.score is not None) == ("score" in {finding.name for finding in findings})
