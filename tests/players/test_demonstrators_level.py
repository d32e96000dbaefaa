"""The demonstrator of whole levels, in the real engine."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from doom_level import BLUE_CARD, START, Room, row_of_rooms
from eyehand.action import Action
from eyehand.game import Game
from eyehand.games.doom.doom import DoomGame
from eyehand.games.doom.tasks import DOOM_TASKS
from eyehand.games.families import open_game
from eyehand.players.demonstrators.level import LevelDemonstrator
from eyehand.players.demonstrators.motor import MotorLimits
from eyehand.session import EpisodeStart, Session, Tick

pytest.importorskip("vizdoom")


class Watcher:
    """The actions of the last episode, and the score after each."""

    def __init__(self, game: Game) -> None:
        self.game = game

    def on_start(self, start: EpisodeStart) -> None:
        self.actions: list[Action] = []
        self.scores: list[float] = []

    def on_tick(self, tick: Tick) -> None:
        self.actions.append(tick.decision.action)
        self.scores.append(self.game.outcome().score)

    def on_end(self, end: object) -> None: ...


@pytest.fixture(scope="module", params=["e1m1", "map01"])
def game(request: pytest.FixtureRequest) -> Iterator[Game]:
    game = open_game(f"doom/{request.param}", with_state=True)
    yield game
    game.close()


def _play(game: Game, seed: int, seconds: float) -> tuple[Watcher, float]:
    watcher = Watcher(game)
    end = Session(game, LevelDemonstrator(game), observers=(watcher,)).run_episode(seed, seconds)
    motions = np.array([action.dx for action in watcher.actions])
    limits = MotorLimits()
    assert np.abs(motions).max() <= limits.max_turn_px
    for before, now in itertools.pairwise(motions.tolist()):
        started_from = abs(before) if before * now > 0 else 0
        assert abs(now) <= started_from + limits.max_speedup_px
    assert watcher.scores == sorted(watcher.scores)
    return watcher, end.outcome.score


def test_it_sets_out_for_the_exit_at_human_speed(game: Game) -> None:
    watcher, score = _play(game, seed=0, seconds=12.0)
    assert 5.0 < score < 100.0
    is_fired = ["0" in action.buttons for action in watcher.actions]
    assert any(is_fired), "there are monsters on the way"


DOOR, KEYED = Room(width=16, ceiling=0, edges=(1, 0)), Room(width=16, ceiling=0, edges=(26, 0))
SHUT = Room(width=16, ceiling=0, tag=5)


@pytest.mark.parametrize(
    "rooms",
    [
        [Room(things=(BLUE_CARD,)), Room(things=(START,)), KEYED, Room(switch=(11, 0))],
        [Room(switch=(103, 5)), DOOR, Room(things=(START,)), SHUT, Room(), Room(over=(52, 0)), Room()],
        [
            Room(ceiling=256, things=(START,)),
            Room(floor=96, ceiling=256, tag=7, edges=(62, 7)),
            Room(floor=96, ceiling=256, switch=(11, 0)),
        ],
    ],
    ids=["key", "switch", "lift"],
)
def test_it_fetches_keys_pushes_switches_and_rides_lifts(tmp_path: Path, rooms: list[Room]) -> None:
    path = row_of_rooms(tmp_path / "level.wad", *rooms)
    game = DoomGame(dataclasses.replace(DOOM_TASKS["map01"], wad=str(path)), with_state=True)
    try:
        watcher, score = _play(game, seed=1, seconds=40.0)
        assert score == 100.0, f"{watcher.scores[-1]} after {len(watcher.scores)} ticks"
    finally:
        game.close()


@pytest.mark.slow
def test_it_finishes_the_level_on_most_seeds(game: Game) -> None:
    scores = [_play(game, seed, seconds=300.0)[1] for seed in range(4)]
    assert sum(score == 100.0 for score in scores) >= 3
    assert min(scores) > 20.0
