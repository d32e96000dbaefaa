"""The network over whole clips: shapes, what may influence what, text, padding, gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from eyehand.model.block import attend_in_chunks, reach_of
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from tiny import BLIND, FUSED, INDEPENDENT, KINDS, RICH, TINY, random_clip, tiny_policy


def _joined(logits: tuple[Tensor, ...]) -> Tensor:
    """All logits of a step in one row: (B, T, everything)."""
    return torch.cat([head.flatten(2) for head in logits], dim=-1)


@pytest.mark.parametrize("config", [TINY, RICH])
def test_one_tensor_per_head(config: PolicyConfig) -> None:
    policy = tiny_policy(config)
    logits = policy(*random_clip(config, 2, 3))
    assert [tuple(head.shape) for head in logits] == [(2, 3, 4, 20), (2, 3, 2, 4), (2, 3, 1, 23), (2, 3, 1, 17)]


@torch.no_grad()
def test_nothing_sees_the_future_or_its_own_action() -> None:
    policy = tiny_policy()
    frames, text, executed, target = random_clip(TINY, 1, 5)
    before = _joined(policy(frames, text, executed, target))
    changed = executed.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 4
    difference = (_joined(policy(frames, text, changed, target)) - before).abs().amax(dim=-1)[0]
    assert (difference[:3] == 0).all()  # the action of step 2 comes after its prediction
    assert (difference[3:] > 1e-6).all()
    changed = frames.clone()
    changed[:, 2] = 255 - changed[:, 2]
    difference = (_joined(policy(changed, text, executed, target)) - before).abs().amax(dim=-1)[0]
    assert (difference[:2] == 0).all()
    assert (difference[2:] > 1e-6).all()


@torch.no_grad()
@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_an_action_is_seen_from_its_lag_on(config: PolicyConfig) -> None:
    policy = tiny_policy(replace(config, history_steps=8, layer_history=()))
    frames, text, executed, target = random_clip(config, 1, 6)
    before = _joined(policy(frames, text, executed, target))
    executed[:, 1] = 1 - executed[:, 1].clamp(max=1)
    moved = (_joined(policy(frames, text, executed, target)) - before).abs().amax(dim=-1)[0]
    first = 1 + config.action_lag if config.action_lag else 6
    assert (moved[:first] == 0).all()
    assert (moved[first:] > 1e-6).all()


@torch.no_grad()
def test_independent_slots_see_no_other() -> None:
    for config in (INDEPENDENT, FUSED):
        policy = tiny_policy(config)
        frames, text, executed, target = random_clip(config, 2, 3)
        logits = policy(frames, text, executed, target)
        assert [tuple(head.shape) for head in logits] == [(2, 3, 19, 2), (2, 3, 3, 2), (2, 3, 1, 23), (2, 3, 1, 17)]
        assert torch.equal(_joined(policy(frames, text, executed, 1 - target.clamp(max=1))), _joined(logits))


@torch.no_grad()
def test_a_slot_sees_only_the_slots_before_it() -> None:
    policy = tiny_policy()
    frames, text, executed, target = random_clip(TINY, 1, 3)
    before = policy(frames, text, executed, target)
    changed = target.clone()
    changed[:, 1, 2] = (changed[:, 1, 2] + 1) % 20  # the third key slot of step 1
    after = policy(frames, text, executed, changed)
    moved = torch.cat([(x - y).abs().amax(dim=-1) for x, y in zip(before, after, strict=True)], dim=-1)[0]
    assert (moved[0] == 0).all()
    assert (moved[2] == 0).all()
    assert (moved[1, :3] == 0).all()
    assert (moved[1, 3:] > 1e-6).all()


@torch.no_grad()
def test_history_is_limited_to_its_steps() -> None:
    """One layer sees T - 1 steps back and no further."""
    config = PolicyConfig.from_json({**TINY.to_json(), "num_layers": 1})
    policy = tiny_policy(config)
    frames, text, executed, target = random_clip(config, 1, 8)
    before = _joined(policy(frames, text, executed, target))
    frames[:, 1] = 255 - frames[:, 1]
    moved = (_joined(policy(frames, text, executed, target)) - before).abs().amax(dim=-1)[0]
    assert (moved[1:5] > 1e-6).all()
    assert (moved[5:] == 0).all()


@torch.no_grad()
def test_absent_text_is_the_learned_vector() -> None:
    policy = tiny_policy()
    frames, text, executed, target = random_clip(TINY, 1, 3)
    before = _joined(policy(frames, text, executed, target))
    policy.no_text.add_(1.0)
    moved = (_joined(policy(frames, text, executed, target)) - before).abs().amax(dim=-1)[0]
    assert moved[0] == 0
    assert moved[1] > 1e-6  # step 1 has no instruction


def test_padding_changes_nothing() -> None:
    frames, text, executed, target = random_clip(TINY, 2, 4)
    valid = torch.ones(2, 4, dtype=torch.bool)
    valid[1, 2:] = False
    other = frames.clone()
    other[1, 2:] = 255
    results = []
    for pictures in (frames, other):
        policy = tiny_policy().train()
        logits = _joined(policy(pictures, text, executed, target, valid))
        results.append(logits[valid])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_every_parameter_learns(config: PolicyConfig) -> None:
    policy = tiny_policy(config).train()
    frames, text, executed, target = random_clip(config, 2, 5)
    logits = policy(frames, text, executed, target)
    sum(head.logsumexp(-1).square().mean() for head in logits).backward()
    # The last position belongs to the reference's unused ninth output.
    silent = [
        name
        for name, parameter in policy.named_parameters()
        if parameter.numel() and (parameter.grad is None or not parameter.grad.any())
    ]
    # Nothing sees the token of the last slot where no past action is seen.
    assert silent == (["embeddings.3.weight"] if config is BLIND else [])
    if config.decoder == "autoregressive":
        assert not policy.decoder.positions.grad[-1].any()


def test_training_attention_on_a_cpu_equals_the_fused_one() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 250, 8, generator=generator) for _ in range(3))
    mask = torch.ones(250, 250, dtype=torch.bool).tril()
    fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(attend_in_chunks(q, k, v, mask, reach_of(mask)), fused, rtol=1e-5, atol=1e-5)


def test_two_seeds_two_networks() -> None:
    torch.manual_seed(0)
    first = Policy(TINY)
    second = Policy(TINY)
    assert not torch.equal(first.action_out, second.action_out)
