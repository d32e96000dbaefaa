"""Verdicts on logs: worse than guessing, better than both baselines, by heart; and paces that are hopeless."""

from __future__ import annotations

import re

import pytest

from eyehand.train.verdict import hopeless, judge

BASELINES = {"kind": "baselines", "step": 0, "marginal": {"loss": 0.87}, "copy_last": {"loss": 0.68}}


@pytest.mark.parametrize(
    ("losses", "said", "mood"),
    [
        ([], "Nobody can tell yet", ""),
        ([0.95], "Not better than guessing .*train about 4 times longer", "bad"),
        ([1.17, 1.07, 0.97], "Not better than guessing .*train about 3 times longer", "bad"),
        ([0.9, 0.80, 0.81], "Better than guessing, but .*record more, for it has learnt nothing new .* step 200", ""),
        ([0.9, 0.86], "Not better than guessing", "bad"),
        ([0.9, 0.8], "Better than guessing, but not than repeating .*train about 3 times longer", ""),
        ([0.81, 0.8], "train much longer, or record more", ""),
        ([0.9, 0.5], "Better than guessing and than repeating", "good"),
        ([0.9, 0.5, 0.6], "Overtrained .*it was 0.50 at step 200 and has risen since", "bad"),
    ],
)
def test_a_run_is_judged_by_the_baselines(losses: list[float], said: str, mood: str) -> None:
    evals = [{"kind": "eval", "step": 100 * 2**number, "loss": loss} for number, loss in enumerate(losses)]
    verdict = judge([BASELINES, *evals])
    assert verdict.mood == mood
    assert re.search(said, verdict.text), verdict.text


def test_of_a_hopeless_pace_it_is_said_what_to_do() -> None:
    assert hopeless(400, 3600, []) is None
    assert "23 steps, too few to learn much: give it more --minutes, or go." in str(hopeless(23, 3600, ["go"]))
    assert "12 days" in str(hopeless(20_000, 12 * 86400, []))
