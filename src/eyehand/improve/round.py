"""`Round`: the result of a round of self-improvement."""

from __future__ import annotations

from dataclasses import dataclass

from eyehand.evaluate.statistics import Estimate

__all__ = ["Round"]


@dataclass(frozen=True)
class Round:
    """The result of a round; number 0 is the policy before the first.

    Attributes:
        number: from 1 on.
        scores: of the validation episodes, by game.
        num_played, num_kept: episodes.
        gain: mean over games of the paired difference to the best policy before, in standard deviations of the
            scores; None for number 0.
        is_accepted: whether its policy is the best so far.
    """

    number: int
    scores: dict[str, tuple[float, ...]]
    num_played: int = 0
    num_kept: int = 0
    gain: Estimate | None = None
    is_accepted: bool = True
