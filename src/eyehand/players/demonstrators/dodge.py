"""The demonstrator that dodges: faces the throwers and sidesteps what they throw, left or right.

At every tick it compares a few plans (hold one key, then perhaps another) by when the first fireball would hit, and
holds the first key of the best; on equal terms it goes on as before, then stays off the walls.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from eyehand.games.doom_state import DoomState
from eyehand.games.game import Game
from eyehand.players.demonstrators.eyes import TICS_PER_TICK, Sighting, wrap_deg
from eyehand.players.demonstrators.scripted import Demonstrator, Intent, Scene

__all__ = ["MISSILES", "Dodge"]

MISSILES = frozenset(("DoomImpBall", "CacodemonBall", "BaronBall", "Rocket", "PlasmaBall", "ArachnotronPlasma"))

_SIDES = {"": 0.0, "a": 1.0, "d": -1.0}
"""Which way each key moves a player that looks east, as a factor of north."""
_RUN_THRUST = 1.25
_FRICTION = 0.90625
"""Speed gained in a tic by running sideways, and the share that is left of it (the engine's P_Thrust, P_XYMovement)."""


class Dodge(Demonstrator):
    """Sidesteps fireballs that come from the east.

    Attributes:
        facing_deg: where to look.
        horizon_tics: how far ahead is looked.
        first_tics: how long the first key of a plan is held.
        reach: how near the middle of a fireball may come along each axis: their half widths (16 + 6) and a margin.
        comfort: gaps are worth something up to this width.
        centring: what a place at a wall costs, against the middle: there is one way out only, and much out of view.
        steadiness: going on as before is worth so many tics of safety. With 3 and first keys of 14 tics it survives for
            nearly the whole time limit, but changes its mind 2.4 times a second, for reasons that no picture shows.
    """

    facing_deg = 0.0
    horizon_tics = 60
    first_tics = 20
    reach = 32.0
    comfort = 90.0
    centring = 30.0
    steadiness = 8.0

    def __init__(self, game: Game) -> None:
        super().__init__(game)
        self._side = ""

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._side = ""

    def intend(self, scene: Scene) -> Intent:
        missiles = [thing for thing in scene.sightings if thing.name in MISSILES]
        plans = list(itertools.product(_SIDES, _SIDES))
        worths = [self._worth(scene.state, missiles, *plan) for plan in plans]
        self._side = plans[int(np.argmax(worths))][0]
        turn_deg = wrap_deg(scene.state.angle_deg - self.facing_deg)
        return Intent(turn_deg, keys=frozenset((self._side, "LeftShift")) if self._side else frozenset())

    def _worth(self, state: DoomState, missiles: list[Sighting], first: str, then: str) -> float:
        """How good a plan is, in tics of safety."""
        y_T = self._path(state, first, then)
        low, high = _walls(state)
        worth = self.steadiness if first == self._side else 0.0
        middle = (low + high) / 2
        worth -= self.centring * abs(float(y_T[-1]) - middle) / (high - low)
        if not missiles:
            return worth + self.horizon_tics
        tics_T = np.arange(1, self.horizon_tics + 1)
        x_M1, y_M1, vx_M1, vy_M1, unseen_M1 = (
            np.array([[value] for value in values])
            for values in zip(*((m.x, m.y, m.vx, m.vy, m.unseen_ticks) for m in missiles), strict=True)
        )
        # What has left the picture flies on.
        tics_MT = tics_T + unseen_M1 * TICS_PER_TICK
        x_gap_MT = np.abs(x_M1 + vx_M1 * tics_MT - state.x)
        y_gap_MT = np.abs(y_M1 + vy_M1 * tics_MT - y_T)
        gap_MT = np.where(x_gap_MT < self.reach, y_gap_MT, np.inf)
        gap_T = gap_MT.min(axis=0)
        hits = np.flatnonzero(gap_T < self.reach)
        tics_safe = float(hits[0]) if len(hits) else float(self.horizon_tics)
        return worth + tics_safe + 8.0 * min(float(gap_T.min()), self.comfort) / self.comfort

    def _path(self, state: DoomState, first: str, then: str) -> NDArray[np.float64]:
        """Where the player would be north of the map's origin after each of the next tics."""
        low, high = _walls(state)
        y, speed, path = state.y, state.vy, []
        for tic in range(self.horizon_tics):
            speed = speed * _FRICTION + _RUN_THRUST * _SIDES[first if tic < self.first_tics else then]
            y = min(max(y + speed, low), high)
            path.append(y)
        return np.array(path)


def _walls(state: DoomState) -> tuple[float, float]:
    """How far south and north one can step."""
    ys = [y for sector in state.sectors for line in sector.lines for y in (line.y1, line.y2)]
    return min(ys) + 16.0, max(ys) - 16.0
