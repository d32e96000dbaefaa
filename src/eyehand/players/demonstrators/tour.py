"""One fixed tour of a level: a way past as much of the floor as possible, always the same.

The floor is cut into squares; the tour visits a comfortable spot in each. Which order is short is a travelling
salesman's question (an open way, with drops that lead in one direction only), answered by the nearest neighbour first
and improved by moving and reversing pieces until nothing helps. Nothing is drawn at random, so a level has one tour.
Knows nothing about the player; `FloorPlan` tells what is walkable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eyehand.players.demonstrators.geometry import CELL, FloorPlan

__all__ = ["Tour", "tour_of"]

_NO_WAY = 1e6
"""Cost of what cannot be walked: finite, so that sums can be compared."""
_LINK_REACH = 3.0
"""Ways are first looked for within so many squares; longer ones are put together from these."""


@dataclass(frozen=True, eq=False)
class Tour:
    """A way that ends in itself: after its last point it goes on at point `loop_start`.

    Attributes:
        points_N2: about one grid cell apart.
        headings_N: the direction of the way at every point in degrees (0 east, counter-clockwise).
        loop_start: where it goes on after its end.
    """

    points_N2: NDArray[np.float64]
    headings_N: NDArray[np.float64]
    loop_start: int

    def indices(self, first: int, count: int) -> NDArray[np.int64]:
        """The indices of `count` points from `first` on, round the loop where the tour ends; none before its start."""
        indices = np.arange(max(first, 0), first + count)
        length = len(self.points_N2)
        loop = max(1, length - self.loop_start)
        return np.where(indices < length, indices, self.loop_start + (indices - length) % loop)


@lru_cache(maxsize=8)
def tour_of(plan: FloorPlan, x: float, y: float, square: float = 192.0) -> Tour | None:
    """The tour that begins at a point; None if one cannot stand there.

    Args:
        plan: the level.
        x, y: where it begins.
        square: side of the squares to be visited.
    """
    start = plan.nearest_free(x, y)
    if start is None:
        return None
    spots = _spots(plan, start, square)
    costs = _costs_between(plan, spots, _LINK_REACH * square)
    order = _improved(_nearest_neighbour(costs), costs)
    points = _rounded(plan, _walk(plan, spots, costs, order, square))
    headings = _headings(points)
    end, loop_start = _join(plan, points, headings, square)
    return Tour(points[:end], headings[:end], loop_start)


def _spots(plan: FloorPlan, start: int, square: float) -> NDArray[np.int64]:
    """One cell for each square that can be walked to and back from: the start, then the roomiest of each square."""
    there = plan.spread(start, leaving=True)
    back = plan.spread(start, leaving=False)
    cells = np.flatnonzero(np.isfinite(there) & np.isfinite(back) & (plan.clearance_HW.ravel() >= 3))
    points = plan.points(cells)
    squares = np.floor(points / square)
    off_centre = np.hypot(*(points - (squares + 0.5) * square).T)
    # Sorted by square, then the roomiest, then the most central: the first of each square is its spot.
    order = np.lexsort((off_centre, -plan.clearance_HW.ravel()[cells], squares[:, 1], squares[:, 0]))
    _, first = np.unique(squares[order], axis=0, return_index=True)
    return np.concatenate([[start], cells[order][first]])


def _costs_between(plan: FloorPlan, spots: NDArray[np.int64], reach: float) -> NDArray[np.float64]:
    """Walking cost from every spot to every other, shape (N, N)."""
    costs = np.stack([plan.spread(int(spot), leaving=True, limit=reach)[spots] for spot in spots]).astype(np.float64)
    costs[~np.isfinite(costs)] = _NO_WAY
    np.fill_diagonal(costs, 0.0)
    for via in range(len(spots)):
        np.minimum(costs, costs[:, via, None] + costs[None, via], out=costs)
    return costs


def _nearest_neighbour(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Always on to the nearest spot that is left."""
    left = np.ones(len(costs), dtype=bool)
    order = [0]
    left[0] = False
    while left.any():
        order.append(int(np.where(left, costs[order[-1]], np.inf).argmin()))
        left[order[-1]] = False
    return np.array(order)


def _improved(order: NDArray[np.int64], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Reverse and move pieces of the order for as long as that makes it shorter. The first stays first."""
    while True:
        for better in (_reversed_piece(order, costs), *(_moved_piece(order, costs, n) for n in (1, 2, 3, 6))):
            if better is not None:
                order = better
                break
        else:
            return order


def _length(order: NDArray[np.int64], costs: NDArray[np.float64]) -> float:
    return float(costs[order[:-1], order[1:]].sum())


def _reversed_piece(order: NDArray[np.int64], costs: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """The best reversal of order[i:j+1] (2-opt; ways may differ in length from ways back), None if none helps."""
    n = len(order)
    forward = np.concatenate([[0.0], np.cumsum(costs[order[:-1], order[1:]])])
    backward = np.concatenate([[0.0], np.cumsum(costs[order[1:], order[:-1]])])
    i, j = np.triu_indices(n, k=1)
    i, j = i[i > 0], j[i > 0]
    is_last = j == n - 1
    after = order[np.minimum(j + 1, n - 1)]
    old = costs[order[i - 1], order[i]] + forward[j] - forward[i] + np.where(is_last, 0, costs[order[j], after])
    new = costs[order[i - 1], order[j]] + backward[j] - backward[i] + np.where(is_last, 0, costs[order[i], after])
    best = int((new - old).argmin())
    if new[best] - old[best] > -1.0:
        return None
    better = order.copy()
    better[i[best] : j[best] + 1] = order[i[best] : j[best] + 1][::-1]
    return better


def _moved_piece(order: NDArray[np.int64], costs: NDArray[np.float64], length: int) -> NDArray[np.int64] | None:
    """The best move of `length` neighbours to another place (Or-opt), None if none helps."""
    n = len(order)
    if n < length + 3:
        return None
    first = np.arange(1, n - length)[:, None]
    last = first + length - 1
    place = np.arange(n)[None]  # The piece goes between order[place] and what follows it.
    is_outside = (place < first - 1) | (place > last)
    follower = order[np.minimum(place + 1, n - 1)]
    gap = np.where(place == n - 1, 0.0, costs[order[place], follower])
    removed = costs[order[first - 1], order[first]] + costs[order[last], order[last + 1]]
    removed = removed - costs[order[first - 1], order[last + 1]]
    added = costs[order[place], order[first]] + np.where(place == n - 1, 0.0, costs[order[last], follower]) - gap
    change = np.where(is_outside, added - removed, np.inf)
    row, to = np.unravel_index(int(change.argmin()), change.shape)
    if change[row, to] > -1.0:
        return None
    begin = int(first[row, 0])
    piece, rest = order[begin : begin + length], np.delete(order, np.s_[begin : begin + length])
    at = int(to) + 1 if to < begin else int(to) + 1 - length
    return np.concatenate([rest[:at], piece, rest[at:]])


def _walk(
    plan: FloorPlan, spots: NDArray[np.int64], costs: NDArray[np.float64], order: NDArray[np.int64], square: float
) -> NDArray[np.float64]:
    """The ways from spot to spot in one; squares that were crossed on the way already are left out."""
    squares = [tuple(s) for s in np.floor(plan.points(spots) / square).tolist()]
    seen = {squares[0]}
    pieces = [plan.points(spots[:1])]
    here = 0
    for spot in order[1:].tolist():
        if squares[spot] in seen:
            continue
        x, y = pieces[-1][-1].tolist()
        way = plan.field(int(spots[spot]), float(costs[here, spot]) + CELL).way(x, y)[1:]
        pieces.append(way)
        seen |= {tuple(s) for s in np.floor(way / square).tolist()}
        here = spot
    return np.concatenate(pieces)


def _rounded(plan: FloorPlan, points: NDArray[np.float64], rounds: int = 60) -> NDArray[np.float64]:
    """The way without the grid's corners: every point moves to the middle of its neighbours where there is room."""
    for _ in range(rounds):
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


def _join(
    plan: FloorPlan, points: NDArray[np.float64], headings: NDArray[np.float64], square: float
) -> tuple[int, int]:
    """Where to leave the way and where to go on, so that it closes to a long loop with few turns and little loss.

    What is walked twice in one direction must be walked with one intention, or nobody could learn it by looking; so
    the end of the way is rather cut off than that it repeats a stretch and then turns elsewhere.
    """
    last = len(points) - 1
    new_squares = np.zeros(len(points))
    _, first = np.unique(np.floor(points / square), axis=0, return_index=True)
    new_squares[first] = 1
    lost = new_squares.sum() - np.cumsum(new_squares)
    best, join = math.inf, (last + 1, last)
    for end in range(last, int(0.75 * last), -4):
        goal = np.arange(0, int(0.6 * last), 4)
        turn = np.abs((headings[goal] - headings[end] + 180) % 360 - 180)
        aside = points[goal] - points[end]
        bend = np.abs((np.degrees(np.arctan2(aside[:, 1], aside[:, 0])) - headings[end] + 180) % 360 - 180)
        price = np.hypot(*aside.T) + 2 * turn + bend + lost[end] * square / 4
        for candidate in np.argsort(price)[:4].tolist():
            if price[candidate] < best and plan.is_walk_clear(*points[end], *points[goal[candidate]]):
                best, join = float(price[candidate]), (end + 1, int(goal[candidate]))
    return join
