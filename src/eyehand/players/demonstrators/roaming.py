"""Walking about without a target in view: straight on where there is room ahead, right where there is none.

Depends on the walls in the picture alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eyehand.games.doom.floor_plan import FloorPlan
from eyehand.games.doom.state import DoomState
from eyehand.players.demonstrators.eyes import Sighting
from eyehand.players.demonstrators.scripted import Intent

__all__ = ["has_room", "passes", "roam"]

_SEARCH_DEG = 18.0
"""Angle asked of the motor model at every tick of a turn on the spot: about 160 degrees a second."""


def roam(state: DoomState, plan: FloorPlan, avoid: Sequence[Sighting] = (), reach: float = 52.0) -> Intent:
    """The Intent of walking on, or of turning right on the spot where there is no room.

    Args:
        avoid: objects not to touch.
        reach: minimum distance of the way to them.
    """
    for room in (320.0, 128.0):
        for turn_deg in (0.0, 12.0, -12.0, 25.0, -25.0, 40.0, -40.0):
            if has_room(state, plan, turn_deg, room, avoid, reach):
                return Intent(turn_deg, keys=frozenset("w"))
    return Intent(_SEARCH_DEG)


def has_room(
    state: DoomState, plan: FloorPlan, turn_deg: float, room: float, avoid: Sequence[Sighting], reach: float
) -> bool:
    """Whether the way is clear for `room` map units in the direction `turn_deg` to the right of the view."""
    angle = math.radians(state.angle_deg - turn_deg)
    x, y = state.x + room * math.cos(angle), state.y + room * math.sin(angle)
    if any(passes(thing, state, x, y) < reach for thing in avoid):
        return False
    return plan.is_walk_clear(state.x, state.y, x, y)


def passes(thing: Sighting, state: DoomState, x: float, y: float) -> float:
    """Distance between an object and the straight way from the player to (x, y), in map units; infinite if behind."""
    dx, dy = x - state.x, y - state.y
    length2 = max(1.0, dx * dx + dy * dy)
    share = ((thing.x - state.x) * dx + (thing.y - state.y) * dy) / length2
    if share <= 0.0:
        return math.inf
    share = min(1.0, share)
    return math.hypot(thing.x - state.x - share * dx, thing.y - state.y - share * dy)
