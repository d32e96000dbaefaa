"""`judge`: whether a run is learning, in plain words, from its log: held-out loss against the two baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Verdict", "hopeless", "judge"]

_BETTER = 0.98
"""Below this share of another loss a loss is lower; nearer ones differ by chance."""

_RISEN = 1.005
"""Above this multiple of its least the held-out loss has begun to rise: more of the same recordings helps no more."""

_FEW_STEPS, _MOST_HOURS = 100, 48
_WITHOUT_GAIN, _MOST_TIMES = 4, 20
"""How many times longer to train where nothing tells how fast it learns, and where a figure would be no help."""


@dataclass(frozen=True)
class Verdict:
    """A verdict: a sentence, and whether it is good news."""

    text: str
    mood: Literal["good", "bad", ""]


def judge(records: Sequence[Mapping[str, Any]]) -> Verdict:
    """The verdict on a run.

    Args:
        records: of its log (`log.read_log`).
    """
    losses = [(record["step"], record["loss"]) for record in records if record["kind"] == "eval"]
    baselines = next((record for record in records if record["kind"] == "baselines"), None)
    if not losses or baselines is None:
        return Verdict("Nobody can tell yet whether it learns: nothing held out has been looked at.", "")
    loss, guessing, repeating = losses[-1][1], baselines["marginal"]["loss"], baselines["copy_last"]["loss"]
    least_step, least = min(losses, key=lambda each: each[1])
    figures = f"held-out loss {loss:.2f}, guessing {guessing:.2f}, repeating the last action {repeating:.2f}"
    if loss > least / _BETTER**3:
        advice = (
            f"it was {least:.2f} at step {least_step:,} and has risen since, as it learns its recordings by heart: "
        )
        advice += "record more, or train for a shorter time."
        return Verdict(f"Overtrained ({figures}): {advice}", "bad")
    times = _times_longer(losses, guessing if loss > guessing * _BETTER else repeating)
    longer = f"train about {times} times longer" if times < _MOST_TIMES else "train much longer, or record more"
    if loss > least * _RISEN:
        longer = f"record more, for it has learnt nothing new from these recordings since step {least_step:,}"
    if loss > guessing * _BETTER:
        return Verdict(f"Not better than guessing ({figures}): {longer}.", "bad")
    if loss > repeating * _BETTER:
        return Verdict(f"Better than guessing, but not than repeating the last action ({figures}): {longer}.", "")
    return Verdict(f"Better than guessing and than repeating the last action ({figures}). Play shows the rest.", "good")


def hopeless(num_steps: float, left_s: float, ways: Sequence[str]) -> str | None:
    """What to say of a run that will have made so few steps, or will take so long; None: nothing.

    Args:
        num_steps: at its end, at its pace.
        left_s: seconds until then.
        ways: what would make it faster.
    """
    faster = "".join(f", or {way}" for way in ways)
    if num_steps < _FEW_STEPS:
        return f"At this pace it makes {num_steps:.0f} steps, too few to learn much: give it more --minutes{faster}."
    if left_s > _MOST_HOURS * 3600:
        return f"At this pace it takes {left_s / 86400:.0f} days: give it --minutes, fewer --steps{faster}."
    return None


def _times_longer(losses: Sequence[tuple[int, float]], aim: float) -> int:
    """How many times as many steps it takes to this loss, if every doubling gains as much as those so far did."""
    (first_step, first), (step, loss) = losses[0], losses[-1]
    if first_step == step or loss >= first:
        return _WITHOUT_GAIN
    doublings = (loss - aim * _BETTER) * math.log2(step / first_step) / (first - loss)
    return max(2, min(_MOST_TIMES, math.ceil(2 ** min(doublings, 10.0))))
