"""`MotorModel`: turns an expert's intent into an Action at human speed, with human error.

Mouse motion accelerates gradually, brakes at once, never exceeds `MotorLimits.max_turn_px` and is noisy; a key keeps
its state for a moment before it changes again. The present speed is that of the executed action, so that an expert
resumes smoothly after another player acted. Knows the scale of the mouse (10 px to a degree of view) and nothing else
about games.
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
        max_speedup_px: largest growth of the motion from one tick to the next. Slowing down is not limited.
        gain: share of the remaining angle that is turned in one tick: a movement ends in ever smaller corrections.
        relative_noise, noise_px: standard deviation of the motion: relative, and a minimum in pixels.
        min_hold_ticks: a key or button keeps its new state for at least this long.
    """

    max_turn_px: int = 140
    max_speedup_px: int = 45
    gain: float = 0.45
    relative_noise: float = 0.05
    noise_px: float = 0.4
    min_hold_ticks: int = 3


class MotorModel:
    """A model of a person's hand under `MotorLimits`: angles to turn and keys in, an Action out."""

    def __init__(self, limits: MotorLimits | None = None) -> None:
        self.limits = limits or MotorLimits()
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Release everything; seed the noise of the next episode."""
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
        """The Action of one tick; call it at every tick, whether or not the Action will be executed.

        Args:
            executed: the action executed in the tick before.
            turn_deg: remaining turn of the view, positive to the right.
            drift_deg: growth of that angle during this tick by the target's motion.
            keys: keys to hold.
            fire: hold the left mouse button.
        """
        held = self._settle(frozenset(keys) | ({"0 button"} if fire else frozenset()))
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

    def _settle(self, intended: frozenset[str]) -> frozenset[str]:
        """The held keys: intended ones, but a key that has changed keeps its state for `min_hold_ticks`."""
        held = set(self._held)
        for name in sorted(intended | self._held):
            age = self._age_ticks.get(name, self.limits.min_hold_ticks)
            is_change = (name in intended) != (name in held)
            if is_change and age >= self.limits.min_hold_ticks:
                held ^= {name}
                age = 0
            self._age_ticks[name] = age + 1
        for name in self._age_ticks.keys() - intended - self._held:
            self._age_ticks[name] += 1
        self._held = frozenset(held)
        return self._held
