"""The configuration: strict JSON, checked sizes, presets by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from eyehand.errors import UserError
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig, ffn_hidden_of
from eyehand.model.presets import PRESETS, preset


@pytest.mark.parametrize("name", list(PRESETS))
def test_json_round_trip(name: str) -> None:
    config = replace(preset(name), layer_history=tuple(range(1, preset(name).num_layers + 1)))
    assert PolicyConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_unknown_missing_and_mistyped_keys_are_errors() -> None:
    values = preset("medium").to_json()
    with pytest.raises(UserError, match=r"widht is not known \(did you mean width\?\)"):
        PolicyConfig.from_json({**values, "widht": 3})
    with pytest.raises(UserError, match="lacks 'width'"):
        PolicyConfig.from_json({key: value for key, value in values.items() if key != "width"})
    with pytest.raises(UserError, match="width must be a whole number"):
        PolicyConfig.from_json({**values, "width": "256"})
    with pytest.raises(UserError, match="num_layers must be a whole number"):
        PolicyConfig.from_json({**values, "num_layers": True})
    with pytest.raises(UserError, match=r"vision_widths\[0\] must be a whole number"):
        PolicyConfig.from_json({**values, "vision_widths": [1.5]})


def test_checkpoints_from_before_an_option_are_what_they_were() -> None:
    values = preset("medium").to_json()
    for name in ("decoder", "action_lag", "is_step_fused"):
        del values[name]
    assert PolicyConfig.from_json(values) == preset("medium")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 100}, "cannot be built"),
        ({"num_kv_heads": 3}, "cannot be built"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"layer_history": (3,)}, "one limit per layer"),
        ({"vision": "resnet"}, "Unknown vision trunk 'resnet'"),
        ({"vision_widths": (8,)}, "vision_widths"),
        ({"frame_size": 100}, "multiple of 16"),
        ({"action_space": "gamepad"}, "Unknown action space 'gamepad'"),
        ({"decoder": "greedy"}, "Unknown action decoder 'greedy'"),
        ({"action_lag": -1}, "action_lag is -1"),
        ({"is_step_fused": True, "num_thinking_tokens": 0}, "A fused step holds one text and one image token"),
        ({"is_step_fused": True, "action_lag": 0}, "A fused step holds one text and one image token"),
    ],
)
def test_sizes_that_cannot_be_built_are_errors(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(preset("medium"), **change)  # type: ignore[arg-type]


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"Unknown preset 'poket': choose one of pocket, medium, p2p-150m"):
        preset("poket")


def test_pocket_fits_its_budget() -> None:
    config = preset("pocket")
    assert 2 * Policy(config).num_parameters <= 20_000_000  # bytes of a checkpoint in half precision
    assert config.history_steps / 20 >= 9.0


def test_ffn_hidden_is_the_references() -> None:
    assert ffn_hidden_of(64) == 176  # shape of w2 in the reference's small checkpoint
