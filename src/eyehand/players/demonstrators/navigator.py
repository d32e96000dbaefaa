"""Path following: `Navigator` turns a goal or a way into a turn of the view and keys to hold.

It walks towards the farthest point a little ahead that a straight walk reaches, opens doors, calls and rides lifts, and
frees itself where it is stuck. Its output depends on the player's pose and on the last two seconds (positions, pushes),
as executed and not as requested, so that it can also label the play of another player. `motor.py` makes Actions of it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.games.doom.floor_plan import CELL, HEADROOM, STEP_UP, DistanceField, FloorPlan, floor_plan, obstacles_of
from eyehand.games.doom.state import DoomState
from eyehand.players.demonstrators.eyes import bearing_deg, wrap_deg

__all__ = ["Gait", "Navigator", "Steering"]

_USE_REACH = 44.0
"""Doors and lifts are pushed when a body that walked on so far would touch them: the engine allows 64 units."""
_WAIT_REACH = 28.0
"""Nearer than this to touching what is still closed or up, nobody walks on."""
_PUSH_AGAIN_TICKS = 20
_STUCK_TICKS = 12
_STUCK_DISTANCE = 12.0
_RECOVERY_TICKS = 10
_PATIENCE_TICKS = 200
"""Who has waited so long for a door or a lift walks on for a moment."""


@dataclass(frozen=True)
class Gait:
    """Parameters of walking.

    Attributes:
        look_ahead: farthest point of the way to aim at, in map units.
        max_cut: largest distance between a straight walk and the way, in map units.
        start_deg, stop_deg: W is pressed when the turn is below the one, and released when it is above the other.
        run_distance: LeftShift is held too where the next target is farther than this (infinite: never runs).
        foresight_tics: the way starts at the position extrapolated by this time.
        countersteer: share of the sideways drift that is steered against.
    """

    look_ahead: float = 256.0
    max_cut: float = math.inf
    start_deg: float = 40.0
    stop_deg: float = 65.0
    run_distance: float = 150.0
    foresight_tics: float = 5.0
    countersteer: float = 0.15


@dataclass(frozen=True, slots=True)
class Steering:
    """The navigator's output for a tick: remaining turn in degrees (positive to the right), and keys to hold."""

    turn_deg: float
    keys: frozenset[str]


class Navigator:
    """Walks over a level. Call `reset` at the start of an episode, and `go_to` or `follow` at every tick."""

    def __init__(self, gait: Gait | None = None, plan: FloorPlan | None = None) -> None:
        self.gait = gait or Gait()
        self._given_plan = plan
        self.reset()

    def reset(self) -> None:
        """Forget the last episode and its level."""
        self._plan = self._given_plan
        self._spots: deque[tuple[float, float, bool]] = deque(maxlen=_STUCK_TICKS)
        self._pushed_tick = -_PUSH_AGAIN_TICKS
        self._heights: tuple[tuple[float, float], ...] = ()
        self._was_pushing = False
        self._waited_ticks = 0
        self._recovery: tuple[int, frozenset[str]] | None = None

    def plan(self, state: DoomState) -> FloorPlan:
        """The level's grid, made at the first tick of an episode."""
        if self._plan is None:
            self._plan = floor_plan(state.sectors, obstacles_of(state.objects))
        return self._plan

    def go_to(self, state: DoomState, executed: Action, x: float, y: float) -> Steering:
        """Walk the shortest way to a point."""
        plan = self.plan(state)
        goal = plan.nearest_free(x, y)
        if goal is None:
            return self.follow(state, executed, np.zeros((0, 2)))
        return self.descend(state, executed, plan.field(goal))

    def descend(self, state: DoomState, executed: Action, field: DistanceField) -> Steering:
        """Walk the shortest way to the goal of a field."""
        soon = self._soon(state)
        return self.follow(state, executed, field.way(soon.x, soon.y, int(self.gait.look_ahead / CELL) + 4))

    def push(self, state: DoomState, executed: Action, x: float, y: float) -> Steering:
        """Face a switch in reach and push it, again and again."""
        self._note(state, executed)
        turn_deg = bearing_deg(state, x, y)
        since_ticks = state.tick - self._pushed_tick
        must_push = since_ticks <= 2 or (abs(turn_deg) < 15.0 and since_ticks > _PUSH_AGAIN_TICKS)
        return Steering(turn_deg, frozenset({"Space"} if must_push else ()))

    def follow(self, state: DoomState, executed: Action, way_N2: NDArray[np.float64]) -> Steering:
        """Walk along points, the first of which is near the player and the last of which is the goal."""
        self._note(state, executed)
        soon = self._soon(state)
        target = self._target(soon, way_N2)
        if target is None:
            return Steering(0.0, frozenset())  # at the end of the way, or there is none
        turn_deg = self._turn(soon, *target)
        must_push, must_wait = self._meet_what_moves(state, *target)
        self._waited_ticks = self._waited_ticks + 1 if must_wait else 0
        if must_wait and self._waited_ticks % _PATIENCE_TICKS < _PATIENCE_TICKS - _RECOVERY_TICKS:
            self._spots.clear()
            return Steering(turn_deg, frozenset({"Space"} if must_push else ()))
        if not must_push and (recovery_keys := self._free_oneself(state)):
            return Steering(turn_deg, recovery_keys)
        keys = set()
        if abs(turn_deg) < (self.gait.stop_deg if "w" in executed.keys else self.gait.start_deg):
            keys.add("w")
            if self._may_run(state, turn_deg, target, "LeftShift" in executed.keys):
                keys.add("LeftShift")
        if must_push:
            keys.add("Space")
        return Steering(turn_deg, frozenset(keys))

    def _note(self, state: DoomState, executed: Action) -> None:
        """Remember where the player was, and when it pushed."""
        self._spots.append((state.x, state.y, "w" in executed.keys))
        is_pushing = not executed.keys.isdisjoint({"Space", "e"})
        if is_pushing and not self._was_pushing:
            self._pushed_tick = state.tick
        self._was_pushing = is_pushing

    def _target(self, state: DoomState, way_N2: NDArray[np.float64]) -> tuple[float, float] | None:
        """The farthest point of the way within `look_ahead` that a straight walk reaches."""
        if not len(way_N2):
            return None
        plan = self.plan(state)
        steps = np.hypot(*np.diff(way_N2, axis=0, prepend=[[state.x, state.y]]).T)
        ahead_N2 = way_N2[np.cumsum(steps) <= self.gait.look_ahead + steps[0]]
        if math.hypot(ahead_N2[-1, 0] - state.x, ahead_N2[-1, 1] - state.y) < CELL and len(ahead_N2) == len(way_N2):
            return None
        ahead_N2 = ahead_N2[: self._num_straight(state, ahead_N2)]
        for clearance in (3, 2, 1):
            # Bisection would miss a point behind a corner that comes into view again: look at every third cell.
            for x, y in ahead_N2[::-3].tolist():
                if math.hypot(x - state.x, y - state.y) < 3 * CELL:
                    break
                if plan.is_walk_clear(state.x, state.y, x, y, clearance):
                    return x, y
        x, y = ahead_N2[min(3, len(ahead_N2) - 1)].tolist()
        return x, y

    def _num_straight(self, state: DoomState, ahead_N2: NDArray[np.float64]) -> int:
        """Number of these points that a straight walk reaches without leaving the way by more than `max_cut`."""
        if math.isinf(self.gait.max_cut):
            return len(ahead_N2)
        offsets_N2 = ahead_N2 - (state.x, state.y)
        lengths_N = np.maximum(np.hypot(*offsets_N2.T), 1e-6)
        units_N2 = offsets_N2 / lengths_N[:, None]
        along_NN = units_N2 @ offsets_N2.T
        across_NN = np.abs(units_N2[:, 0, None] * offsets_N2[:, 1] - units_N2[:, 1, None] * offsets_N2[:, 0])
        beyond_NN = np.maximum(along_NN - lengths_N[:, None], -along_NN)
        # Row n: how far the points up to n lie from the straight line to point n (points before the player's own
        # position count from there on).
        off_NN = np.tril(np.maximum(across_NN, beyond_NN))
        is_straight = off_NN.max(axis=1) <= self.gait.max_cut + min(lengths_N)
        return int(np.flatnonzero(is_straight)[-1]) + 1 if is_straight.any() else min(4, len(ahead_N2))

    def _turn(self, state: DoomState, x: float, y: float) -> float:
        """Degrees to turn towards a point, with countersteering against drift."""
        dx, dy = x - state.x, y - state.y
        length = max(1.0, math.hypot(dx, dy))
        across = (-dy * state.vx + dx * state.vy) / length
        lean_deg = math.degrees(math.atan2(across * self.gait.countersteer, 8.0))
        return wrap_deg(bearing_deg(state, x, y) + lean_deg)

    def _may_run(self, state: DoomState, turn_deg: float, target: tuple[float, float], is_running: bool) -> bool:
        """Whether to run: on straight stretches, with hysteresis."""
        slack = 1.0 if is_running else 1.3
        distance = math.hypot(target[0] - state.x, target[1] - state.y)
        return distance > self.gait.run_distance * slack and abs(turn_deg) * slack < 26.0

    def _soon(self, state: DoomState) -> DoomState:
        """The state with the player's position extrapolated by `foresight_tics`, if nothing is in the way."""
        x, y = state.x + state.vx * self.gait.foresight_tics, state.y + state.vy * self.gait.foresight_tics
        if not self.plan(state).is_walk_clear(state.x, state.y, x, y):
            return state
        return replace(state, x=x, y=y)

    def _meet_what_moves(self, state: DoomState, x: float, y: float) -> tuple[bool, bool]:
        """Whether to push Space, and whether to stand still: a door on the way is closed, or a lift is not here."""
        before, self._heights = self._heights or state.heights, state.heights
        is_faced = abs(bearing_deg(state, x, y)) < 30.0
        plan, level = self.plan(state), state.z
        ahead = plan.bodies_ahead(state.x, state.y, x, y, _USE_REACH)
        lowered = [n for n in ahead[0][1] & plan.lifts if state.heights[n][0] < state.sectors[n].floor_height]
        for distance, sectors in ahead:
            floor = max(state.heights[n][0] for n in sectors)
            if distance > 0.0 and lowered and floor > level + STEP_UP:
                return False, True  # on a lift that is down
            movers = [n for n in sectors if distance > 0.0 and self._is_in_the_way(state, n, level)]
            if movers:
                rests = all(state.heights[n][0] == before[n][0] and state.heights[n][1] <= before[n][1] for n in movers)
                since_ticks = state.tick - self._pushed_tick
                # A push lasts three ticks, as a person's does. Another push would close a door that is opening.
                must_push = since_ticks <= 2 or (rests and since_ticks > _PUSH_AGAIN_TICKS)
                return must_push and is_faced, is_faced and distance < _WAIT_REACH
            level = max(level, floor) if distance == 0.0 else floor
        return False, False

    def _is_in_the_way(self, state: DoomState, sector: int, level: float) -> bool:
        """Whether a sector bars the way to somebody who comes at this height, and would not if it were open or down."""
        (floor, ceiling), (open_floor, open_ceiling) = state.heights[sector], self.plan(state).open_heights[sector]
        is_high = floor > level + STEP_UP and open_floor < floor
        return is_high or (ceiling - max(floor, level) < HEADROOM and ceiling < open_ceiling)

    def _free_oneself(self, state: DoomState) -> frozenset[str]:
        """Keys that free a player whom W has not moved for a while; none if it has."""
        if self._recovery is not None:
            until_tick, keys = self._recovery
            if state.tick < until_tick:
                return keys
            self._recovery = None
            self._spots.clear()
        if len(self._spots) < _STUCK_TICKS or not all(spot[2] for spot in self._spots):
            return frozenset()
        if state.tick - self._pushed_tick <= _PUSH_AGAIN_TICKS:
            return frozenset()
        x, y, _ = self._spots[0]
        if math.hypot(state.x - x, state.y - y) > _STUCK_DISTANCE:
            return frozenset()
        self._recovery = state.tick + _RECOVERY_TICKS, frozenset({"s", self._freer_side(state)})
        return self._recovery[1]

    def _freer_side(self, state: DoomState) -> str:
        """`a` or `d`: the side on which a body has more room."""
        plan, angle = self.plan(state), math.radians(state.angle_deg)
        room = {}
        for key, side in (("a", angle + math.pi / 2), ("d", angle - math.pi / 2)):
            reach = [n for n in range(1, 9) if self._is_free(plan, state, side, n * CELL)]
            room[key] = len(reach)
        return "a" if room["a"] >= room["d"] else "d"

    @staticmethod
    def _is_free(plan: FloorPlan, state: DoomState, angle: float, distance: float) -> bool:
        cell = plan.cell(state.x + distance * math.cos(angle), state.y + distance * math.sin(angle))
        return bool(plan.is_free_HW.ravel()[cell])
