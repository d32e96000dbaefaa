"""Walking about with nothing particular in view: on where there is room ahead, right where there is none.

What it asks for follows from the walls that are in the picture, and from nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from eyehand.games.doom.state import DoomState
from eyehand.players.demonstrators.eyes import Sighting
from eyehand.players.demonstrators.geometry import FloorPlan
from eyehand.players.demonstrators.scripted import Intent

__all__ = ["has_room", "passes", "roam"]

_SEARCH_DEG = 18.0
"""Angle asked of the motor model at every tick of a turn on the spot: about 160 degrees a second."""


def roam(state: DoomState, plan: FloorPlan, avoid: Sequence[Sighting] = (), reach: float = 52.0) -> Intent:
    """Walk on, or turn right on the spot where there is no room.

    Args:
        avoid: things that are not to be touched.
        reach: how near the way may come to them.
    """
    for room in (320.0, 128.0):
        for turn_deg in (0.0, 12.0, -12.0, 25.0, -25.0, 40.0, -40.0):
            if has_room(state, plan, turn_deg, room, avoid, reach):
                return Intent(turn_deg, keys=frozenset("w"))
    return Intent(_SEARCH_DEG)


def has_room(
    state: DoomState, plan: FloorPlan, turn_deg: float, room: float, avoid: Sequence[Sighting], reach: float
) -> bool:
    """Whether one can walk so far in a direction `turn_deg` to the right of the view."""
    angle = math.radians(state.angle_deg - turn_deg)
    x, y = state.x + room * math.cos(angle), state.y + room * math.sin(angle)
    if any(passes(thing, state, x, y) < reach for thing in avoid):
        return False
    return plan.is_walk_clear(state.x, state.y, x, y)


def passes(thing: Sighting, state: DoomState, x: float, y: float) -> float:
    """How near the straight way from the player to (x, y) comes to a thing, in map units; what lies behind is far."""
    dx, dy = x - state.x, y - state.y
    length2 = max(1.0, dx * dx + dy * dy)
    share = ((thing.x - state.x) * dx + (thing.y - state.y) * dy) / length2
    if share <= 0.0:
        return math.inf
    share = min(1.0, share)
    return math.hypot(thing.x - state.x - share * dx, thing.y - state.y - share * dy)
