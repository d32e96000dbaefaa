"""Means, intervals and normalised scores against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from eyehand.evaluate.statistics import mean_estimate, normalised_scores, paired_gain


def test_interval_holds_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        estimate = mean_estimate(rng.normal(5.0, 2.0, size=30).tolist())
        hits += estimate.low <= 5.0 <= estimate.high
    assert 88 <= hits <= 99


def test_equal_scores_have_no_width_and_equal_input_gives_equal_output() -> None:
    estimate = mean_estimate([3.0, 3.0, 3.0])
    assert (estimate.value, estimate.low, estimate.high, estimate.num) == (3.0, 3.0, 3.0, 3)
    assert mean_estimate([1.0, 5.0, 2.0]) == mean_estimate([1.0, 5.0, 2.0])


def test_random_is_0_and_the_demonstrator_is_1() -> None:
    floor, ceiling = {"a": [0.0, 2.0], "b": [10.0, 10.0]}, {"a": [9.0, 11.0], "b": [30.0, 30.0]}
    assert normalised_scores(floor, floor, ceiling).overall.value == pytest.approx(0.0)  # type: ignore[union-attr]
    assert normalised_scores(ceiling, floor, ceiling).overall.value == pytest.approx(1.0)  # type: ignore[union-attr]


def test_overall_is_the_mean_over_tasks() -> None:
    floor, ceiling = {"a": [0.0], "b": [-100.0]}, {"a": [10.0], "b": [100.0]}
    normalised = normalised_scores({"a": [5.0], "b": [100.0]}, floor, ceiling)
    assert normalised.tasks["a"] is not None
    assert normalised.tasks["a"].value == pytest.approx(0.5)
    assert normalised.overall is not None
    assert normalised.overall.value == pytest.approx(0.75)
    assert (normalised.overall.low, normalised.overall.high) == (pytest.approx(0.75), pytest.approx(0.75))


def test_uncertain_baselines_widen_the_interval() -> None:
    agent = {"a": [5.0] * 10}
    sure = normalised_scores(agent, {"a": [0.0] * 10}, {"a": [10.0] * 10}).overall
    unsure = normalised_scores(agent, {"a": [-4.0, 4.0] * 5}, {"a": [4.0, 16.0] * 5}).overall
    assert sure is not None
    assert unsure is not None
    assert sure.high - sure.low < 1e-9 < 0.1 < unsure.high - unsure.low


def test_a_task_whose_demonstrator_is_no_better_than_random_has_no_score() -> None:
    normalised = normalised_scores({"a": [1.0], "b": [1.0]}, {"a": [2.0], "b": [0.0]}, {"a": [2.0], "b": [2.0]})
    assert normalised.tasks["a"] is None
    assert normalised.overall is not None
    assert normalised.overall.value == pytest.approx(0.5)
    assert normalised_scores({"a": [1.0]}, {"a": [2.0]}, {"a": [1.0]}).overall is None


def test_a_gain_is_paired_and_holds_the_true_one() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(0.0, 10.0, size=40)
    gain = paired_gain({"task": before.tolist()}, {"task": (before + rng.normal(1.0, 1.0, size=40)).tolist()})
    assert gain.share_above_0 > 0.99  # unpaired it would be lost in the noise
    assert gain.estimate.low < 1.0 / before.std() < gain.estimate.high
    same = paired_gain({"task": [1.0, 2.0]}, {"task": [1.0, 2.0]})
    assert (same.estimate.value, same.share_above_0) == (0.0, 0.0)


def test_a_task_whose_scores_were_all_alike_does_not_outweigh_the_others() -> None:
    before = {"sparse": [0.0] * 40, "dense": [1.0, 2.0, 3.0, 4.0] * 10}
    after = {"sparse": [1.0] * 4 + [0.0] * 36, "dense": [0.0, 1.0, 2.0, 3.0] * 10}
    gain = paired_gain(before, after)
    assert gain.estimate.value < 0
    assert gain.share_above_0 < 0.1
