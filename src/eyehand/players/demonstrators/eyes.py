"""Delayed perception for experts: the privileged state's objects as a person would have seen them.

An object is noticed `delay_ticks` after it came into the picture, its velocity is estimated from earlier sightings and
extrapolated to now, and it is remembered for `memory_ticks` after it was last in the picture. The player's own pose is
known without delay. Knows nothing about tasks.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from eyehand.clock import FPS
from eyehand.games.doom.controls import TICS_PER_SECOND
from eyehand.games.doom.objects import DoomObject
from eyehand.games.doom.state import DoomState

__all__ = ["RADII", "TICS_PER_TICK", "Eyes", "Sighting", "bearing_deg", "wrap_deg"]

TICS_PER_TICK = TICS_PER_SECOND / FPS
"""Doom's tics per tick of a session, on average."""

RADII: dict[str, float] = {
    "Cacodemon": 31.0,
    "Demon": 30.0,
    "Spectre": 30.0,
    "HellKnight": 24.0,
    "BaronOfHell": 24.0,
    "DoomPlayer": 16.0,
    "MarineChainsawVzd": 16.0,
    "LostSoul": 16.0,
}
"""Half the width in map units of what a shot can hit; 20 for what is not listed."""


def wrap_deg(angle_deg: float) -> float:
    """The same angle in [-180, 180)."""
    return (angle_deg + 180.0) % 360.0 - 180.0


def bearing_deg(state: DoomState, x: float, y: float) -> float:
    """The turn in degrees that faces (x, y), positive to the right, in [-180, 180)."""
    return wrap_deg(state.angle_deg - math.degrees(math.atan2(y - state.y, x - state.x)))


@dataclass(frozen=True, slots=True)
class Sighting:
    """The estimated present state of an object that was seen.

    Attributes:
        id, name: as in `DoomObject`.
        x, y, z: estimated position; vx, vy: velocity in units per tic.
        bearing_deg: turn that faces it, positive to the right.
        drift_deg: growth of `bearing_deg` in the coming tick if the player keeps its view and velocity.
        distance: horizontal, in map units.
        aim_deg: turn that faces the middle of its visible part; walls may hide the rest.
        half_width_deg: half the angle of that part that can be hit.
        unseen_ticks: ticks since it left the picture; 0: in view.
        age_ticks: ticks since it was first seen.
    """

    id: int
    name: str
    x: float
    y: float
    z: float
    vx: float
    vy: float
    bearing_deg: float
    drift_deg: float
    distance: float
    aim_deg: float
    half_width_deg: float
    unseen_ticks: int
    age_ticks: int

    @property
    def is_in_view(self) -> bool:
        return self.unseen_ticks == 0


class Eyes:
    """A model of human perception: tracks the objects that were visible in the last seconds.

    Args:
        delay_ticks: reaction time.
        memory_ticks: how long an object out of view is remembered; below a policy's history (3.2 s).
        motion_ticks: velocity is estimated from two pictures this far apart. Monsters move in steps of several tics, so
            that a long time gives a better speed, and a short one follows turns.
    """

    def __init__(self, delay_ticks: int = 3, memory_ticks: int = 56, motion_ticks: int = 4) -> None:
        self.delay_ticks = delay_ticks
        self.memory_ticks = memory_ticks
        self.motion_ticks = motion_ticks
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._pending: deque[DoomState] = deque()
        self._tracks: dict[int, deque[_Glimpse]] = {}
        self._first_seen: dict[int, int] = {}

    def look(self, state: DoomState) -> list[Sighting]:
        """Take in the newest state; returns the sightings by ascending id."""
        self._pending.append(state)
        seen_tick = state.tick - self.delay_ticks
        while self._pending and self._pending[0].tick <= seen_tick:
            self._notice(self._pending.popleft())
        sightings = [self._believe(state, thing_id, track) for thing_id, track in sorted(self._tracks.items())]
        return [sighting for sighting in sightings if sighting.unseen_ticks <= self.memory_ticks]

    def _notice(self, seen: DoomState) -> None:
        """Track the objects visible in this picture; forget those that no longer exist."""
        present = {thing.id: thing for thing in seen.objects}
        for gone in self._tracks.keys() - present.keys():
            del self._tracks[gone], self._first_seen[gone]
        for thing in seen.objects:
            if thing.is_visible:
                track = self._tracks.setdefault(thing.id, deque(maxlen=self.motion_ticks + 1))
                if track and (seen.tick - track[-1].tick > self.motion_ticks or track[-1].name != thing.name):
                    track.clear()
                track.append(_glimpse(seen, thing))
                self._first_seen.setdefault(thing.id, seen.tick)

    def _believe(self, state: DoomState, thing_id: int, track: deque[_Glimpse]) -> Sighting:
        seen = track[-1]
        vx, vy = _speed(track)
        # An object out of view is expected where it was last seen.
        carried_tics = self.delay_ticks * TICS_PER_TICK
        x, y = seen.x + vx * carried_tics, seen.y + vy * carried_tics
        distance = max(1.0, math.hypot(x - state.x, y - state.y))
        bearing = bearing_deg(state, x, y)
        next_x = x + (vx - state.vx) * TICS_PER_TICK
        next_y = y + (vy - state.vy) * TICS_PER_TICK
        drift = wrap_deg(bearing_deg(state, next_x, next_y) - bearing)
        return Sighting(
            id=thing_id,
            name=seen.name,
            x=x,
            y=y,
            z=seen.z,
            vx=vx,
            vy=vy,
            bearing_deg=bearing,
            drift_deg=max(-6.0, min(6.0, drift)) if distance > 48 else 0.0,
            distance=distance,
            aim_deg=wrap_deg(bearing + math.degrees(math.atan2(seen.middle, distance))),
            half_width_deg=math.degrees(math.atan2(seen.half_width, distance)),
            unseen_ticks=max(0, state.tick - self.delay_ticks - seen.tick),
            age_ticks=state.tick - self._first_seen[thing_id],
        )


@dataclass(frozen=True, slots=True)
class _Glimpse:
    """An object in one picture; `middle` is how far right of its centre the middle of its visible part was."""

    tick: int
    name: str
    x: float
    y: float
    z: float
    vx: float
    vy: float
    middle: float
    half_width: float


def _glimpse(seen: DoomState, thing: DoomObject) -> _Glimpse:
    radius = RADII.get(thing.name, 20.0)
    middle, half_width = 0.0, radius
    if thing.box is not None:
        left, _, width, _ = thing.box
        distance = math.hypot(thing.x - seen.x, thing.y - seen.y)
        true = bearing_deg(seen, thing.x, thing.y)
        edges = [_across(seen, pixel, true, distance) for pixel in (left, left + width)]
        # A sprite may be wider than the body that can be hit.
        first, last = (min(max(edge, -radius), radius) for edge in edges)
        middle, half_width = (first + last) / 2, max((last - first) / 2, 0.15 * radius)
    return _Glimpse(seen.tick, thing.name, thing.x, thing.y, thing.z, thing.vx, thing.vy, middle, half_width)


def _across(state: DoomState, pixel: float, bearing: float, distance: float) -> float:
    """How far right of an object the ray through a column of the picture passes it, in map units."""
    half = state.screen_width / 2
    column_deg = math.degrees(math.atan((pixel - half) / half * math.tan(math.radians(state.fov_deg / 2))))
    off_deg = min(max(wrap_deg(column_deg - bearing), -80.0), 80.0)
    return distance * math.tan(math.radians(off_deg))


def _speed(track: deque[_Glimpse]) -> tuple[float, float]:
    """Velocity in units per tic. Monsters move in jumps, for which the engine gives none: compare two pictures."""
    first, last = track[0], track[-1]
    tics = (last.tick - first.tick) * TICS_PER_TICK
    if (last.vx, last.vy) != (0.0, 0.0) or tics <= 0:
        return last.vx, last.vy
    return (last.x - first.x) / tics, (last.y - first.y) / tics
