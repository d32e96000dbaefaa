"""The way through a level from its start to its exit, planned on the WAD's map: keys, doors, switches, lifts.

A `LevelRoute` is a row of legs, each with a place to reach: a key, a switch to push, a line to walk over, at last the
exit. The planner walks the shortest way over the level with every door open; where that passes one that is locked (by a
key, or opened from elsewhere), whatever opens it is a leg of its own before. It knows the doors, lifts and lowered
floors of Doom; levels whose way needs teleporters, rising floors or stairs have no route. Lengths are map units.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from eyehand.errors import UserError
from eyehand.games.doom.floor_plan import DistanceField, FloorPlan, Lift, Obstacle
from eyehand.games.doom.level import wad_path
from eyehand.games.doom.level_map import LevelMap, MapLine, MapThing, read_level
from eyehand.games.doom.wad import WadFile

__all__ = ["Leg", "LevelRoute", "level_route"]

_MANUAL_DOORS = frozenset((1, 31, 117, 118))
_KEYED_DOORS = {26: (5, 40), 32: (5, 40), 27: (6, 39), 34: (6, 39), 28: (13, 38), 33: (13, 38)}
"""Doors that a key opens, and the keys' editor numbers."""
_CROSSED = frozenset((2, 4, 86, 90, 105, 106, 108, 109, 19, 36, 38, 82, 83, 98, 52, 124))
"""What is set off by walking over the line. The rest of what is known is pushed."""
_OPENERS = frozenset((2, 4, 86, 90, 105, 106, 108, 109, 29, 61, 63, 103, 111, 112, 114, 115))
"""Doors that are opened from elsewhere."""
_LOWERS = frozenset((19, 36, 38, 82, 83, 98, 23, 45, 60, 70, 71, 102))
"""Floors that are lowered from elsewhere (to the lowest or the highest floor beside them)."""
_TO_HIGHEST = frozenset((19, 36, 83, 98, 45, 70, 71, 102))
_LIFT_SWITCHES = frozenset((21, 62, 122, 123))
_EXITS = (11, 52, 51, 124)
"""The usual ones, then the secret ones."""
_SOLID_RADII = {54: 32.0, 2035: 10.0, 2028: 16.0, 70: 16.0, 85: 16.0, 86: 16.0}
_SOLID_RADII |= dict.fromkeys((*range(25, 34), *range(35, 38), *range(41, 49), *range(55, 58)), 16.0)
"""Half widths of decorations that stand in the way, by editor number."""
_SKILL_FLAGS = (1, 1, 2, 4, 4)
_NOT_SINGLE = 16
_START = 1

_TOUCH = 34.0
"""A key is taken from nearer than this along both axes (the engine: 36)."""
_ARRIVAL = 20.0


@dataclass(frozen=True, eq=False)
class Leg:
    """A part of the way: to a key, a switch or a line.

    Attributes:
        x, y: the key, the middle of the switch, or the point behind the line.
        is_pushed: it is a switch: stand before it, face it and push.
        reach: it is reached from nearer than this along both axes.
        field: the ways to it, through the doors that are open by then; closed_sectors: those that are not.
        length: cost of the way from where the leg before ends.
    """

    x: float
    y: float
    is_pushed: bool
    reach: float
    field: DistanceField
    closed_sectors: frozenset[int]
    length: float

    def is_reached(self, x: float, y: float) -> bool:
        """Whether somebody at this point has reached the leg's end (and stands before the switch, if it is one)."""
        goal_x, goal_y = self.field.plan.point(self.field.goal) if self.is_pushed else (self.x, self.y)
        return max(abs(goal_x - x), abs(goal_y - y)) < self.reach


@dataclass(frozen=True, eq=False)
class LevelRoute:
    """The way through a level.

    Attributes:
        map: the level.
        plan: its walkable grid, with every door that can be opened.
        legs: the way, leg by leg; the last ends at the exit.
    """

    map: LevelMap
    plan: FloorPlan
    legs: tuple[Leg, ...]

    @property
    def length(self) -> float:
        """Cost of the whole way (its length, a little more near walls)."""
        return sum(leg.length for leg in self.legs)

    def after(self, leg: int, x: float, y: float) -> int:
        """The leg that somebody at this point is on who was on this one: the last is never left."""
        while leg < len(self.legs) - 1 and self.legs[leg].is_reached(x, y):
            leg += 1
        return leg

    def remaining(self, leg: int, x: float, y: float) -> float:
        """Cost of the rest of the way; infinite where no way leads on."""
        return self.legs[leg].field.cost(x, y) + sum(later.length for later in self.legs[leg + 1 :])


@lru_cache(maxsize=8)
def level_route(wad: str, level: str, skill: int = 3) -> LevelRoute:
    """The route through a level of the vizdoom package, or of a WAD by its path. Takes a second, once.

    Raises:
        UserError: the level cannot be read, or no way to its exit is found.
    """
    return _Planner(read_level(WadFile(wad_path(wad)), level), skill).route(level)


@dataclass(frozen=True)
class _Goal:
    """What a leg leads to."""

    x: float
    y: float
    cell: int
    is_pushed: bool = False
    reach: float = _ARRIVAL


class _Planner:
    """Plans the route of one level.

    Attributes:
        openers: what opens a locked sector, by the sector's number.
    """

    def __init__(self, level: LevelMap, skill: int) -> None:
        self.level = level
        self.things = [t for t in level.things if t.flags & _SKILL_FLAGS[skill - 1] and not t.flags & _NOT_SINGLE]
        doors = {line.back for line in level.lines if line.special in _MANUAL_DOORS | _KEYED_DOORS.keys()}
        self.openers: dict[int, list[MapLine | MapThing]] = {}
        sectors, lifts = list(level.sectors), []
        for number, sector in enumerate(sectors):
            by_tag = [line for line in level.lines if line.tag == level.tags[number] != 0]
            openers = [line for line in by_tag if line.special in _OPENERS]
            lowers = [line for line in by_tag if line.special in _LOWERS]
            calls = tuple(line.line for line in by_tag if line.special in _LIFT_SWITCHES)
            beside = [level.sectors[other].floor_height for other in _beside(level.lines, number)] if by_tag else []
            is_shut = sector.ceiling_height <= sector.floor_height
            if calls:
                lifts.append(Lift(number, min(beside, default=sector.floor_height), calls))
            if lowers:
                floor = (max if lowers[0].special in _TO_HIGHEST else min)(beside, default=sector.floor_height)
                if floor < sector.floor_height:
                    sectors[number] = replace(sector, floor_height=floor)
                    self.openers[number] = list(lowers)
            elif is_shut and number not in doors and openers:
                self.openers[number] = list(openers)
            elif is_shut and number not in doors:
                # It never opens; a floor plan would take it for a door.
                sectors[number] = replace(sector, ceiling_height=sector.floor_height + 1)
        for line in level.lines:
            if line.special in _KEYED_DOORS and line.back is not None:
                keys = [thing for thing in self.things if thing.number in _KEYED_DOORS[line.special]]
                self.openers[line.back] = list(keys)
        solids = [Obstacle(t.x, t.y, _SOLID_RADII[t.number]) for t in self.things if t.number in _SOLID_RADII]
        self.plan = FloorPlan(sectors, solids, lifts)
        self._opened: set[int] = set()
        self._legs: list[Leg] = []

    def route(self, name: str) -> LevelRoute:
        start = next((t for t in self.things if t.number == _START), None)
        if start is not None:
            self._x, self._y = start.x, start.y
            for special in _EXITS:
                exits = [line for line in self.level.lines if line.special == special]
                if exits and self._go(exits, frozenset()):
                    return LevelRoute(self.level, self.plan, tuple(self._legs))
        raise UserError(f"No way to the exit of {name} is found: play another level.")

    def _go(self, aims: Iterable[MapLine | MapThing], avoided: frozenset[int]) -> bool:
        """Add the legs to the nearest of these, and before them those to what opens the way; whether there is one.

        Args:
            avoided: locked sectors that this is to open, which therefore cannot be passed.
        """
        locked = frozenset(self.openers) - self._opened
        goals = [goal for aim in aims if (goal := self._goal(aim)) is not None]
        for closed in (locked, avoided):
            costs = [self.plan.field(goal.cell, closed_sectors=closed).cost(self._x, self._y) for goal in goals]
            if not costs or not math.isfinite(min(costs)):
                continue
            goal = goals[int(np.argmin(costs))]
            field = self.plan.field(goal.cell, closed_sectors=closed)
            if closed == locked:
                self._legs.append(Leg(goal.x, goal.y, goal.is_pushed, goal.reach, field, closed, min(costs)))
                self._x, self._y = self.plan.point(goal.cell)
                return True
            lock = next(lock for x, y in field.way(self._x, self._y) for lock in self.plan.touched(x, y) & locked)
            openers = self.openers[lock]
            if not self._go(openers, avoided | {lock}):
                return False
            self._open(openers)
            return self._go(aims, avoided)
        return False

    def _open(self, openers: Sequence[MapLine | MapThing]) -> None:
        """All sectors that have the same openers are open from now on."""
        self._opened |= {sector for sector, others in self.openers.items() if others == openers}

    def _goal(self, aim: MapLine | MapThing) -> _Goal | None:
        """Where to go for a key or a line; None: nobody can stand there."""
        if isinstance(aim, MapThing):
            cell = self.plan.nearest_free(aim.x, aim.y, _TOUCH)
            return None if cell is None else _Goal(aim.x, aim.y, cell, reach=_TOUCH)
        if aim.special not in _CROSSED:
            x, y = aim.beside(0.0)
            cell = self.plan.nearest_free(*aim.beside(28.0), 24.0)
            return None if cell is None else _Goal(x, y, cell, is_pushed=True)
        # A line works from both sides: the far one is behind it.
        sides = [(*point, self.plan.nearest_free(*point, 16.0)) for point in (aim.beside(24.0), aim.beside(-24.0))]
        there = [_Goal(x, y, cell) for x, y, cell in sides if cell is not None]
        return max(there, key=lambda g: self.plan.field(g.cell).cost(self._x, self._y), default=None)


def _beside(lines: Iterable[MapLine], sector: int) -> set[int]:
    """The numbers of the sectors that share a line with this one."""
    pairs = [{line.front, line.back} for line in lines if line.back is not None]
    return {number for pair in pairs if sector in pair for number in pair if number is not None} - {sector}
