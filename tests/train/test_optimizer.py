"""Which weights decay, how the rate runs, and that the mean of the weights includes BatchNorm's statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eyehand.model.policy import Policy
from eyehand.model.presets import medium
from eyehand.train.optimizer import WeightMean, adamw, learning_rate


def test_only_matrices_of_layers_decay() -> None:
    policy = Policy(medium())
    optimizer = adamw(policy, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.99))
    name_of = {id(p): name for name, p in policy.named_parameters()}
    decayed, free = ({name_of[id(p)] for p in group["params"]} for group in optimizer.param_groups)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert len(decayed) + len(free) == len(name_of)
    assert "image_encoder.linear.weight" in decayed
    assert all(name.endswith("weight") for name in decayed)
    assert {"no_text", "action_positions", "embeddings.0.weight", "image_encoder.norm.weight"} <= free


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    assert learning_rate(1.0, 0.005) == pytest.approx(0.1, abs=1e-3)
    assert learning_rate(1.0, 0.05) == pytest.approx(0.994, abs=1e-3)
    assert learning_rate(1.0, 0.5) == pytest.approx(0.505)
    assert learning_rate(1.0, 1.0) == learning_rate(1.0, 1.3) == pytest.approx(0.01)


def test_the_mean_follows_weights_and_statistics() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    mean = WeightMean(model, decay=0.9)
    before = {name: value.clone() for name, value in mean.module.state_dict().items()}
    model(torch.randn(4, 1, 3, 3) + 5)  # moves the statistics
    with torch.no_grad():
        model[0].weight += 1.0
    mean.update(step=1_000_000)
    for name, value in model.state_dict().items():
        after = mean.module.state_dict()[name]
        expected = torch.lerp(before[name], value, 0.1) if value.is_floating_point() else value
        torch.testing.assert_close(after, expected)
    assert not torch.equal(before["1.running_mean"], mean.module.state_dict()["1.running_mean"])
    assert not mean.module.training
