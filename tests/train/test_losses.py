"""The loss against the formula, written out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from eyehand.action_space import P2P, Head
from eyehand.train.losses import Z_LOSS, behaviour_cloning_loss, split_heads

HEADS = (Head("keys", 5, 2), Head("dx", 3, 1))


def example() -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = [torch.randn(2, 4, h.num_slots, h.num_choices, requires_grad=True) for h in HEADS]
    target = torch.cat([torch.randint(h.num_choices, (2, 4, h.num_slots)) for h in HEADS], dim=-1)
    learn = torch.tensor([[True, True, False, True], [False, True, False, False]])
    return logits, target, learn


def test_it_is_the_formula() -> None:
    logits, target, learn = example()
    losses = behaviour_cloning_loss(logits, target, learn, HEADS)
    expected = 0.0
    for index, (head, slots) in enumerate(zip(HEADS, ([0, 1], [2]), strict=True)):
        entropies, squares = [], []
        for b, t in learn.nonzero().tolist():
            for s, slot in enumerate(slots):
                row = logits[index][b, t, s].double()
                log_sum = math.log(sum(math.exp(x) for x in row.tolist()))
                entropies.append(log_sum - row[target[b, t, slot]].item())
                squares.append(log_sum**2)
        entropy = sum(entropies) / len(entropies)
        assert losses.cross_entropy_H[index].item() == pytest.approx(entropy, rel=1e-5)
        expected += entropy / math.log(head.num_choices) + Z_LOSS * sum(squares) / len(squares)
    assert losses.total.item() == pytest.approx(expected, rel=1e-5)
    assert losses.num_steps.item() == 4


def test_what_is_not_to_be_learnt_has_no_part_in_it() -> None:
    logits, target, learn = example()
    losses = behaviour_cloning_loss(logits, target, learn, HEADS)
    losses.total.backward()
    for each in logits:
        assert each.grad is not None
        assert (each.grad[~learn] == 0).all()
        assert (each.grad[learn] != 0).any()
    scrambled = torch.where(learn[..., None], target, 0)
    assert torch.equal(behaviour_cloning_loss(logits, scrambled, learn, HEADS).total, losses.total)


def test_nothing_to_learn_costs_nothing() -> None:
    logits, target, learn = example()
    losses = behaviour_cloning_loss(logits, target, torch.zeros_like(learn), HEADS)
    losses.total.backward()
    assert losses.total.item() == 0
    assert all(each.grad is not None and (each.grad == 0).all() for each in logits)


def test_heads_split_the_slots_in_order() -> None:
    tokens = torch.arange(8)
    assert [part.tolist() for part in split_heads(tokens, P2P.heads)] == [[0, 1, 2, 3], [4, 5], [6], [7]]


def test_a_weighted_head_counts_so_much_more() -> None:
    logits, target, learn = example()
    plain = behaviour_cloning_loss(logits, target, learn, HEADS)
    without_keys = behaviour_cloning_loss(logits, target, learn, HEADS, {"keys": 0.0})
    weighted = behaviour_cloning_loss(logits, target, learn, HEADS, {"keys": 3.0})
    assert torch.equal(weighted.cross_entropy_H, plain.cross_entropy_H)
    keys = plain.total - without_keys.total
    assert keys > 0
    assert weighted.total.item() == pytest.approx((without_keys.total + 3 * keys).item(), rel=1e-5)


def test_presses_and_releases_count_so_much_more() -> None:
    logits, _, _ = example()
    learn = torch.tensor([[True, True, True, False], [True, False, True, False]])
    held = torch.tensor([[[0, 0], [0, 4], [0, 4], [0, 0]], [[1, 1], [2, 2], [3, 3], [3, 3]]])  # one edge is learnt
    target = torch.cat([held, torch.tensor([[[0], [1], [2], [0]], [[0], [1], [2], [0]]])], dim=-1)
    plain = behaviour_cloning_loss(logits, target, learn, HEADS)
    weighted = behaviour_cloning_loss(logits, target, learn, HEADS, edge_weight=5.0)
    edge = -logits[0].log_softmax(-1)[0, 1, 1, 4] / (5 * 2 * math.log(5))  # 5 learnt steps, 2 slots, 5 choices
    assert torch.equal(weighted.cross_entropy_H, plain.cross_entropy_H)
    assert weighted.total.item() == pytest.approx((plain.total + 4 * edge).item(), rel=1e-5)
