"""Whole levels: their maps, the planned way to the exit, and the score that is measured along it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from doom_level import BLUE_CARD, START, Room, row_of_rooms
from eyehand.errors import UserError
from eyehand.games.doom.level import sectors_of_level, wad_path
from eyehand.games.doom.level_map import read_level
from eyehand.games.doom.level_route import LevelRoute, level_route
from eyehand.games.doom.scores import DoomFacts, WayToExit
from eyehand.games.doom.tasks import DOOM_TASKS
from eyehand.games.doom.wad import WadFile

pytest.importorskip("vizdoom")

LEVELS = [("freedoom1.wad", "E1M1"), ("freedoom2.wad", "MAP01")]
EXIT = Room(switch=(11, 0))


@pytest.mark.parametrize(("wad", "level"), LEVELS)
def test_a_level_is_read_as_the_engine_gives_it(wad: str, level: str) -> None:
    ours, engines = read_level(WadFile(wad_path(wad)), level).sectors, sectors_of_level(wad, level, False)
    assert [dataclasses.replace(sector, lines=()) for sector in ours] == [
        dataclasses.replace(sector, lines=()) for sector in engines
    ]
    for mine, other in zip(ours, engines, strict=True):
        assert {_same_both_ways(line) for line in mine.lines} == {_same_both_ways(line) for line in other.lines}


def _same_both_ways(line) -> tuple[frozenset[tuple[float, float]], bool]:
    return frozenset(((line.x1, line.y1), (line.x2, line.y2))), line.is_blocking


def walked(route: LevelRoute) -> np.ndarray:
    """Points (N, 2) of the whole way, from the start to the exit."""
    (x, y), ways = next((thing.x, thing.y) for thing in route.map.things if thing.number == START), []
    for leg in route.legs:
        ways.append(leg.field.way(x, y))
        assert len(ways[-1]), "a leg that cannot be walked"
        x, y = ways[-1][-1]
        assert leg.is_reached(x, y)
    return np.concatenate(ways)


@pytest.mark.parametrize(("wad", "level"), LEVELS)
def test_the_exit_of_a_real_level_is_found(wad: str, level: str) -> None:
    route = level_route(wad, level)
    points = walked(route)
    assert np.abs(np.diff(points, axis=0)).max() <= 16.0
    assert 2000 < route.length < 20_000
    assert route.remaining(0, *points[0]) == pytest.approx(route.length)
    assert route.remaining(len(route.legs) - 1, *points[-1]) == 0.0


def test_an_older_freedoom_needs_a_switch_and_a_key() -> None:
    path = Path("/usr/share/games/doom/freedoom1.wad")
    if not path.exists():
        pytest.skip("freedoom is not installed (apt install freedoom)")
    route = level_route(str(path), "E1M1")
    if len(route.legs) == 1:
        pytest.skip("this version of Freedoom has a level without a key")
    assert [leg.is_pushed for leg in route.legs] == [True, False, True]
    walked(route)


OPEN, SHUT = Room(), Room(width=16, ceiling=0, tag=5)
TALL, HIGH = Room(ceiling=256, things=(START,)), Room(floor=96, ceiling=256, switch=(11, 0))


@pytest.mark.parametrize(
    ("rooms", "legs"),
    [
        ([Room(things=(START,)), OPEN, EXIT], ["push"]),
        ([Room(things=(START,)), Room(over=(52, 0)), OPEN], ["cross"]),
        ([Room(things=(START,)), Room(width=16, ceiling=0, edges=(1, 0)), EXIT], ["push"]),
        ([Room(things=(BLUE_CARD,)), Room(things=(START,)), Room(width=16, ceiling=0, edges=(26, 0)), EXIT],
         ["key", "push"]),
        ([Room(switch=(103, 5)), Room(things=(START,)), SHUT, EXIT], ["push", "push"]),
        ([OPEN, Room(over=(2, 5)), Room(things=(START,)), SHUT, EXIT], ["cross", "push"]),
        ([Room(switch=(23, 5)), Room(things=(START,)), Room(floor=128, tag=5), EXIT], ["push", "push"]),
        ([TALL, Room(floor=96, ceiling=256, tag=7, edges=(62, 7)), HIGH], ["push"]),
        ([Room(switch=(103, 5)), Room(width=16, ceiling=0, edges=(26, 0)), Room(things=(START,)), SHUT, EXIT,
          Room(things=(BLUE_CARD,))], None),
        ([TALL, HIGH], None),
        ([Room(things=(START,)), SHUT, EXIT], None),
        ([Room(things=(START,)), OPEN], None),
        ([OPEN, EXIT], None),
    ],
)  # fmt: skip
def test_what_opens_the_way_is_fetched_before(tmp_path: Path, rooms: list[Room], legs: list[str] | None) -> None:
    path = str(row_of_rooms(tmp_path / "level.wad", *rooms))
    if legs is None:
        with pytest.raises(UserError, match="No way to the exit of MAP01"):
            level_route(path, "MAP01")
        return
    route = level_route(path, "MAP01")
    kinds = ["push" if leg.is_pushed else "key" if leg.reach > 30.0 else "cross" for leg in route.legs]
    assert kinds == legs
    walked(route)


def test_a_wad_that_is_not_there_or_is_no_level_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no freedoom9"):
        level_route("freedoom9.wad", "E1M1")
    with pytest.raises(UserError, match="MAP77"):
        level_route("freedoom2.wad", "MAP77")


def facts(x: float, y: float, **changes) -> DoomFacts:
    zeros = dict.fromkeys(("seconds", "health", "armor", "ammo", "kills", "frags", "deaths", "reward", "pickups"), 0.0)
    return DoomFacts(**{**zeros, "x": x, "y": y, "is_dead": False, "is_left": False, **changes})


@pytest.mark.parametrize("name", ["e1m1", "map01"])
def test_the_score_is_the_share_of_the_way_at_best_and_100_with_the_exit_alone(name: str) -> None:
    task = DOOM_TASKS[name]
    points = walked(level_route(task.wad, task.map))
    scorer = WayToExit(facts(*points[0]), task)
    assert scorer.value == 0.0
    values = []
    for x, y in [*points, *points[::-5]]:
        scorer.update(facts(x, y))
        values.append(scorer.value)
    assert values == sorted(values), "walking back takes nothing away"
    assert values[len(points) // 2] == pytest.approx(50.0, abs=12.0)
    assert values[-1] == 99.0
    scorer.update(facts(*points[0], is_dead=True))
    assert (scorer.value, scorer.facts["exits"]) == (99.0, 0.0)
    scorer.update(facts(*points[-1], is_left=True))
    assert (scorer.value, scorer.facts["exits"]) == (100.0, 1.0)


def test_a_key_counts_before_the_way_behind_its_door(tmp_path: Path) -> None:
    door = Room(width=16, ceiling=0, edges=(26, 0))
    path = row_of_rooms(tmp_path / "level.wad", Room(things=(BLUE_CARD,)), Room(things=(START,)), door, EXIT)
    scorer = WayToExit(facts(384.0, 128.0), dataclasses.replace(DOOM_TASKS["map01"], wad=str(path)))
    scorer.update(facts(480.0, 128.0))
    assert scorer.value == 0.0, "at the locked door, without the key"
    scorer.update(facts(128.0, 128.0))
    with_key = scorer.value
    assert 20.0 < with_key < 40.0
    scorer.update(facts(480.0, 128.0))
    assert scorer.value > with_key + 30.0
