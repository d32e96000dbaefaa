"""Live play: report, video, recording; over several episodes, interrupted, and on the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from eyehand.action import Action
from eyehand.cli import main
from eyehand.clock import SystemClock
from eyehand.commands.play import say_what_came_of_it
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.play.play import play_live, play_with
from eyehand.play.play_options import AgentOptions, PlayOptions, TakeoverOptions
from eyehand.players.random import RandomPlayer
from eyehand.recording.reader import Recording, find_recordings
from eyehand.viewer.running import running_plays
from patience import wait_until
from viewer_page import Page

RANDOM = AgentOptions(player="random")

TASK = TaskInfo("test/short", "test", "short", ("wait", "stay"), 10.0, "ticks played")


class ShortGame:
    """A game of 10 ticks; its score is how often it was acted on."""

    task, fps, state = TASK, 20.0, None

    def __init__(self, is_realtime: bool) -> None:
        self.is_realtime = is_realtime
        self.seeds: list[int] = []
        self.num_acts = 0
        self.is_held = False

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)
        self.num_acts = 0

    def observe(self) -> Frame:
        return Frame(np.full((240, 320, 3), 12 * self.num_acts, np.uint8), SystemClock().now_ns(), self.num_acts)

    def act(self, action: Action) -> None:
        self.num_acts += 1
        self.is_held = action.is_held

    def outcome(self) -> Outcome:
        return Outcome(self.num_acts >= 10, float(self.num_acts))

    def release(self) -> None:
        self.is_held = False

    def close(self) -> None: ...


def test_episodes_follow_until_the_time_is_over(tmp_path: Path) -> None:
    game = ShortGame(is_realtime=False)  # stepped, its time is that of its ticks, whatever the machine is busy with
    options = PlayOptions(agent=RANDOM, seconds=1.2, seed=5, record=tmp_path / "data", out=tmp_path)
    report = play_with(game, RandomPlayer(), options)
    assert game.seeds == [5, 6, 7]
    assert [(episode.seed, episode.score) for episode in report.episodes] == [(5, 10), (6, 10), (7, 4)]
    assert [episode.is_finished for episode in report.episodes] == [True, True, False]
    assert report.mean_score == 10
    assert report.instruction == "wait"
    assert not game.is_held
    assert json.loads((tmp_path / "report.json").read_text())["player"] == "random"
    with av.open(str(tmp_path / "play.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(report.ticks) == 24
    assert len(report.recordings) == 3
    assert all((Path(folder) / "annotation.proto").is_file() for folder in report.recordings)


def test_ctrl_c_gives_the_report_of_what_was_played(tmp_path: Path) -> None:
    def interrupt(seconds: float, score: float) -> None:
        if score >= 4:
            raise KeyboardInterrupt

    game = ShortGame(is_realtime=True)
    options = PlayOptions(agent=RANDOM, instruction="", seconds=60, record=tmp_path / "data", out=tmp_path)
    report = play_with(game, RandomPlayer(), options, interrupt)
    assert report.is_interrupted
    assert report.end == "Ctrl-C"
    assert [(episode.score, episode.is_finished) for episode in report.episodes] == [(4.0, False)]
    assert report.instruction is None
    assert not game.is_held
    assert (tmp_path / "report.html").is_file()
    assert report.video == "play.mp4"
    assert len(report.recordings) == 1

    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match=r"Cannot write .*report\.html"):
        play_with(game, RandomPlayer(), options, interrupt)


def test_a_person_takes_over_and_ends_play_on_its_page_which_is_a_normal_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class EndlessGame(ShortGame):
        def observe(self) -> Frame:
            return Frame(np.zeros((48, 64, 3), np.uint8), SystemClock().now_ns(), self.num_acts)

        def outcome(self) -> Outcome:
            return Outcome()

    def person() -> None:
        page = Page(running_plays()[0].url)

        def is_shown(turn: str, **message: object) -> bool:
            page.say(**message)
            return bool(page.show()[0]["turn"] == turn)

        held = {"keys": ["a"], "buttons": [], "dx": 0, "dy": 0, "scroll": 0}
        wait_until(lambda: is_shown("person", input=held), "the person plays")
        assert all(is_shown("person", input=held) for _ in range(4)), "of several ticks, all is the person's"
        wait_until(lambda: is_shown("agent", resume=True), "the agent plays")
        page.say(stop=True)
        page.close()

    def begin(seconds: float, score: float) -> None:
        if not thread.ident:
            thread.start()

    thread = threading.Thread(target=person)
    monkeypatch.chdir(tmp_path)
    game = EndlessGame(is_realtime=True)
    game.task = replace(TASK, score="")
    options = PlayOptions(agent=RANDOM, seconds=900, video=False, person=TakeoverOptions(view="on"))
    report = play_with(game, RandomPlayer(), options, begin)
    thread.join()
    assert (report.end, report.is_interrupted) == ("you ended it", False)
    assert report.mean_score is None
    assert [turn.is_person for turn in report.turns] == [False, True, False]
    assert sum(turn.num_ticks for turn in report.turns) == len(report.ticks)
    said = capsys.readouterr().err
    assert "random plays test/short until you leave the game: “wait”." not in said
    assert "random plays test/short for 15:00: “wait”." in said
    assert "RightAlt+Home gives it back to the agent, F12 ends play." in said
    assert "Who played" in Path("out/play/1/report.html").read_text()
    assert say_what_came_of_it(report) == 0
    printed = capsys.readouterr().out
    assert "no score" in printed
    assert "in 1 takeover\n" in printed

    assert len(play_with(ShortGame(is_realtime=False), RandomPlayer(), replace(options, seconds=0.2)).ticks) == 4
    assert main(["last", "--no-open"]) == 0
    assert capsys.readouterr().out == "out/play/2/report.html\n"
    assert main(["last", "--no-open", "data"]) == 2
    assert not any(path.name == "3" for path in Path("out/play").iterdir())


@pytest.mark.parametrize(
    ("failure", "end"),
    [
        (UserError("The window was closed: everything is released."), "The window was closed: everything is released."),
        (RuntimeError("it fell over"), "RuntimeError: it fell over"),
        (SystemExit(143), "a signal (status 143)"),
    ],
)
def test_whatever_ends_play_the_report_is_there(
    failure: BaseException, end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class FragileGame(ShortGame):
        def observe(self) -> Frame:
            if self.num_acts == 4:
                raise failure
            return super().observe()

    game = FragileGame(is_realtime=False)
    options = PlayOptions(agent=RANDOM, seconds=60, record=tmp_path / "data", out=tmp_path)
    with pytest.raises(type(failure)) as raised:
        play_with(game, RandomPlayer(), options)
    assert raised.value is failure
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["end"], report["is_interrupted"]) == (end, False)
    assert [(episode["score"], episode["is_finished"]) for episode in report["episodes"]] == [(4.0, False)]
    assert end in (tmp_path / "report.html").read_text()
    assert str(tmp_path / "report.html") in capsys.readouterr().err
    with av.open(str(tmp_path / "play.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(report["ticks"]["time_s"]) == 4

    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").mkdir()
    with pytest.raises(type(failure)) as raised:
        play_with(game, RandomPlayer(), options)
    assert raised.value is failure
    assert "report.html (" in capsys.readouterr().err


@pytest.mark.parametrize("failure", [UserError("No window matches."), KeyboardInterrupt()], ids=["no-game", "ctrl-c"])
def test_nothing_played_leaves_the_report_of_the_last_time(failure: BaseException, tmp_path: Path) -> None:
    class NoGame(ShortGame):
        def reset(self, seed: int) -> None:
            raise failure

    (tmp_path / "report.json").write_text("the last one")
    options = PlayOptions(agent=RANDOM, video=False, out=tmp_path)
    with pytest.raises(type(failure)):
        play_with(NoGame(is_realtime=True), RandomPlayer(), options)
    assert (tmp_path / "report.json").read_text() == "the last one"


@pytest.mark.skipif(os.name != "posix", reason="terminals of Windows send no signal")
@pytest.mark.usefixtures("heeds_hangup")
def test_a_terminal_that_is_closed_leaves_the_report(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    options = ["--player", "random", "--seconds", "900", "--out", str(tmp_path), "--record", str(tmp_path / "data")]
    command = [sys.executable, "-m", "eyehand", "play", "--game", "doom/center", *options]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        made = (tmp_path / "data").glob
        wait_until(lambda: any(file.stat().st_size > 1200 for file in made("*/annotation.proto")), "it plays", 240.0)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) == 129
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["end"] == "a signal (status 129)"
    assert report["video"] == "play.mp4"
    (recording,) = find_recordings(tmp_path / "data")
    assert not Recording.open(recording).is_cut_off


def test_bad_options_are_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--seconds must be more than 0"):
        play_live(PlayOptions(game="doom/aim", agent=RANDOM, seconds=0, out=tmp_path))
    with pytest.raises(UserError, match="Unknown game"):
        play_live(PlayOptions(game="doom/nothing", agent=RANDOM, out=tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write to"):
        play_live(PlayOptions(game="doom/aim", agent=RANDOM, out=tmp_path / "file"))


def test_the_demonstrator_plays_doom_live(tmp_path: Path) -> None:
    report = play_live(
        PlayOptions(game="doom/center", agent=AgentOptions(player="demonstrator"), seconds=2.0, out=tmp_path)
    )
    assert report.score_name == "monsters killed"
    assert report.timing.num_ticks >= 10
    assert report.timing.num_late < report.timing.num_ticks  # how many depends on who else uses the machine
    assert {"observe", "act", "handover"} <= set(report.timing.stages_ms)
    assert report.machine.peak_memory_mb > 50
    with av.open(str(tmp_path / "play.mp4")) as video:
        assert video.streams.video[0].codec_context.width == 640
