"""Corruption touches the history and the instruction, at the rate asked for, with tokens that really occur."""

from __future__ import annotations

import numpy as np
import pytest

from eyehand.train.corruption import corrupt_history, drop_instructions

NOTHING = np.array([0, 7])


def history() -> tuple[np.ndarray, np.ndarray]:
    """Steps that are all different; the second clip's last 20 are padding, marked -1."""
    executed = np.arange(2 * 200 * 2).reshape(2, 200, 2) + 10
    valid = np.ones((2, 200), bool)
    valid[1, 180:] = False
    executed[1, 180:] = -1
    return executed, valid


def corrupted(step: float, clip: float, seed: int = 0) -> np.ndarray:
    executed, valid = history()
    rng = np.random.default_rng(seed)
    result = corrupt_history(executed, valid, rng, step_probability=step, clip_probability=clip, nothing_A=NOTHING)
    np.testing.assert_array_equal(executed, history()[0])
    return result


def test_whole_steps_become_other_real_steps() -> None:
    executed, valid = history()
    result = corrupted(0.3, 0.0)
    changed = (result != executed).any(-1)
    assert changed[valid].mean() == pytest.approx(0.3, abs=0.06)
    real = {tuple(step) for step in executed[valid]}
    assert {tuple(step) for step in result[valid]} <= real
    assert {tuple(step) for step in result[changed]} <= real


def test_a_clip_can_lose_its_whole_history() -> None:
    for seed in range(8):
        result = corrupted(0.0, 0.5, seed)
        for clip, original in zip(result, history()[0], strict=True):
            assert (clip == NOTHING).all() or (clip == original).all()
    hidden = [(corrupted(0.0, 0.5, seed)[0] == NOTHING).all() for seed in range(60)]
    assert 0.3 < np.mean(hidden) < 0.7


def test_probability_zero_changes_nothing() -> None:
    np.testing.assert_array_equal(corrupted(0.0, 0.0), history()[0])


def test_instructions_are_dropped_clip_by_clip() -> None:
    text = np.repeat(np.arange(1, 1001)[:, None], 5, axis=1)
    result = drop_instructions(text, np.random.default_rng(0), 0.1)
    dropped = (result == 0).all(1)
    np.testing.assert_array_equal(result[~dropped], text[~dropped])
    assert dropped.mean() == pytest.approx(0.1, abs=0.03)
