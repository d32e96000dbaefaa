"""What is said while a person is recorded: dropped frames, a minute without a key, a disk that is nearly full."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eyehand.action import NOTHING, Action
from eyehand.collect.advice import Advice
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.session import EpisodeStart, Tick

FRAME = Frame(np.zeros((8, 8, 3), np.uint8), 0)
START = EpisodeStart(TaskInfo("a/b", "a", "b", ("play",), 10.0, "points"), 0, None, 20.0, True, 0)


def advised(tmp_path: Path, indices: range | list[int], is_busy: bool = True) -> list[str]:
    said: list[str] = []
    advice = Advice(said.append, tmp_path, "RightAlt+End")
    advice._is_disk_told = True  # the disk of whoever runs this
    advice.on_start(START)
    for index in indices:
        executed = Action.of(["w"]) if is_busy and index % 40 == 1 else NOTHING
        advice.on_tick(Tick(index, FRAME, None, None, executed, Outcome()))
    return said


def test_nothing_is_said_of_good_play(tmp_path: Path) -> None:
    assert advised(tmp_path, range(3000)) == []


def test_dropped_frames_are_said_in_words_but_not_all_the_time(tmp_path: Path) -> None:
    (first, second) = advised(tmp_path, [index for index in range(1300) if index % 4])
    assert first.startswith("\a50 of the last ")
    assert "frames were dropped: this computer is too busy" in first
    assert second.startswith("\a67 of the last 267 "), "half a minute later"


def test_a_minute_without_a_key_is_said_once(tmp_path: Path) -> None:
    (said,) = advised(tmp_path, range(5000), is_busy=False)
    assert "nothing was pressed or moved for a minute" in said
