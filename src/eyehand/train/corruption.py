"""Input corruption in training (action history and instruction), so that the policy relies on the picture.

A policy that sees its own last actions can reach a low loss by repeating them, and then does nothing else in play.
Corrupting the history in training takes that away (an independent check of Open P2P found that it helps). Targets are
never touched. Works on the host, on numpy, before the batch goes to the device.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["corrupt_history", "drop_instructions"]


def corrupt_history(
    executed_BTA: NDArray[np.int64],
    valid_BT: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    step_probability: float,
    clip_probability: float,
    nothing_A: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The corrupted action history of a batch, int64 (B, T, A).

    Args:
        executed_BTA: the true history; not written into.
        valid_BT: False on padding, which is never drawn as a replacement.
        rng: source of all randomness.
        step_probability: chance that a step's tokens become those of another step drawn from the whole batch.
        clip_probability: chance that all steps of a clip become `nothing_A`.
        nothing_A: the tokens of the empty action.
    """
    batch, steps, _ = executed_BTA.shape
    is_replaced_BT = rng.random((batch, steps)) < step_probability
    is_hidden_B = rng.random(batch) < clip_probability
    candidates_NA = executed_BTA[valid_BT]
    corrupted_BTA = executed_BTA.copy()
    if len(candidates_NA):
        others_BT = rng.integers(len(candidates_NA), size=(batch, steps))
        corrupted_BTA = np.where(is_replaced_BT[..., None], candidates_NA[others_BT], corrupted_BTA)
    corrupted_BTA[is_hidden_B] = nothing_A
    return corrupted_BTA


def drop_instructions(text_BT: NDArray[np.int64], rng: np.random.Generator, probability: float) -> NDArray[np.int64]:
    """Instruction rows with whole clips set to 0, "no instruction"."""
    is_dropped_B = rng.random(len(text_BT)) < probability
    return np.where(is_dropped_B[:, None], 0, text_BT)
