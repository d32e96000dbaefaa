"""The expert for deathmatch: walks about, shoots rockets at players in view, keeps a distance."""

from __future__ import annotations

from eyehand.games.doom.floor_plan import floor_plan, obstacles_of
from eyehand.players.demonstrators.combat import Rocketeer
from eyehand.players.demonstrators.eyes import Sighting
from eyehand.players.demonstrators.roaming import roam
from eyehand.players.demonstrators.scripted import Intent, Scene

__all__ = ["Deathmatch"]


class Deathmatch(Rocketeer):
    """Fights other players with the rocket launcher.

    Attributes:
        too_near: no rocket at a target nearer than this: its blast would hit the shooter.
    """

    too_near = 160.0
    aim_share = 1.0

    def intend(self, scene: Scene) -> Intent:
        if scene.state.is_dead:
            return Intent()
        return super().intend(scene)

    def engage(self, scene: Scene, target: Sighting) -> Intent:
        intent = super().engage(scene, target)
        is_near = target.distance < self.too_near
        keys = {"s"} if is_near else {"d"} if target.distance < 600.0 else {"w"}
        return Intent(intent.turn_deg, intent.drift_deg, frozenset(keys), intent.fire and not is_near)

    def search(self, scene: Scene) -> Intent:
        return roam(scene.state, floor_plan(scene.state.sectors, obstacles_of(scene.state.objects)))
