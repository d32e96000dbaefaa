"""Demonstrators that walk: the floor plan against made-up rooms, then the real engine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from eyehand.action import NOTHING
from eyehand.games.doom.floor_plan import FloorPlan, Obstacle
from eyehand.games.doom.objects import DoomLine, DoomSector
from eyehand.games.families import open_game
from eyehand.player import Observation, Player
from eyehand.players.demonstrators.motor import MotorLimits
from eyehand.players.demonstrators.navigation import ExploreDemonstrator, HomeDemonstrator
from eyehand.players.demonstrators.route import route_through
from eyehand.players.random import RandomPlayer

Corner = tuple[float, float]


def _sector(corners: list[Corner], openings: set[int], floor: float = 0.0, ceiling: float = 128.0) -> DoomSector:
    """A room with these corners; edge i (from corner i to the next) is a wall unless it is an opening."""
    ends = zip(corners, corners[1:] + corners[:1], strict=True)
    lines = tuple(DoomLine(*a, *b, is_blocking=i not in openings) for i, (a, b) in enumerate(ends))
    return DoomSector(floor, ceiling, lines)


def _two_rooms(floor: float = 0.0, ceiling: float = 128.0, middle_ceiling: float = 128.0) -> tuple[DoomSector, ...]:
    """Rooms of 256 x 256 to the west and to the east of a passage 64 x 64; the eastern one has this floor."""
    west: list[Corner] = [(0, 0), (256, 0), (256, 96), (256, 160), (256, 256), (0, 256)]
    passage: list[Corner] = [(256, 96), (320, 96), (320, 160), (256, 160)]
    east: list[Corner] = [(320, 0), (576, 0), (576, 256), (320, 256), (320, 160), (320, 96)]
    return (
        _sector(west, {2}),
        _sector(passage, {1, 3}, ceiling=middle_ceiling),
        _sector(east, {4}, floor=floor, ceiling=ceiling),
    )


def _way(plan: FloorPlan, start: Corner, goal: Corner) -> np.ndarray:
    return plan.field(plan.cell(*goal)).way(*start)


def _gap_to_segment(points: np.ndarray, line: DoomLine) -> float:
    """Smallest distance of points to a line, by the box measure that the engine uses for bodies."""
    along = np.linspace([line.x1, line.y1], [line.x2, line.y2], 200)
    return float(np.abs(points[:, None] - along[None]).max(axis=-1).min())


def test_a_way_keeps_a_bodys_width_off_every_wall() -> None:
    rooms = _two_rooms()
    way = _way(FloorPlan(rooms), (40, 40), (540, 220))
    assert np.hypot(*(way[-1] - (540, 220))) < 8
    assert np.abs(np.diff(way, axis=0)).max() <= 8
    walls = [line for room in rooms for line in room.lines if line.is_blocking]
    assert min(_gap_to_segment(way, wall) for wall in walls) >= 16


@pytest.mark.parametrize(("floor", "there", "back"), [(24, True, True), (32, False, True), (-32, True, False)])
def test_steps_are_climbed_to_24_units_and_drops_lead_one_way(floor: float, there: bool, back: bool) -> None:
    plan = FloorPlan(_two_rooms(floor=floor))
    west, east = (40, 128), (540, 128)
    assert (len(_way(plan, west, east)) > 0) is there
    assert (len(_way(plan, east, west)) > 0) is back


def test_a_low_ceiling_bars_the_way_and_a_closed_door_does_not() -> None:
    assert len(_way(FloorPlan(_two_rooms(middle_ceiling=48)), (40, 128), (540, 128))) == 0
    with_door = FloorPlan(_two_rooms(middle_ceiling=0))
    assert len(_way(with_door, (40, 128), (540, 128))) > 0
    ahead = with_door.bodies_ahead(200, 128, 400, 128, reach=400)
    assert min(distance for distance, sectors in ahead if 1 in sectors) == pytest.approx(56 - 16, abs=8)
    assert [sectors for distance, sectors in ahead if distance in (0, 88, 192)] == [{0}, {1}, {2}]
    assert with_door.bodies_ahead(200, 128, 400, 128, reach=20) == [(way, frozenset({0})) for way in (0, 8, 16)]


def test_a_solid_thing_closes_a_passage_that_it_fills() -> None:
    assert len(_way(FloorPlan(_two_rooms(), [Obstacle(288, 128, 16)]), (40, 128), (540, 128))) == 0


def test_straight_walks_see_walls() -> None:
    plan = FloorPlan(_two_rooms())
    assert plan.is_walk_clear(40, 128, 540, 128)
    assert not plan.is_walk_clear(40, 40, 540, 40)


def test_a_route_passes_its_places_and_closes_its_loop_without_leaving_the_floor() -> None:
    plan = FloorPlan(_two_rooms())
    places = ((40.0, 40.0), (540.0, 40.0), (540.0, 220.0), (340.0, 220.0))
    route = route_through(plan, places, 1)
    assert route is not None
    assert (plan.clearance_at(route.points_N2) >= 1).all()
    assert np.hypot(*np.diff(route.points_N2, axis=0).T).max() < 12
    for x, y in places:
        assert np.hypot(*(route.points_N2 - (x, y)).T).min() < 48, "only corners are rounded off"
    after_the_end = route.indices(len(route.points_N2) - 2, 6)
    assert after_the_end[2] == route.loop_start
    assert np.hypot(*(route.points_N2[route.loop_start] - places[1])) < 48
    assert np.hypot(*(route.points_N2[-1] - route.points_N2[route.loop_start])) < 48


def test_there_is_no_route_where_a_place_cannot_be_reached() -> None:
    plan = FloorPlan(_two_rooms(middle_ceiling=48))
    assert route_through(plan, ((40.0, 40.0), (540.0, 40.0)), 0) is None


class _Run:
    """An episode: where the player was, how it stood at the end, and what was done."""

    def __init__(self, game, player: Player, seed: int, num_ticks: int) -> None:
        game.reset(seed)
        player.reset(seed)
        executed = NOTHING
        self.actions, places = [], []
        for _ in range(num_ticks):
            frame = game.observe()
            places.append((game.state.x, game.state.y))
            executed = player.act(Observation(frame, executed=executed)).action
            self.actions.append(executed)
            game.act(executed)
            if game.outcome().done:
                break
        self.places = np.array(places)
        self.score = game.outcome().score

    def changes(self, key: str) -> int:
        held = [key in action.keys for action in self.actions]
        return int(np.abs(np.diff(held)).sum())


@pytest.fixture(scope="module")
def home() -> Iterator[object]:
    game = open_game("doom/home", with_state=True)
    yield game
    game.close()


@pytest.fixture(scope="module")
def explore() -> Iterator[object]:
    game = open_game("doom/explore", with_state=True)
    yield game
    game.close()


def test_home_is_found_from_everywhere_at_human_speed(home) -> None:
    player = HomeDemonstrator(home)
    for seed in range(4):
        run = _Run(home, player, seed, num_ticks=400)
        assert run.score > 75, f"seed {seed}"
        assert max(abs(action.dx) for action in run.actions) <= MotorLimits().max_turn_px
        assert run.changes("w") <= 2 + len(run.actions) / 15


@pytest.mark.slow
def test_explore_opens_the_first_door_and_beats_random_clearly(explore) -> None:
    demonstrator = _Run(explore, ExploreDemonstrator(explore), seed=0, num_ticks=240)
    random = _Run(explore, RandomPlayer(), seed=0, num_ticks=240)
    assert demonstrator.places[:, 0].max() > 740, "the first door, at x = 704 to 720, was not passed"
    assert demonstrator.score >= 3 * max(random.score, 3)
    assert 1 <= demonstrator.changes("Space") <= 6
    assert max(abs(action.dx) for action in demonstrator.actions) <= MotorLimits().max_turn_px


def test_explore_comes_back_to_its_route_after_a_push(explore) -> None:
    player = ExploreDemonstrator(explore)
    _Run(explore, player, seed=1, num_ticks=60)
    executed = NOTHING
    # Somebody else walks backwards and turns for 1.5 s; the demonstrator only watches.
    away = NOTHING.of(("s", "a"), (), 60)
    for _ in range(30):
        player.act(Observation(explore.observe(), executed=executed))
        explore.act(executed := away)
    begin = explore.outcome().score
    for _ in range(120):
        executed = player.act(Observation(explore.observe(), executed=executed)).action
        explore.act(executed)
    assert explore.outcome().score >= begin + 6


@pytest.mark.slow
def test_a_whole_episode_visits_most_of_the_route(explore) -> None:
    run = _Run(explore, ExploreDemonstrator(explore), seed=2, num_ticks=1200)
    assert run.score >= 58
    steps = np.hypot(*np.diff(run.places, axis=0).T)
    assert steps.max() < 40, "a jump: the route must not use a teleporter"
