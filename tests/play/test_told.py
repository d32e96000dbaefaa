"""What a play says: who plays, what it was trained on, and that its actions come late."""

from __future__ import annotations

import numpy as np
import pytest

from eyehand.action import NOTHING
from eyehand.checkpoint_files import checkpoint_name
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.play.told import PaceObserver, introduction, lateness
from eyehand.players.hotkeys import TakeoverKeys
from eyehand.session import EpisodeStart, Tick

TASK = TaskInfo("supertux", "supertux", "", ("run", "go"), 10.0, "")
FACTS = {"games": {"doom": 3, "quake": 9, "supertux": 1, "tetris": 2}, "frames": 72_000}


def test_it_says_who_plays_and_whether_it_knows_the_game() -> None:
    said = introduction("mine", FACTS, TASK, 90, "run", TakeoverKeys(), "a key takes over")
    assert said == [
        "mine plays supertux for 1:30: “run”.",
        "it was trained on 15 recordings, 1:00:00 long, of quake, doom, tetris and others.",
        "a key takes over; RightAlt+Home gives it back to the agent, F12 ends play.",
    ]
    said = introduction("mine", {"games": {"doom": 1}}, TASK, None, None, None, "nobody can take over")
    assert said == [
        "mine plays supertux until you leave the game.",
        "it was trained on 1 recording of doom. It has never seen this game: do not expect much.",
        "nobody can take over; Ctrl-C here ends it.",
    ]


@pytest.mark.parametrize("games", [None, 3, "doom", [], {"doom": "many"}])
def test_facts_of_others_do_no_harm(games: object) -> None:
    assert len(introduction("mine", {"games": games, "frames": "x"}, TASK, 9, None, None, "so")) == 2


def test_late_actions_are_told_once_a_minute() -> None:
    said: list[str] = []
    pace = PaceObserver(said.append, with_video=True)
    pace.on_start(EpisodeStart(TASK, 0, None, 20.0, True, 0))
    frame = Frame(np.zeros((8, 1920, 3), np.uint8), 0)
    for index in range(3000):  # of a minute 1200, of which every fifth is late or missed
        if index % 10 != 3:
            pace.on_tick(Tick(index, frame, None, None, NOTHING, Outcome(), is_late=index % 10 == 7))
    assert len(said) == 3
    assert said[0].startswith("only 80% of the actions came in time")
    assert "--own-screen 1280x720" in said[0]
    assert "--no-video" in said[0]
    assert lateness(0.95, 3840, with_video=True) is None
    assert "--" not in (lateness(0.5, 640, with_video=False) or "")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("runs/mine/policy", "mine"),
        ("runs/mine/checkpoints/step-00000500", "mine, step 500"),
        ("pocket-doom", "pocket-doom"),
        ("copied/", "copied"),
    ],
)
def test_a_checkpoint_of_a_run_is_called_by_its_run(folder: str, name: str) -> None:
    assert checkpoint_name(folder) == name
