"""BackboneStep-by-step inference equals the full forward; episodes in one batch do not notice each other."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from eyehand.inference import rolling_cache
from eyehand.inference.engine import LiveState
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.block import rope_table
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from tiny import KINDS, RICH, TINY, random_clip, tiny_policy


def _stepped(live: LivePolicy, state: LiveState, clip: tuple[Tensor, ...], steps: range) -> Tensor:
    """The backbone's outputs (B, len(steps), D), fed with the clip's executed actions."""
    frames, text, executed, _ = clip
    outputs = []
    for step in steps:
        previous = executed[:, step - 1] if step else torch.zeros_like(executed[:, 0])
        outputs.append(live.step(state, live.encode_image(frames[:, step]), live.embed_text(text[:, step]), previous))
    return torch.stack(outputs, dim=1)


@torch.no_grad()
def _full(policy: Policy, clip: tuple[Tensor, ...]) -> Tensor:
    """The same outputs from one pass over the whole clip."""
    captured: list[Tensor] = []
    handle = policy.backbone.register_forward_hook(lambda module, inputs, output: captured.append(output))
    policy(*clip)
    handle.remove()
    return captured[0].unflatten(1, (clip[0].shape[1], -1))[:, :, policy.config.out_place]


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_cached_equals_full_beyond_the_window(config: PolicyConfig) -> None:
    policy, clip = tiny_policy(config), random_clip(config, 2, 3 * config.history_steps + 2)
    live = LivePolicy(policy)
    outputs = _stepped(live, live.new_state(2), clip, range(clip[0].shape[1]))
    torch.testing.assert_close(outputs, _full(policy, clip), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_decoder_draws_from_the_logits_of_the_full_forward(config: PolicyConfig) -> None:
    """With the drawn tokens as expert, the full forward's distributions put every token at its uniform."""
    policy, (frames, text, executed, _) = tiny_policy(config), random_clip(config, 3, 1)
    live = LivePolicy(policy)
    state = live.new_state(3)
    uniforms = torch.rand(3, config.space.num_slots, generator=torch.Generator().manual_seed(5))
    out = _stepped(live, state, (frames, text, executed, executed), range(1))[:, 0]
    ids = live.decode_action(out, uniforms)
    slots = [row for head in policy(frames, text, executed, ids[:, None]) for row in head[:, 0].unbind(1)]
    assert len({tuple(row) for row in ids.tolist()}) == 3
    for slot, logits in enumerate(slots):
        cumulative = logits.softmax(-1).cumsum(-1)
        token = ids[:, slot, None]
        upper = cumulative.gather(1, token)[:, 0]
        lower = (cumulative.gather(1, (token - 1).clamp(min=0)) * (token > 0))[:, 0]
        assert (lower - 1e-4 <= uniforms[:, slot]).all()
        assert (uniforms[:, slot] <= upper + 1e-4).all()


def test_reset_of_one_episode_leaves_the_others_alone() -> None:
    policy, clip = tiny_policy(RICH), random_clip(RICH, 2, 9)
    live = LivePolicy(policy)
    state = live.new_state(2)
    undisturbed = _stepped(live, live.new_state(2), clip, range(9))
    _stepped(live, state, clip, range(3))
    state.reset(1)
    outputs = _stepped(live, state, clip, range(3, 9))
    torch.testing.assert_close(outputs[0], undisturbed[0, 3:], rtol=1e-4, atol=1e-5)
    fresh = _stepped(live, live.new_state(1), tuple(part[1:, 3:] for part in clip), range(6))
    torch.testing.assert_close(outputs[1], fresh[0], rtol=1e-4, atol=1e-5)
    assert (outputs[1] - undisturbed[1, 3:]).abs().max() > 1e-3


def test_reset_as_a_whole_is_a_new_state() -> None:
    policy, clip = tiny_policy(), random_clip(TINY, 1, 7)
    live = LivePolicy(policy)
    state = live.new_state()
    first = _stepped(live, state, clip, range(7))
    state.reset()
    torch.testing.assert_close(_stepped(live, state, clip, range(7)), first, rtol=0, atol=0)


def test_fork_is_independent() -> None:
    policy, clip = tiny_policy(), random_clip(TINY, 1, 6)
    live = LivePolicy(policy)
    state = live.new_state()
    _stepped(live, state, clip, range(4))
    fork = deepcopy(state)
    expected = _stepped(live, state, clip, range(4, 6))
    torch.testing.assert_close(_stepped(live, fork, clip, range(4, 6)), expected, rtol=0, atol=0)


def test_positions_are_those_of_the_full_forward_and_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = rolling_cache.RollingCache(TINY, torch.device("cpu"), torch.float32)
    whole = rope_table(torch.arange(5 * TINY.num_step_tokens), TINY.width // TINY.num_q_heads)
    acted, seen = range(3 * 12 + 4, 4 * 12), range(4 * 12, 4 * 12 + 4)
    torch.testing.assert_close(ring.rope(4, [0])[:, 0], whole[:, [*acted, *seen]], rtol=0, atol=0)
    monkeypatch.setattr(rolling_cache, "POSITION_PERIOD", 3)
    torch.testing.assert_close(ring.rope(4, [0]), ring.rope(1, [0]), rtol=0, atol=0)
    assert ring.place(4) != ring.place(1)


def test_weights_are_a_snapshot() -> None:
    policy, clip = tiny_policy(), random_clip(TINY, 1, 2)
    live = LivePolicy(policy)
    before = _stepped(live, live.new_state(), clip, range(2))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(_stepped(live, live.new_state(), clip, range(2)), before, rtol=0, atol=0)
