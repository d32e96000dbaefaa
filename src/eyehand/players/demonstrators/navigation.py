"""Demonstrators that go somewhere: `HomeDemonstrator` to the armour, `ExploreDemonstrator` around a whole level."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from numpy.typing import NDArray

from eyehand.games.doom_state import DoomState
from eyehand.games.game import Game
from eyehand.players.demonstrators.hands import Hands
from eyehand.players.demonstrators.navigator import Gait, Navigator, Steering
from eyehand.players.demonstrators.tour import Tour, tour_of
from eyehand.players.player import Decision, Observation

__all__ = ["ExploreDemonstrator", "HomeDemonstrator"]

_NEAR = 96.0
"""Within this distance of the tour the player is on it."""
_SIGHT = 400.0
"""From within this distance the tour is rejoined by sight."""
_BACK, _AHEAD = 12, 28
"""Progress on the tour is looked for among so many points before and after the last."""


class HomeDemonstrator:
    """Walks the shortest way to the armour.

    Args:
        game: a Doom game with privileged state.
    """

    def __init__(self, game: Game) -> None:
        self._game = game
        self._hands = Hands()
        self._navigator = Navigator(Gait(run_distance=math.inf))
        self.reset(0)

    def reset(self, seed: int) -> None:
        self._hands.reset(seed)
        self._navigator.reset()

    def act(self, observation: Observation) -> Decision:
        state = cast(DoomState, self._game.state)
        steering = self._steer(state, observation)
        action = self._hands.act(observation.executed, steering.turn_deg, keys=steering.keys)
        return Decision(action, by_user=True)

    def _steer(self, state: DoomState, observation: Observation) -> Steering:
        armour = [thing for thing in state.objects if thing.name == "GreenArmor"]
        if not armour:
            return self._navigator.follow(state, observation.executed, np.zeros((0, 2)))
        return self._navigator.go_to(state, observation.executed, armour[0].x, armour[0].y)


class ExploreDemonstrator:
    """Walks one fixed tour of the level, always the same, and rejoins it from wherever it was pushed.

    Where it is on the tour follows from where it stands and looks; of the past it only needs where it was a tick ago.

    Args:
        game: a Doom game with privileged state.
    """

    def __init__(self, game: Game) -> None:
        self._game = game
        self._hands = Hands()
        self._navigator = Navigator(Gait(look_ahead=160.0, max_cut=40.0, run_distance=math.inf))
        self.reset(0)

    def reset(self, seed: int) -> None:
        self._hands.reset(seed)
        self._navigator.reset()
        self._tour: Tour | None = None
        self._place = 0

    def act(self, observation: Observation) -> Decision:
        state = cast(DoomState, self._game.state)
        if self._tour is None:
            self._tour = tour_of(self._navigator.plan(state), state.x, state.y)
        steering = self._steer(state, observation)
        action = self._hands.act(observation.executed, steering.turn_deg, keys=steering.keys)
        return Decision(action, by_user=True)

    def _steer(self, state: DoomState, observation: Observation) -> Steering:
        tour = self._tour
        if tour is None:
            return self._navigator.follow(state, observation.executed, np.zeros((0, 2)))
        place = self._progress(state, tour)
        if place is None:
            place = self._seen_place(state, tour)
        if place is None:
            x, y = tour.points_N2[self._place].tolist()
            return self._navigator.go_to(state, observation.executed, x, y)
        self._place = place
        ahead = tour.indices(place + 1, 2 * _AHEAD)
        return self._navigator.follow(state, observation.executed, tour.points_N2[ahead])

    def _progress(self, state: DoomState, tour: Tour) -> int | None:
        """The point of the tour where the player is if it has gone on from the last one; None if it is off the tour."""
        around = tour.indices(self._place - _BACK, _BACK + _AHEAD)
        distances, costs = _fit(state, tour, around)
        best = int(costs.argmin())
        x, y = tour.points_N2[around[best]].tolist()
        if distances[best] > _NEAR or not self._navigator.plan(state).is_walk_clear(state.x, state.y, x, y):
            return None
        return int(around[best])

    def _seen_place(self, state: DoomState, tour: Tour) -> int | None:
        """The point of the whole tour that suits best where the player stands and looks; None if none is in sight."""
        everywhere = np.arange(0, len(tour.points_N2), 3)
        distances, costs = _fit(state, tour, everywhere)
        # Other things being nearly equal, it goes on where it was and does not skip or repeat a part of the tour.
        costs = np.where(distances < _SIGHT, costs + 0.5 * np.minimum(np.abs(everywhere - self._place), 400), np.inf)
        for candidate in np.argsort(costs)[:24].tolist():
            x, y = tour.points_N2[everywhere[candidate]].tolist()
            if np.isfinite(costs[candidate]) and self._navigator.plan(state).is_walk_clear(state.x, state.y, x, y):
                return int(everywhere[candidate])
        return None


def _fit(state: DoomState, tour: Tour, places: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far these points of the tour are, and the same with half a unit more for each degree of wrong heading."""
    distances = np.hypot(*(tour.points_N2[places] - (state.x, state.y)).T)
    turns = np.abs((tour.headings_N[places] - state.angle_deg + 180.0) % 360.0 - 180.0)
    return distances, distances + 0.5 * turns
