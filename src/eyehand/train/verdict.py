"""`judge`: whether a run is learning, in plain words, from its log: held-out loss against the two baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Verdict", "hopeless", "judge"]

_BETTER = 0.98
"""Below this share of another loss a loss is lower; nearer ones differ by chance."""

_FEW_STEPS = 100
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
    least = min(each for _, each in losses)
    figures = f"held-out loss {loss:.2f}, guessing {guessing:.2f}, repeating the last action {repeating:.2f}"
    if loss > least / _BETTER**3:
        advice = f"it was {least:.2f} and has risen since, so it learns its recordings by heart: record more."
        return Verdict(f"Overtrained ({figures}): {advice}", "bad")
    times = _times_longer(losses, guessing if loss > guessing * _BETTER else repeating)
    longer = f"train about {times} times longer" if times < _MOST_TIMES else "train much longer, or record more"
    if loss > guessing * _BETTER:
        return Verdict(f"Not better than guessing ({figures}): {longer}.", "bad")
    if loss > repeating * _BETTER:
        return Verdict(f"Better than guessing, but not than repeating the last action ({figures}): {longer}.", "")
    return Verdict(f"Better than guessing and than repeating the last action ({figures}). Play shows the rest.", "good")


def hopeless(num_steps: float, left_s: float) -> str | None:
    """What to say of a run that will have made so few steps, or will take so long; None: nothing.

    Args:
        num_steps: at its end, at its pace.
        left_s: seconds until then.
    """
    advice = (
        "--trunk pocket-doom looks at every picture only once, --clip-steps 16 and a smaller --batch-size make shorter "
        "steps"
    )
    if num_steps < _FEW_STEPS:
        return f"At this pace it makes {num_steps:.0f} steps, too few to learn: give it more --minutes; {advice}."
    if left_s > 48 * 3600:
        return f"At this pace it takes {left_s / 86400:.0f} days: give fewer --steps, or --minutes; {advice}."
    return None


def _times_longer(losses: Sequence[tuple[int, float]], aim: float) -> int:
    """How many times as many steps it takes to this loss, if every doubling gains as much as those so far did."""
    (first_step, first), (step, loss) = losses[0], losses[-1]
    if first_step == step or loss >= first:
        return _WITHOUT_GAIN
    doublings = (loss - aim * _BETTER) * math.log2(step / first_step) / (first - loss)
    return max(2, min(_MOST_TIMES, math.ceil(2 ** min(doublings, 10.0))))
