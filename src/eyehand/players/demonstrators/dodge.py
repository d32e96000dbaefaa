"""The demonstrator that dodges: step aside from fireballs, left or right, never stand still under fire."""

from __future__ import annotations

from eyehand.games.game import Game
from eyehand.players.demonstrators.eyes import Eyes, Sighting, wrap_deg
from eyehand.players.demonstrators.scripted import Demonstrator, Intent, Scene

__all__ = ["MISSILES", "Dodge"]

MISSILES = frozenset(("DoomImpBall", "CacodemonBall", "BaronBall", "Rocket", "PlasmaBall", "ArachnotronPlasma"))

_SIDES = {"d": -1.0, "": 0.0, "a": 1.0}
"""Which way each key moves the player, as a factor of its left."""


class Dodge(Demonstrator):
    """Faces the throwers (east) and sidesteps what they throw.

    Attributes:
        facing_deg: where to look.
        horizon_tics: how far ahead is looked.
        reach: half the width of the gap between a fireball and the player that is called a hit.
        strafe_units_per_tic: speed of a sidestep once it is under way.
    """

    facing_deg = 0.0
    horizon_tics = 45
    reach = 30.0
    strafe_units_per_tic = 7.0

    def __init__(self, game: Game) -> None:
        super().__init__(game, Eyes())
        self._side = ""

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._side = ""

    def intend(self, scene: Scene) -> Intent:
        missiles = [thing for thing in scene.sightings if thing.name in MISSILES]
        self._side = max(_SIDES, key=lambda side: self._safety(scene, missiles, side))
        turn_deg = wrap_deg(scene.state.angle_deg - self.facing_deg)
        return Intent(turn_deg, keys=frozenset(self._side))

    def _safety(self, scene: Scene, missiles: list[Sighting], side: str) -> float:
        """Tics until the first hit when this key is held, and a little for going on as before."""
        state = scene.state
        low, high = self._walls(scene)
        tics_safe = float(self.horizon_tics)
        for missile in missiles:
            for tic in range(0, self.horizon_tics, 2):
                y = min(max(state.y + _SIDES[side] * self.strafe_units_per_tic * tic, low), high)
                x_gap = abs(missile.x + missile.vx * tic - state.x)
                y_gap = abs(missile.y + missile.vy * tic - y)
                if x_gap < self.reach and y_gap < self.reach:
                    tics_safe = min(tics_safe, float(tic))
                    break
        keep = 4.0 if side == self._side else 0.0
        return tics_safe + keep

    def _walls(self, scene: Scene) -> tuple[float, float]:
        """How far south and north one can step."""
        ys = [y for sector in scene.state.sectors for line in sector.lines for y in (line.y1, line.y2)]
        return min(ys) + 16.0, max(ys) - 16.0
