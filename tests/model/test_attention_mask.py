"""The backbone's mask, rule by rule, against the reference's words."""

from __future__ import annotations

import pytest

from eyehand.model.backbone import attention_mask


def _may_see(query: tuple[int, str], key: tuple[int, str], history: int, action_lag: int) -> bool:
    (q_step, q_kind), (k_step, k_kind) = query, key
    if k_step > q_step:
        return False
    if k_step < q_step:
        youngest = action_lag if k_kind == "A" else 1
        return k_kind in "SA" and youngest <= q_step - k_step <= history
    return k_kind in {"S": "S", "O": "SO", "A": "SA"}[q_kind]


@pytest.mark.parametrize(
    ("num_seen", "num_outs", "num_actions", "history", "action_lag"),
    [(3, 1, 8, 4, 1), (1, 1, 2, 1, 1), (5, 1, 3, 2, 1), (3, 1, 8, 4, 3), (3, 1, 0, 4, 0), (1, 0, 0, 3, 0)],
)
def test_mask_follows_the_rules(num_seen: int, num_outs: int, num_actions: int, history: int, action_lag: int) -> None:
    kinds = "S" * num_seen + "O" * num_outs + "A" * num_actions
    tokens = [(step, kind) for step in range(5) for kind in kinds]
    mask = attention_mask(5, num_seen, num_actions, history, num_outs=num_outs, action_lag=action_lag)
    assert mask.shape == (len(tokens), len(tokens))
    for row, query in enumerate(tokens):
        assert mask[row].tolist() == [_may_see(query, key, history, action_lag) for key in tokens], query
