"""A one-way route through a level, from a few places on it: the shortest ways between them, with the corners rounded.

A route that never passes one place in two directions can be learnt from pictures alone: the place tells where to go.
Knows nothing about the player; `FloorPlan` tells what is walkable.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eyehand.games.doom.floor_plan import FloorPlan

__all__ = ["Route", "route_through"]

_ROUNDS = 60
"""How often corners are rounded: the more, the wider the bends."""


@dataclass(frozen=True, eq=False)
class Route:
    """A way with a loop: after its last point it goes on at point `loop_start`.

    Attributes:
        points_N2: about one grid cell apart.
        headings_N: the direction of the way at every point in degrees (0 east, counter-clockwise).
        loop_start: index of the point after the last one.
    """

    points_N2: NDArray[np.float64]
    headings_N: NDArray[np.float64]
    loop_start: int

    def indices(self, first: int, count: int) -> NDArray[np.int64]:
        """The indices of `count` points from `first` on, round the loop where the route ends; none before its start."""
        indices = np.arange(max(first, 0), first + count)
        length = len(self.points_N2)
        loop = max(1, length - self.loop_start)
        return np.where(indices < length, indices, self.loop_start + (indices - length) % loop)


@lru_cache(maxsize=8)
def route_through(plan: FloorPlan, places: Sequence[tuple[float, float]], loop_from: int) -> Route | None:
    """The route that begins at the first place, passes the others in order and goes on at `places[loop_from]`.

    Args:
        plan: the level.
        places: at least two, a tuple (results are kept); each is moved to the nearest point where one can stand.
        loop_from: index of the place to which the route returns from its last one.

    Returns:
        The route; None if one cannot walk it on this level.
    """
    cells = [plan.nearest_free(x, y) for x, y in (*places, places[loop_from])]
    pieces: list[NDArray[np.float64]] = []
    loop_start = 0
    for index, (here, there) in enumerate(itertools.pairwise(cells)):
        if here is None or there is None:
            return None
        way = plan.field(there).way(*plan.point(here))
        if not len(way):
            return None
        if index == loop_from:
            loop_start = sum(map(len, pieces))
        pieces.append(way[:-1])
    way = np.concatenate(pieces)
    # The end is rounded as a corner too, by what follows it.
    points = _rounded(plan, np.concatenate([way, way[loop_start : loop_start + _ROUNDS]]))[: len(way)]
    return Route(points, _headings(points), loop_start)


def _rounded(plan: FloorPlan, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way without the grid's corners: every point moves to the middle of its neighbours where there is room."""
    for _ in range(_ROUNDS):
        middle = points.copy()
        middle[1:-1] = (points[:-2] + points[1:-1] + points[2:]) / 3
        has_room = plan.clearance_at(middle) >= np.minimum(plan.clearance_at(points), 3)
        points = np.where(has_room[:, None], middle, points)
    return points


def _headings(points: NDArray[np.float64], span: int = 4) -> NDArray[np.float64]:
    """Direction of the way in degrees, from a few points before to a few points after."""
    indices = np.arange(len(points))
    ahead = points[np.minimum(indices + span, len(points) - 1)] - points[np.maximum(indices - span, 0)]
    return np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0]))
