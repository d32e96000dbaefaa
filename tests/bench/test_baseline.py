"""The original's way of stepping draws the same actions as ours."""

from __future__ import annotations

import pytest
import torch

from eyehand.bench.baseline import Baseline
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy_config import PolicyConfig
from tiny import RICH, TINY, random_clip, tiny_policy


@pytest.mark.parametrize("config", [TINY, RICH])
def test_it_draws_what_live_play_draws_beyond_the_window(config: PolicyConfig) -> None:
    policy = tiny_policy(config)
    steps = 3 * config.history_steps
    frames = random_clip(config, 1, steps)[0]
    text = torch.randn(config.num_text_tokens, config.text_dim, generator=torch.Generator().manual_seed(1))
    uniforms = torch.rand(steps, 8, generator=torch.Generator().manual_seed(2))
    baseline, live = Baseline(policy, lambda: text), LivePolicy(policy)
    state, tokens = live.new_state(), live.embed_text(text[None])
    previous = torch.zeros(1, 8, dtype=torch.long)
    drawn = []
    for step in range(steps):
        out = live.step(state, live.encode_image(frames[:, step]), tokens, previous)
        previous = live.decode_action(out, uniforms[step : step + 1])
        drawn.append(previous[0])
        assert torch.equal(baseline.act(frames[:, step], uniforms[step]), previous[0])
    assert len({tuple(ids.tolist()) for ids in drawn}) > 3


def test_a_filled_memory_goes_on() -> None:
    baseline = Baseline(tiny_policy(), lambda: torch.zeros(1, 256))
    baseline.fill()
    frame = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    for _ in range(3):
        assert baseline.act(frame, torch.full((8,), 0.5)).shape == (8,)
