"""Demonstrators that collect and walk about: collect, poison.

They go to the pickup in view that is reached soonest, around walls and around what hurts, and let the view follow the
way. With nothing worth it in view they turn right until there is something, and walk where there is room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eyehand.games.doom_state import DoomState
from eyehand.games.game import Game
from eyehand.players.demonstrators.eyes import Eyes, Sighting
from eyehand.players.demonstrators.geometry import FloorPlan, floor_plan
from eyehand.players.demonstrators.scripted import Demonstrator, Intent, Scene

__all__ = ["PICKUPS", "POISONS", "Collect"]

PICKUPS = frozenset(("Medikit", "CustomMedikit", "Stimpack"))
POISONS = frozenset(("Poison",))

_RUN_UNITS_PER_TICK = 14.0
_TURN_DEG_PER_TICK = 6.0


class Collect(Demonstrator):
    """Medikits on a floor that hurts, with or without poison between them.

    Attributes:
        walk_within_deg: walk when the way ahead is within this angle, otherwise turn on the spot.
        poison_reach: how near the way may come to the middle of a poison.
        search_deg: angle asked of the hands while nothing is in view.
    """

    walk_within_deg = 40.0
    poison_reach = 46.0
    search_deg = 18.0
    hysteresis_ticks = 4.0

    def __init__(self, game: Game) -> None:
        super().__init__(game, Eyes())
        self._goal_id: int | None = None

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._goal_id = None

    def intend(self, scene: Scene) -> Intent:
        state = scene.state
        plan = floor_plan(state.sectors)
        poisons = [thing for thing in scene.sightings if thing.name in POISONS]
        goal = self._choose([thing for thing in scene.sightings if self._is_worth(thing, plan, state, poisons)])
        if goal is None:
            return self._search(state, plan, poisons)
        return self._walk(goal.bearing_deg, goal.distance)

    def _is_worth(self, thing: Sighting, plan: FloorPlan, state: DoomState, poisons: Sequence[Sighting]) -> bool:
        if thing.name not in PICKUPS:
            return False
        if any(_passes(poison, state, thing.x, thing.y) < self.poison_reach for poison in poisons):
            return False
        # A pickup is taken from 36 units away: it may lie nearer to a wall than a body can come.
        share = max(0.0, 1.0 - 30.0 / thing.distance)
        x, y = state.x + (thing.x - state.x) * share, state.y + (thing.y - state.y) * share
        return plan.is_walk_clear(state.x, state.y, x, y)

    def _choose(self, pickups: Sequence[Sighting]) -> Sighting | None:
        """The one that is reached soonest; the one before is kept unless another is clearly nearer."""

        def ticks_to(thing: Sighting) -> tuple[float, int]:
            ticks = thing.distance / _RUN_UNITS_PER_TICK + abs(thing.bearing_deg) / _TURN_DEG_PER_TICK
            return ticks - (self.hysteresis_ticks if thing.id == self._goal_id else 0.0), thing.id

        chosen = min(pickups, key=ticks_to, default=None)
        self._goal_id = None if chosen is None else chosen.id
        return chosen

    def _walk(self, turn_deg: float, distance: float) -> Intent:
        # Near things pass the view quickly: face them before walking on, or circle around them.
        within = self.walk_within_deg if distance > 100.0 else 20.0
        return Intent(turn_deg, keys=frozenset("w") if abs(turn_deg) < within else frozenset())

    def _search(self, state: DoomState, plan: FloorPlan, poisons: Sequence[Sighting]) -> Intent:
        """Walk on where there is room ahead, else turn right."""
        for turn_deg in (0.0, 15.0, 30.0, -15.0, -30.0):
            if self._has_room(state, plan, poisons, turn_deg, 160.0):
                return Intent(turn_deg, keys=frozenset("w"))
        return Intent(self.search_deg)

    def _has_room(
        self, state: DoomState, plan: FloorPlan, poisons: Sequence[Sighting], turn_deg: float, room: float
    ) -> bool:
        angle = math.radians(state.angle_deg - turn_deg)
        x, y = state.x + room * math.cos(angle), state.y + room * math.sin(angle)
        if any(_passes(poison, state, x, y) < self.poison_reach for poison in poisons):
            return False
        return plan.is_walk_clear(state.x, state.y, x, y)


def _passes(thing: Sighting, state: DoomState, x: float, y: float) -> float:
    """How near a thing is to the straight way from the player to (x, y)."""
    dx, dy = x - state.x, y - state.y
    length2 = max(1.0, dx * dx + dy * dy)
    share = min(1.0, max(0.0, ((thing.x - state.x) * dx + (thing.y - state.y) * dy) / length2))
    return math.hypot(thing.x - state.x - share * dx, thing.y - state.y - share * dy)
