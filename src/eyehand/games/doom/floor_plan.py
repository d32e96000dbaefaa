"""Path planning in Doom: a walkable grid made from the level's lines, shortest ways over it, and straight walks.

The grid follows the engine's own rule (a body is a square box 32 units wide that stands on the highest floor that it
touches, climbs at most 24 units, needs 56 units of headroom, may drop any depth). Closed doors count as passable,
because a player can open them. Everything is numpy over whole maps: a level takes well under a second,
and `floor_plan` keeps the last ones. Knows nothing about actions or ticks. Lengths are map units, as in `DoomState`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from eyehand.games.doom.objects import DoomLine, DoomObject, DoomSector

__all__ = ["CELL", "RADIUS", "DistanceField", "FloorPlan", "Lift", "Obstacle", "floor_plan", "obstacles_of"]

CELL = 8.0
"""Side of a grid cell."""
RADIUS = 16.0
"""Half the width of the player's box."""
STEP_UP = 24.0
_NOWHERE = -1e5
"""Height of what lies outside the level: finite, so that differences are numbers."""
HEADROOM = 56.0
_REACH = int(RADIUS // CELL)
_WALL_COST = (3.0, 1.2, 0.6, 0.3, 0.15)
"""Extra cost of a cell that is 1, 2, ... cells from the nearest obstruction: ways keep off walls where they can."""
_DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))

_SOLID_RADII = {
    "ExplosiveBarrel": 10.0,
    "BigTree": 32.0,
    **dict.fromkeys(("TorchTree", "Stalagtite", "Column", "TechPillar", "TechLamp", "TechLamp2"), 16.0),
    **dict.fromkeys(("FloatingSkull", "HeartColumn", "EvilEye", "BurningBarrel", "Candelabra"), 16.0),
    **dict.fromkeys(("TallGreenColumn", "ShortGreenColumn", "TallRedColumn", "ShortRedColumn", "SkullColumn"), 16.0),
    **dict.fromkeys(("BlueTorch", "GreenTorch", "RedTorch", "ShortBlueTorch", "ShortGreenTorch"), 16.0),
    **dict.fromkeys(("ShortRedTorch", "HeadOnAStick", "HeadsOnAStick", "HeadCandles", "DeadStick", "LiveStick"), 16.0),
}
"""Decorations that stand in the way (half widths from the engine's actor definitions)."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A solid, square object that never moves, in map units."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Lift:
    """A floor that comes down when it is called.

    Attributes:
        sector: its number.
        low: height of its floor when it is down.
        calls: lines at which it is called.
    """

    sector: int
    low: float
    calls: tuple[DoomLine, ...]


def obstacles_of(objects: Iterable[DoomObject]) -> tuple[Obstacle, ...]:
    """The decorations among `objects` that block the way."""
    solid = (o for o in objects if o.name in _SOLID_RADII)
    return tuple(sorted((Obstacle(o.x, o.y, _SOLID_RADII[o.name]) for o in solid), key=lambda o: (o.x, o.y)))


@lru_cache(maxsize=8)
def floor_plan(sectors: tuple[DoomSector, ...], obstacles: tuple[Obstacle, ...] = ()) -> FloorPlan:
    """The FloorPlan of a level, built once for equal arguments."""
    return FloorPlan(sectors, obstacles)


class FloorPlan:
    """The walkable grid of a level. Row r and column c of a `_HW` array are the cell around `point(r * W + c)`.

    Attributes:
        stand_HW: height at which a body centred in the cell stands (the highest floor that it touches).
        is_free_HW: whether a body fits there (a closed door counts as open).
        sector_HW: number of the sector that the cell's middle lies in, -1 outside.
        open_heights: floor and ceiling of every sector when its lift is down and its door is open.
        lifts: numbers of the sectors that are lifts.
        clearance_HW: cells to the nearest place where a body does not fit or would fall or bump, at most
            `len(_WALL_COST)` + 1.
    """

    def __init__(
        self, sectors: Sequence[DoomSector], obstacles: Sequence[Obstacle] = (), lifts: Sequence[Lift] = ()
    ) -> None:
        """Rasterise the level.

        Args:
            lifts: one walks onto them where they can be called, as far as their low floor allows, and rides up.

        Raises:
            ValueError: there are no sectors.
        """
        if not sectors:
            raise ValueError("a floor plan needs the level's sectors")
        corners = np.array([(x, y) for s in sectors for li in s.lines for x, y in ((li.x1, li.y1), (li.x2, li.y2))])
        low = np.floor(corners.min(axis=0) / CELL) - _REACH - 1
        self._x0, self._y0 = (low * CELL).tolist()
        size = np.ceil(corners.max(axis=0) / CELL) - low + _REACH + 1
        self.width, self.height = int(size[0]), int(size[1])
        floor_HW, ceiling_HW, self.sector_HW = self._rasterise(sectors)
        self.stand_HW = _window_max(np.where(np.isfinite(floor_HW), floor_HW, np.float32(_NOWHERE)))
        self._ceiling_HW = -_window_max(-ceiling_HW)
        headroom_HW = self._ceiling_HW - self.stand_HW
        is_inside_HW = np.isfinite(floor_HW)
        self.is_free_HW = is_inside_HW & (headroom_HW >= HEADROOM) & ~self._solids(obstacles)
        walls = {_ends(line): line for sector in sectors for line in sector.lines if line.is_blocking}
        self.is_free_HW &= ~self._touched(walls.values(), RADIUS)
        self.lifts = frozenset(lift.sector for lift in lifts)
        lows = {lift.sector: lift.low for lift in lifts}
        self.open_heights = [
            (lows.get(n, s.floor_height), math.inf if _is_door(s) else s.ceiling_height) for n, s in enumerate(sectors)
        ]
        # Who only touches a lift stands on the floor beside it; whose middle is on it can ride up.
        for lift in lifts:
            floor_HW[self.sector_HW == lift.sector] = lift.low
        self._low_HW = _window_max(np.where(np.isfinite(floor_HW), floor_HW, np.float32(_NOWHERE)))
        is_lift_HW = np.isin(self.sector_HW, list(self.lifts))
        self.stand_HW = np.where(is_lift_HW, self.stand_HW, self._low_HW)
        called_HW = self._touched((line for lift in lifts for line in lift.calls), RADIUS + 2 * CELL)
        self._is_called_HW = called_HW & is_lift_HW
        self.clearance_HW = self._clearance()

    # ---- cells and points -------------------------------------------------------------------------------------

    def cell(self, x: float, y: float) -> int:
        """The cell around a point; points outside the map belong to the nearest border cell."""
        column = min(max(int((x - self._x0) // CELL), 0), self.width - 1)
        row = min(max(int((y - self._y0) // CELL), 0), self.height - 1)
        return row * self.width + column

    def point(self, cell: int) -> tuple[float, float]:
        """The centre of a cell."""
        row, column = divmod(int(cell), self.width)
        return self._x0 + (column + 0.5) * CELL, self._y0 + (row + 0.5) * CELL

    def points(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """The centres of N cells, shape (N, 2)."""
        rows, columns = np.divmod(cells, self.width)
        return np.stack([self._x0 + (columns + 0.5) * CELL, self._y0 + (rows + 0.5) * CELL], axis=-1)

    def clearance_at(self, points_N2: NDArray[np.float64]) -> NDArray[np.int8]:
        """`clearance_HW` at points, 0 outside the map."""
        columns, rows = np.floor((points_N2 - (self._x0, self._y0)) / CELL).astype(np.int64).T
        is_inside = (rows >= 0) & (columns >= 0) & (rows < self.height) & (columns < self.width)
        clearance = self.clearance_HW[rows.clip(0, self.height - 1), columns.clip(0, self.width - 1)]
        return np.where(is_inside, clearance, 0).astype(np.int8)

    def nearest_free(self, x: float, y: float, reach: float = 96.0) -> int | None:
        """The free cell nearest to a point, None if there is none within `reach`."""
        row, column = divmod(self.cell(x, y), self.width)
        n = int(reach // CELL)
        top, left = max(row - n, 0), max(column - n, 0)
        rows, columns = np.nonzero(self.is_free_HW[top : row + n + 1, left : column + n + 1])
        if not len(rows):
            return None
        cells = (rows + top) * self.width + columns + left
        distances = np.hypot(*(self.points(cells) - (x, y)).T)
        best = int(distances.argmin())
        return int(cells[best]) if distances[best] <= reach else None

    def touched(self, x: float, y: float) -> frozenset[int]:
        """The numbers of the sectors that a body at a point touches."""
        row, column = divmod(self.cell(x, y), self.width)
        around = self.sector_HW[max(0, row - _REACH) : row + _REACH + 1, max(0, column - _REACH) : column + _REACH + 1]
        return frozenset(around[around >= 0].tolist())

    # ---- walking ----------------------------------------------------------------------------------------------

    def is_walk_clear(self, x1: float, y1: float, x2: float, y2: float, clearance: int = 1) -> bool:
        """Whether one can walk straight from one point to the other, keeping `clearance` cells off obstructions."""
        count = max(2, math.ceil(math.hypot(x2 - x1, y2 - y1) / (CELL / 2)) + 1)
        columns = ((np.linspace(x1, x2, count) - self._x0) // CELL).astype(np.int64)
        rows = ((np.linspace(y1, y2, count) - self._y0) // CELL).astype(np.int64)
        if rows.min() < 0 or columns.min() < 0 or rows.max() >= self.height or columns.max() >= self.width:
            return False
        # Where the body is now does not have to be comfortable, only where it goes.
        if not (self.clearance_HW[rows, columns][1:] >= clearance).all():
            return False
        stand = self.stand_HW[rows, columns]
        is_called = self._is_called_HW[rows, columns][1:] & (np.diff(self._low_HW[rows, columns]) <= STEP_UP)
        return bool((is_called | (np.diff(stand) <= STEP_UP)).all())

    def bodies_ahead(
        self, x1: float, y1: float, x2: float, y2: float, reach: float
    ) -> list[tuple[float, frozenset[int]]]:
        """What a body touches on the straight line to a point, at most `reach` far: distances, numbers of sectors."""
        length = max(1.0, math.hypot(x2 - x1, y2 - y1))
        ways = np.arange(0.0, min(length, reach), CELL).tolist()
        return [(way, self.touched(x1 + (x2 - x1) * way / length, y1 + (y2 - y1) * way / length)) for way in ways]

    @lru_cache(maxsize=256)  # noqa: B019 - plans live as long as the process (see floor_plan)
    def field(self, goal: int, limit: float = math.inf, closed_sectors: frozenset[int] = frozenset()) -> DistanceField:
        """Ways to a cell from everywhere that costs at most `limit`, touching no sector of `closed_sectors`."""
        return DistanceField(self, goal, limit, closed_sectors)

    def spread(
        self, cell: int, *, leaving: bool, limit: float = math.inf, closed_sectors: frozenset[int] = frozenset()
    ) -> NDArray[np.float32]:
        """Walking costs from a cell to all others (`leaving`) or from all others to it, shape (H * W,).

        A wave that re-visits whatever it improved (Bellman-Ford over the frontier). What costs more than `limit` is
        infinite, as is what cannot be reached.
        """
        is_closed_HW = np.isin(self.sector_HW, list(closed_sectors)).astype(np.float32)
        is_open_N = ~(_window_max(is_closed_HW) > 0).ravel()
        step_cost_N8 = self.leave_cost if leaving else self.enter_cost
        cost_N = np.full(self.height * self.width, np.inf, dtype=np.float32)
        cost_N[cell] = 0
        frontier = np.array([cell])
        while frontier.size:
            around = self.neighbours[frontier]
            through = cost_N[frontier][:, None] + step_cost_N8[frontier]
            is_better = (through < cost_N[around] - 1e-3) & (through <= limit) & is_open_N[around]
            reached = around[is_better]
            np.minimum.at(cost_N, reached, through[is_better])
            frontier = np.unique(reached)
        return cost_N

    @cached_property
    def neighbours(self) -> NDArray[np.int64]:
        """The cells around every cell (itself at the border of the map)."""
        rows, columns = np.divmod(np.arange(self.height * self.width), self.width)
        around = [
            (rows + dr).clip(0, self.height - 1) * self.width + (columns + dc).clip(0, self.width - 1)
            for dr, dc in _DIRECTIONS
        ]
        return np.stack(around, axis=1)

    @cached_property
    def leave_cost(self) -> NDArray[np.float32]:
        """Cost of walking from every cell to its neighbours; infinite where one cannot."""
        return self._costs(leaving=True)

    @cached_property
    def enter_cost(self) -> NDArray[np.float32]:
        """Cost of walking from the neighbours of every cell to it; infinite where one cannot."""
        return self._costs(leaving=False)

    def _costs(self, leaving: bool) -> NDArray[np.float32]:
        free, stand = self.is_free_HW.ravel(), self.stand_HW.ravel()
        ceiling = self._ceiling_HW.ravel()
        here, there = np.arange(free.size)[:, None], self.neighbours
        start, end = (here, there) if leaving else (there, here)
        climb = stand[end] - stand[start]
        low = self._low_HW.ravel()
        is_climbable = (climb <= STEP_UP) | (self._is_called_HW.ravel()[end] & (low[end] - low[start] <= STEP_UP))
        passable = free[end] & free[start] & is_climbable & (here != there)
        passable &= np.minimum(ceiling[end], ceiling[start]) - np.maximum(stand[end], stand[start]) >= HEADROOM
        # No cutting of corners: a diagonal step needs both cells beside it.
        for d in range(1, 8, 2):
            beside = free[self.neighbours[:, d - 1]] & free[self.neighbours[:, (d + 1) % 8]]
            passable[:, d] &= beside
        lengths = np.array([CELL * math.hypot(*d) for d in _DIRECTIONS], dtype=np.float32)
        extra = np.array([0.0, *_WALL_COST, 0.0], dtype=np.float32)[self.clearance_HW.ravel()]
        cost = lengths * (1 + extra[end])
        return np.where(passable, cost, np.float32(np.inf)).astype(np.float32)

    # ---- rasterising ------------------------------------------------------------------------------------------

    def _rasterise(
        self, sectors: Sequence[DoomSector]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int16]]:
        """Floor and ceiling at every cell centre (-inf and inf outside), and its sector."""
        floor_HW = np.full((self.height, self.width), -np.inf, dtype=np.float32)
        ceiling_HW = np.full((self.height, self.width), np.inf, dtype=np.float32)
        sector_HW = np.full((self.height, self.width), -1, dtype=np.int16)
        num_sectors = _sectors_per_line(sectors)
        for number, sector in enumerate(sectors):
            # A line inside one sector has that sector on both sides: it bounds nothing.
            bounds = [li for li in sector.lines if li.is_blocking or num_sectors[_ends(li)] > 1]
            inside_HW = self._inside(bounds)
            floor_HW[inside_HW] = sector.floor_height
            ceiling_HW[inside_HW] = np.inf if _is_door(sector) else sector.ceiling_height
            sector_HW[inside_HW] = number
        return floor_HW, ceiling_HW, sector_HW

    def _inside(self, lines: Sequence[DoomLine]) -> NDArray[np.bool_]:
        """Cells whose centre lies inside the closed outline (even-odd rule, one pass per line)."""
        flips_HW = np.zeros((self.height, self.width), dtype=bool)
        for line in lines:
            (xa, ya), (xb, yb) = sorted(((line.x1, line.y1), (line.x2, line.y2)), key=lambda p: p[1])
            first, last = (math.ceil((y - self._y0) / CELL - 0.5) for y in (ya, yb))
            if first >= last:
                continue
            rows = np.arange(first, last)
            x = xa + (self._y0 + (rows + 0.5) * CELL - ya) * (xb - xa) / (yb - ya)
            columns = np.ceil((x - self._x0) / CELL - 0.5).astype(np.int64)
            flips_HW[rows, columns] ^= True
        return np.logical_xor.accumulate(flips_HW, axis=1)

    def _touched(self, lines: Iterable[DoomLine], radius: float) -> NDArray[np.bool_]:
        """Cells in which a box so far to every side would cut one of these lines."""
        touched_HW = np.zeros((self.height, self.width), dtype=bool)
        for line in lines:
            rows, columns = self._cells_around(line.x1, line.y1, line.x2, line.y2, radius)
            x, y = self._x0 + (columns + 0.5) * CELL, self._y0 + (rows[:, None] + 0.5) * CELL
            dx, dy = line.x2 - line.x1, line.y2 - line.y1
            cross = np.abs(dx * (y - line.y1) - dy * (x - line.x1))
            touched_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] |= cross < radius * (abs(dx) + abs(dy))
        return touched_HW

    def _solids(self, obstacles: Sequence[Obstacle]) -> NDArray[np.bool_]:
        blocked_HW = np.zeros((self.height, self.width), dtype=bool)
        for o in obstacles:
            rows, columns = self._cells_around(o.x, o.y, o.x, o.y, RADIUS + o.radius)
            blocked_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        return blocked_HW

    def _cells_around(
        self, x1: float, y1: float, x2: float, y2: float, margin: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns whose centres are closer than `margin` to the bounding box."""

        def span(a: float, b: float, origin: float, count: int) -> NDArray[np.int64]:
            first = math.floor((min(a, b) - margin - origin) / CELL - 0.5) + 1
            last = math.ceil((max(a, b) + margin - origin) / CELL - 0.5) - 1
            return np.arange(max(first, 0), max(min(last, count - 1), first, 0) + 1)

        return span(y1, y2, self._y0, self.height), span(x1, x2, self._x0, self.width)

    def _clearance(self) -> NDArray[np.int8]:
        """Cells to the nearest obstruction; a ledge that one cannot climb back or would fall from counts as one."""
        padded = np.pad(self.stand_HW, 1, mode="edge")
        open_HW = self.is_free_HW.copy()
        for dr, dc in _DIRECTIONS[::2]:
            stand = padded[1 + dr : 1 + dr + self.height, 1 + dc : 1 + dc + self.width]
            open_HW &= ~(np.abs(stand - self.stand_HW) > STEP_UP)
        clearance_HW = self.is_free_HW.astype(np.int8)
        for _ in _WALL_COST:
            around = np.pad(open_HW, 1)
            for dr, dc in _DIRECTIONS:
                open_HW = open_HW & around[1 + dr : 1 + dr + self.height, 1 + dc : 1 + dc + self.width]
            clearance_HW += open_HW
        return clearance_HW


class DistanceField:
    """The cheapest ways from everywhere to one cell.

    Attributes:
        goal: the cell.
        cost_N: cost to the goal from every cell (its length, more near walls); infinite where there is no way or
            where it costs more than the limit.
    """

    def __init__(
        self, plan: FloorPlan, goal: int, limit: float = math.inf, closed_sectors: frozenset[int] = frozenset()
    ) -> None:
        self.plan = plan
        self.goal = goal
        self.cost_N = plan.spread(goal, leaving=False, limit=limit, closed_sectors=closed_sectors)

    def cost(self, x: float, y: float) -> float:
        """Cost to the goal from a point, or from the free cell next to it; infinite where there is no way."""
        cell = self._begin(x, y)
        return math.inf if cell is None else float(self.cost_N[cell])

    def way(self, x: float, y: float, max_cells: int | None = None) -> NDArray[np.float64]:
        """Points (N, 2) one cell apart on the way from a point to the goal; empty if there is none."""
        cell = self._begin(x, y)
        if cell is None:
            return np.zeros((0, 2))
        cells = [cell]
        while cells[-1] != self.goal and (max_cells is None or len(cells) < max_cells):
            around = self.plan.neighbours[cells[-1]]
            through = self.plan.leave_cost[cells[-1]] + self.cost_N[around]
            cells.append(int(around[through.argmin()]))
        return self.plan.points(np.array(cells))

    def _begin(self, x: float, y: float) -> int | None:
        """The cell from which a way from this point begins; None: there is none."""
        cell: int | None = self.plan.cell(x, y)
        if cell is not None and not np.isfinite(self.cost_N[cell]):
            cell = self.plan.nearest_free(x, y)
        return None if cell is None or not np.isfinite(self.cost_N[cell]) else cell


def _is_door(sector: DoomSector) -> bool:
    return sector.ceiling_height <= sector.floor_height


def _window_max(values_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maximum over the cells that a body touches."""
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(values_HW, [(_REACH, _REACH) if a == axis else (0, 0) for a in (0, 1)], constant_values=-np.inf),
            2 * _REACH + 1,
            axis=axis,
        )
        values_HW = windows.max(axis=-1)
    return values_HW


def _ends(line: DoomLine) -> tuple[tuple[float, float], tuple[float, float]]:
    """The same for a line and its reverse."""
    a, b = (line.x1, line.y1), (line.x2, line.y2)
    return (a, b) if a < b else (b, a)


def _sectors_per_line(
    sectors: Sequence[DoomSector],
) -> dict[tuple[tuple[float, float], tuple[float, float]], int]:
    counts: dict[tuple[tuple[float, float], tuple[float, float]], int] = {}
    for sector in sectors:
        for line in sector.lines:
            counts[_ends(line)] = counts.get(_ends(line), 0) + 1
    return counts
