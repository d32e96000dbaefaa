"""Means with 95% intervals by the bootstrap, and scores normalised between random and demonstrator. Knows numbers only.

Bootstrap: B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979). Percentile
intervals from 10,000 draws with a fixed seed, so that the same scores give the same interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "Gain", "Normalised", "mean_estimate", "normalised_scores", "paired_gain"]

_NUM_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95% interval and the number of episodes behind it."""

    value: float
    low: float
    high: float
    num: int


@dataclass(frozen=True, slots=True)
class Normalised:
    """(player - random) / (demonstrator - random): for each task by name, and the mean over the tasks.

    A task without a demonstrator, or whose demonstrator is no better than random, has no such score and is left out of
    `overall`, which is None when no task is left.
    """

    tasks: dict[str, Estimate | None]
    overall: Estimate | None


def mean_estimate(scores: Sequence[float]) -> Estimate:
    """The mean of at least one score with its 95% bootstrap interval; that of one score has no width."""
    values = np.asarray(scores, dtype=float)
    return _estimate(float(values.mean()), _mean_draws(values, _rng("mean")), len(values))


def normalised_scores(
    player: Mapping[str, Sequence[float]], floor: Mapping[str, Sequence[float]], ceiling: Mapping[str, Sequence[float]]
) -> Normalised:
    """Normalised scores of a player.

    Args:
        player, floor, ceiling: scores of every episode of the player, of random, of the demonstrator, by task.
    """
    tasks: dict[str, Estimate | None] = {}
    values: list[float] = []
    draws: list[NDArray[np.float64]] = []
    for name in player:
        low, high, ours = (np.asarray(of.get(name, ()), dtype=float) for of in (floor, ceiling, player))
        if not len(low) or not len(high) or high.mean() <= low.mean():
            tasks[name] = None
            continue
        value = float((ours.mean() - low.mean()) / (high.mean() - low.mean()))
        # Every group is drawn anew, so the interval also holds what we do not know about floor and ceiling.
        low_draws, high_draws = _mean_draws(low, _rng(name, "floor")), _mean_draws(high, _rng(name, "ceiling"))
        span = np.maximum(high_draws - low_draws, 1e-9)
        drawn = (_mean_draws(ours, _rng(name, "player")) - low_draws) / span
        tasks[name] = _estimate(value, drawn, len(ours))
        values.append(value)
        draws.append(drawn)
    if not values:
        return Normalised(tasks, None)
    return Normalised(tasks, _estimate(float(np.mean(values)), np.mean(draws, axis=0), len(values)))


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference with its interval, and the share of the bootstrap's draws in which it is above 0."""

    estimate: Estimate
    share_above_0: float


def paired_gain(before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]) -> Gain:
    """By how much scores rose, mean over the tasks, in standard deviations of each task's scores.

    Args:
        before, after: scores by task, of the same episodes in the same order. The deviation is that of both together,
            so that a task in which they were all alike before counts no more than others.
    """
    values: list[float] = []
    draws: list[NDArray[np.float64]] = []
    for name, scores in before.items():
        old, new = np.asarray(scores, dtype=float), np.asarray(after[name], dtype=float)
        spread = float(np.concatenate((old, new)).std()) or 1.0  # 0: the difference is too
        values.append(float((new - old).mean() / spread))
        draws.append(_mean_draws(new - old, _rng(name, "gain")) / spread)
    drawn = np.mean(draws, axis=0)
    return Gain(_estimate(float(np.mean(values)), drawn, len(values)), float((drawn > 0).mean()))


def _estimate(value: float, draws: NDArray[np.float64], num: int) -> Estimate:
    low, high = np.percentile(draws, (2.5, 97.5))
    return Estimate(value, float(low), float(high), num)


def _mean_draws(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of `_NUM_DRAWS` samples with replacement, shape (_NUM_DRAWS,)."""
    chosen = rng.integers(0, len(values), size=(_NUM_DRAWS, len(values)))
    means: NDArray[np.float64] = values[chosen].mean(axis=1)
    return means


def _rng(*names: str) -> np.random.Generator:
    return np.random.default_rng([*"/".join(names).encode()])
