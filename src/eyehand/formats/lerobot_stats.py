"""Statistics that LeRobot keeps of every feature, per episode and for a whole data set: `Stats`.

For each: min, max, mean, std, count and the quantiles 0.01 to 0.99, over time; of pictures per colour, in [0, 1]. Those
of a data set follow from those of its episodes; its quantiles are their means weighted by count, as in LeRobot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["aggregate", "of_numbers", "of_pictures"]

_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}

Stats = dict[str, NDArray[Any]]


def of_numbers(values_TX: NDArray[Any]) -> Stats:
    """Of an array whose first axis is time; each statistic has the shape of what is left, at least (1,)."""
    values = np.atleast_2d(values_TX.astype(np.float64).T).T
    return {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": np.array([len(values)]),
        **{name: np.quantile(values, share, axis=0) for name, share in _QUANTILES.items()},
    }


def of_pictures(frames_THWC: NDArray[np.uint8]) -> Stats:
    """Of RGB pictures: shapes (3, 1, 1); `count` is the number of pictures."""
    pixels = of_numbers(frames_THWC.reshape(-1, 3) / 255)
    stats = {name: value.reshape(3, 1, 1) for name, value in pixels.items() if name != "count"}
    return {**stats, "count": np.array([len(frames_THWC)])}


def aggregate(episodes: Sequence[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Of all episodes together, by feature."""
    total: dict[str, Stats] = {}
    for feature in episodes[0]:
        parts = [episode[feature] for episode in episodes]
        counts = np.array([int(part["count"][0]) for part in parts])
        weights = (counts / counts.sum()).reshape(-1, *[1] * parts[0]["mean"].ndim)

        def mean(name: str, parts: list[Stats] = parts, weights: NDArray[Any] = weights) -> NDArray[Any]:
            return np.asarray((np.stack([part[name] for part in parts]) * weights).sum(axis=0))

        centre = mean("mean")
        spread = np.stack([part["std"] ** 2 + (part["mean"] - centre) ** 2 for part in parts])
        total[feature] = {
            "min": np.stack([part["min"] for part in parts]).min(axis=0),
            "max": np.stack([part["max"] for part in parts]).max(axis=0),
            "mean": centre,
            "std": np.sqrt((spread * weights).sum(axis=0)),
            "count": np.array([counts.sum()]),
            **{name: mean(name) for name in _QUANTILES},
        }
    return total
