"""Experts for navigation: `HomeDemonstrator` walks to the armour, `ExploreDemonstrator` through a whole level."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import cast

import numpy as np
from numpy.typing import NDArray

from eyehand.game import Game
from eyehand.games.doom.state import DoomState
from eyehand.player import Decision, Observation
from eyehand.players.demonstrators.motor import MotorModel
from eyehand.players.demonstrators.navigator import Gait, Navigator, Steering
from eyehand.players.demonstrators.route import Route, route_through

__all__ = ["ExploreDemonstrator", "HomeDemonstrator"]

_NEAR = 96.0
"""Within this distance of the route the player is on it."""
_SIGHT = 400.0
"""From within this distance the route is rejoined by sight."""
_BACK, _AHEAD = 12, 28
"""Progress on the route is looked for among so many points before and after the last."""


class _Walker(ABC):
    """An expert that only walks: its navigator steers, its motor model acts."""

    def __init__(self, game: Game, gait: Gait) -> None:
        self._game = game
        self._motor = MotorModel()
        self._navigator = Navigator(gait)
        self.reset(0)

    def reset(self, seed: int) -> None:
        self._motor.reset(seed)
        self._navigator.reset()

    def act(self, observation: Observation) -> Decision:
        steering = self._steer(cast(DoomState, self._game.state), observation)
        action = self._motor.act(observation.executed, steering.turn_deg, keys=steering.keys)
        return Decision(action, by_user=True)

    @abstractmethod
    def _steer(self, state: DoomState, observation: Observation) -> Steering: ...


class HomeDemonstrator(_Walker):
    """The expert that walks the shortest way to the armour.

    Args:
        game: a Doom game with privileged state.
    """

    def __init__(self, game: Game) -> None:
        super().__init__(game, Gait(run_distance=math.inf))

    def _steer(self, state: DoomState, observation: Observation) -> Steering:
        armour = [thing for thing in state.objects if thing.name == "GreenArmor"]
        if not armour:
            return self._navigator.follow(state, observation.executed, np.zeros((0, 2)))
        return self._navigator.go_to(state, observation.executed, armour[0].x, armour[0].y)


_PLACES = (
    *((-192.0, -192.0), (132.0, -167.0), (719.0, -161.0)),  # the hall in the west and its door
    *((905.0, -60.0), (960.0, 170.0), (1332.0, 220.0), (1465.0, -60.0), (1839.0, -153.0)),  # around the big room
    *((1972.0, -433.0), (1945.0, -860.0), (1599.0, -860.0)),  # the eastern corridor, south and west
    *((1439.0, -700.0), (1380.0, -560.0), (1000.0, -540.0), (852.0, -640.0), (1279.0, -660.0)),  # the middle hall
    *((1332.0, -913.0), (1065.0, -1007.0), (647.0, -1020.0)),  # west, through a door
    *((492.0, -1190.0), (212.0, -1190.0), (-40.0, -1060.0), (-40.0, -830.0), (280.0, -800.0), (500.0, -900.0)),  # round
)
"""Freedoom's Phase 2, MAP01: one way past most of it, and round the last room for ever."""
_LOOP_FROM = 19


class ExploreDemonstrator(_Walker):
    """The expert that walks a fixed one-way route through the level, and rejoins it from any place.

    Its place on the route follows from its position and view, and its place a tick ago.

    Args:
        game: a Doom game with privileged state.
    """

    def __init__(self, game: Game) -> None:
        super().__init__(game, Gait(look_ahead=160.0, max_cut=40.0, run_distance=math.inf))

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._route: Route | None = None
        self._place = 0

    def _steer(self, state: DoomState, observation: Observation) -> Steering:
        route = self._route = self._route or route_through(self._navigator.plan(state), _PLACES, _LOOP_FROM)
        if route is None:
            return self._navigator.follow(state, observation.executed, np.zeros((0, 2)))
        place = self._progress(state, route)
        if place is None:
            place = self._seen_place(state, route)
        if place is None:
            x, y = route.points_N2[self._place].tolist()
            return self._navigator.go_to(state, observation.executed, x, y)
        self._place = place
        ahead = route.indices(place + 1, 2 * _AHEAD)
        return self._navigator.follow(state, observation.executed, route.points_N2[ahead])

    def _progress(self, state: DoomState, route: Route) -> int | None:
        """Index of the player's point on the route, near the last one; None if it is off the route."""
        around = route.indices(self._place - _BACK, _BACK + _AHEAD)
        distances, costs = _fit(state, route, around)
        best = int(costs.argmin())
        x, y = route.points_N2[around[best]].tolist()
        if distances[best] > _NEAR or not self._navigator.plan(state).is_walk_clear(state.x, state.y, x, y):
            return None
        return int(around[best])

    def _seen_place(self, state: DoomState, route: Route) -> int | None:
        """Index of the point of the whole route that best fits the player's pose; None: none is in sight."""
        everywhere = np.arange(0, len(route.points_N2), 3)
        distances, costs = _fit(state, route, everywhere)
        # Other things being nearly equal, it goes on where it was and does not skip or repeat a part of the route.
        costs = np.where(distances < _SIGHT, costs + 0.5 * np.minimum(np.abs(everywhere - self._place), 400), np.inf)
        for candidate in np.argsort(costs)[:24].tolist():
            x, y = route.points_N2[everywhere[candidate]].tolist()
            if np.isfinite(costs[candidate]) and self._navigator.plan(state).is_walk_clear(state.x, state.y, x, y):
                return int(everywhere[candidate])
        return None


def _fit(state: DoomState, route: Route, places: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of these points of the route, and costs: distance plus half a unit per degree of wrong heading."""
    distances = np.hypot(*(route.points_N2[places] - (state.x, state.y)).T)
    turns = np.abs((route.headings_N[places] - state.angle_deg + 180.0) % 360.0 - 180.0)
    return distances, distances + 0.5 * turns
