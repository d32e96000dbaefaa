"""`MotorModel`: what a demonstrator wants becomes an Action at human speed, with human error.

The wrist speeds up gradually, brakes at once, never turns faster than `MotorLimits.max_turn_px` and shakes a little;
fingers hold a key or leave it alone for a moment before they change it again. How fast the wrist moves now is taken
from what was really executed, so that a demonstrator that was taken over goes on smoothly. Knows the scale of
the mouse (10 px to a degree of view) and nothing else about games.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from eyehand.action import Action

__all__ = ["PIXELS_PER_DEGREE", "MotorLimits", "MotorModel"]

PIXELS_PER_DEGREE = 10.0
"""Mouse motion in pixels that turns the view by one degree (see `games.doom`)."""


@dataclass(frozen=True)
class MotorLimits:
    """Limits of a person's motion in one tick.

    Attributes:
        max_turn_px: fastest motion; 140 px are 280 degrees a second, and the largest motion whose P2P bin
            (76, 144] is narrow enough for a policy to repeat it.
        max_speedup_px: by how much the motion may grow from one tick to the next. Slowing down is not limited.
        gain: share of the remaining angle that is turned in one tick: a movement ends in ever smaller corrections.
        relative_noise, noise_px: standard deviation of the motion, relative to it and at the least.
        min_hold_ticks: a key or button keeps its new state for at least so long.
    """

    max_turn_px: int = 140
    max_speedup_px: int = 45
    gain: float = 0.45
    relative_noise: float = 0.05
    noise_px: float = 0.4
    min_hold_ticks: int = 3


class MotorModel:
    """Turns wishes into Actions under `MotorLimits`."""

    def __init__(self, limits: MotorLimits | None = None) -> None:
        self.limits = limits or MotorLimits()
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Let go of everything; draw the tremor of the next episode from this seed."""
        self._rng = np.random.default_rng([seed, 0x48414E44])
        self._held: frozenset[str] = frozenset()
        self._age_ticks: dict[str, int] = {}

    def act(
        self,
        executed: Action,
        turn_deg: float = 0.0,
        drift_deg: float = 0.0,
        keys: Iterable[str] = (),
        fire: bool = False,
    ) -> Action:
        """One tick; call it at every tick, whether or not the Action will be executed.

        Args:
            executed: what was really done in the tick before.
            turn_deg: how far the view is still to be turned, positive to the right.
            drift_deg: by how much that angle will grow during this tick by itself (a target that moves).
            keys: keys to hold.
            fire: hold the left mouse button.
        """
        wanted = frozenset(keys) | ({"0 button"} if fire else frozenset())
        held = self._settle(wanted)
        return Action.of(
            (key for key in held if key != "0 button"),
            ("0",) if "0 button" in held else (),
            self.turn_px(executed.dx, turn_deg, drift_deg),
        )

    def turn_px(self, last_px: int, turn_deg: float, drift_deg: float = 0.0) -> int:
        """Mouse motion of this tick in pixels, given the motion of the last one."""
        limits = self.limits
        goal_px = (turn_deg * limits.gain + drift_deg) * PIXELS_PER_DEGREE
        if abs(goal_px) >= 0.5:
            goal_px += self._rng.normal(0.0, limits.noise_px + limits.relative_noise * abs(goal_px))
        right_px = max(0, last_px) + limits.max_speedup_px
        left_px = min(0, last_px) - limits.max_speedup_px
        return round(min(max(goal_px, left_px, -limits.max_turn_px), right_px, limits.max_turn_px))

    def _settle(self, wanted: frozenset[str]) -> frozenset[str]:
        """What is held now: a key that has just changed stays as it is for `min_hold_ticks`."""
        held = set(self._held)
        for name in sorted(wanted | self._held):
            age = self._age_ticks.get(name, self.limits.min_hold_ticks)
            is_change = (name in wanted) != (name in held)
            if is_change and age >= self.limits.min_hold_ticks:
                held ^= {name}
                age = 0
            self._age_ticks[name] = age + 1
        for name in self._age_ticks.keys() - wanted - self._held:
            self._age_ticks[name] += 1
        self._held = frozenset(held)
        return self._held
