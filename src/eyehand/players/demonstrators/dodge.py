"""The expert for dodging fireballs: faces the throwers and never stands still.

It runs to one side until it comes near the wall and turns round there, or earlier if it would be hit: at every tick it
compares four plans (run left or right, then left or right) by when the first fireball would hit. Throwers aim at the
player's place, so that running helps most, and the picture shows where a runner turns round.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from eyehand.game import Game
from eyehand.games.doom.state import DoomState
from eyehand.players.demonstrators.eyes import TICS_PER_TICK, Sighting, wrap_deg
from eyehand.players.demonstrators.scripted import Demonstrator, Intent, Scene

__all__ = ["MISSILES", "Dodge"]

MISSILES = frozenset(("DoomImpBall", "CacodemonBall", "BaronBall", "Rocket", "PlasmaBall", "ArachnotronPlasma"))

_SIDES = {"a": 1.0, "d": -1.0}
"""Which way each key moves a player that looks east, as a factor of north."""
_RUN_THRUST = 1.25
_FRICTION = 0.90625
"""Speed gained in a tic by running sideways, and the share that is left of it (the engine's P_Thrust, P_XYMovement)."""


class Dodge(Demonstrator):
    """The expert that runs from fireballs that come from the east.

    Attributes:
        facing_deg: direction of view.
        horizon_tics: length of a plan.
        first_tics: how long the first key of a plan is held.
        reach: distance to a fireball's middle along each axis that counts as a hit: half widths (16 + 6) and a margin.
        comfort: gaps up to this width add to a plan's value.
        margin: distance to a wall at which it turns round.
        steadiness: value of keeping the direction, in tics of safety. Standing still where nothing would hit was
            tried: it survived for 41 s instead of 54 (8 episodes), and no picture shows when to begin.
        moving: a player slower than this, in units per tic, counts as standing.
    """

    facing_deg = 0.0
    horizon_tics = 50
    first_tics = 20
    reach = 32.0
    comfort = 90.0
    margin = 90.0
    steadiness = 20.0
    moving = 2.0

    def __init__(self, game: Game) -> None:
        super().__init__(game)
        self._side = ""

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._side = ""

    def intend(self, scene: Scene) -> Intent:
        self._side = self._choose(scene)
        turn_deg = wrap_deg(scene.state.angle_deg - self.facing_deg)
        return Intent(turn_deg, keys=frozenset((self._side, "LeftShift")))

    def _choose(self, scene: Scene) -> str:
        """The key of the side to run to."""
        low, high = _walls(scene.state)
        y, speed = scene.state.y, scene.state.vy
        if y > high - self.margin:
            return "d"
        if y < low + self.margin:
            return "a"
        if abs(speed) > self.moving:  # the executed motion counts, also that of another player
            self._side = "a" if speed > 0 else "d"
        elif not self._side:
            self._side = "a" if y < (low + high) / 2 else "d"
        missiles = [thing for thing in scene.sightings if thing.name in MISSILES]
        plans = list(itertools.product(_SIDES, _SIDES))
        worths = [self._worth(scene.state, missiles, *plan) for plan in plans]
        return plans[int(np.argmax(worths))][0]

    def _worth(self, state: DoomState, missiles: list[Sighting], first: str, then: str) -> float:
        """The value of a plan, in tics of safety."""
        y_T = self._path(state, first, then)
        worth = self.steadiness if first == self._side else 0.0
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
        """The player's predicted y after each of the next `horizon_tics` tics, in map units."""
        low, high = _walls(state)
        y, speed, path = state.y, state.vy, []
        for tic in range(self.horizon_tics):
            speed = speed * _FRICTION + _RUN_THRUST * _SIDES[first if tic < self.first_tics else then]
            y = min(max(y + speed, low), high)
            path.append(y)
        return np.array(path)


def _walls(state: DoomState) -> tuple[float, float]:
    """The lowest and highest y at which the player can stand."""
    ys = [y for sector in state.sectors for line in sector.lines for y in (line.y1, line.y2)]
    return min(ys) + 16.0, max(ys) - 16.0
