"""Experts for collecting medikits on a floor that hurts, with or without poison between them.

They go to the visible medikit that is reached soonest, unless a wall or poison is in the way. Without one they walk
about.
"""

from __future__ import annotations

from collections.abc import Sequence

from eyehand.game import Game
from eyehand.games.doom.floor_plan import FloorPlan, floor_plan
from eyehand.games.doom.state import DoomState
from eyehand.players.demonstrators.eyes import Sighting
from eyehand.players.demonstrators.roaming import passes, roam
from eyehand.players.demonstrators.scripted import Demonstrator, Intent, Scene

__all__ = ["PICKUPS", "POISONS", "Collect"]

PICKUPS = frozenset(("Medikit", "CustomMedikit", "Stimpack"))
POISONS = frozenset(("Poison",))

_WALK_UNITS_PER_TICK = 14.0
_TURN_DEG_PER_TICK = 6.0


class Collect(Demonstrator):
    """The expert that collects medikits.

    Attributes:
        walk_within_deg: walk when the goal lies within this angle, otherwise turn on the spot.
        near: a medikit nearer than this passes the view quickly: it is faced before walking on.
        poison_reach: minimum distance of the way to the middle of a poison.
        grace_ticks: a medikit that left the picture this short a time ago is still walked to: it is right in front.
        hysteresis_ticks: another medikit must be reached this much sooner to be preferred.
    """

    walk_within_deg = 40.0
    near = 100.0
    poison_reach = 52.0
    grace_ticks = 8
    hysteresis_ticks = 4.0

    def __init__(self, game: Game) -> None:
        super().__init__(game)
        self._goal_id: int | None = None

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._goal_id = None

    def intend(self, scene: Scene) -> Intent:
        state, plan = scene.state, floor_plan(scene.state.sectors)
        poisons = [thing for thing in scene.sightings if thing.name in POISONS]
        goal = self._choose([thing for thing in scene.sightings if self._is_worth(thing, plan, state, poisons)])
        if goal is None:
            return roam(state, plan, poisons, self.poison_reach)
        within_deg = self.walk_within_deg if goal.distance > self.near else self.walk_within_deg / 2
        keys = frozenset("w") if abs(goal.bearing_deg) < within_deg else frozenset[str]()
        return Intent(goal.bearing_deg, keys=keys)

    def _is_worth(self, thing: Sighting, plan: FloorPlan, state: DoomState, poisons: Sequence[Sighting]) -> bool:
        if thing.name not in PICKUPS or thing.unseen_ticks > self.grace_ticks:
            return False
        if any(passes(poison, state, thing.x, thing.y) < self.poison_reach for poison in poisons):
            return False
        # A pickup is taken from 36 units away: it may lie nearer to a wall than a body can come.
        share = max(0.0, 1.0 - 30.0 / thing.distance)
        x, y = state.x + (thing.x - state.x) * share, state.y + (thing.y - state.y) * share
        return plan.is_walk_clear(state.x, state.y, x, y)

    def _choose(self, pickups: Sequence[Sighting]) -> Sighting | None:
        """The medikit reached soonest; the previous one is kept unless another is clearly nearer."""

        def ticks_to(thing: Sighting) -> tuple[float, int]:
            ticks = thing.distance / _WALK_UNITS_PER_TICK + abs(thing.bearing_deg) / _TURN_DEG_PER_TICK
            return ticks - (self.hysteresis_ticks if thing.id == self._goal_id else 0.0), thing.id

        chosen = min(pickups, key=ticks_to, default=None)
        self._goal_id = None if chosen is None else chosen.id
        return chosen
