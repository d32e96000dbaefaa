"""model_config.yaml: every value is read, everything that it can express runs, every mistake is one sentence."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from eyehand.errors import UserError
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy_config import PolicyConfig, ffn_hidden_of
from eyehand.model.presets import preset
from eyehand.reference.model_config import config_from_shapes, config_text, read_reference_config
from eyehand.reference.weights import reference_state_of
from reference_file import MISSING, VARIANTS, config_yaml, random_policy
from tiny import random_clip

RELEASED_150M = """
shared:
  output_path: ${USER}/policy_model/150M
  n_seq_timesteps: 200
  text_tokenizer_config: {text_tokenizer_name: gemma, text_embedding_shape: [1, 768]}
  tokenizer: {type: conv, conv_tokenizer_config: {num_tokens: 1}}
policy_model:
  n_transformer_layers: 10
  n_q_head: 16
  n_kv_head: 16
  n_thinking_tokens: 1
  transformer_dim: &dim 1024
  attention_history_len: [200, 200, 200, 200, 200, 200, 200, 200, 200, 200]
  n_kv_sink_tokens: 0
  action_decoder: {embed_dim: *dim}
"""


def _read(path: Path, changes: dict[str, Any]) -> PolicyConfig:
    path.write_text(config_yaml(changes))
    return read_reference_config(path).policy


def test_every_value_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model_config.yaml"
    sampling = {
        "inference.mouse_sampling_approach": "conservative",
        "inference.sampling_temperature": 0.7,
        "policy_model.top_p": 0.9,
    }
    path.write_text(config_yaml({**VARIANTS["all at once"], **sampling}))
    read = read_reference_config(path)
    assert (read.mouse_sampling, read.temperature, read.top_p) == ("conservative", 0.7, 0.9)
    assert read.policy == PolicyConfig(
        action_space="p2p-6k3b",
        frame_size=256,
        history_steps=4,
        width=32,
        num_layers=2,
        num_q_heads=4,
        num_kv_heads=4,
        ffn_hidden=ffn_hidden_of(32),
        layer_history=(1, 4),
        num_sinks=2,
        num_text_tokens=2,
        text_dim=24,
        num_image_tokens=2,
        num_thinking_tokens=3,
        decoder_layers=3,  # not the 7 of the file, which the reference ignores
        decoder_q_heads=8,
        decoder_kv_heads=8,
        decoder_sinks=1,
        decoder_ffn_hidden=ffn_hidden_of(32),
        text_encoder="gemma",
    )
    assert read.policy.space.num_slots == 6 + 3 + 2


def test_the_released_sizes_are_our_presets(tmp_path: Path) -> None:
    path = tmp_path / "model_config.yaml"
    path.write_text(RELEASED_150M)
    read = read_reference_config(path)
    assert replace(read.policy, layer_history=()) == preset("p2p-150m")
    assert (read.mouse_sampling, read.temperature, read.top_p) == ("mean", 1.0, None)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_written_reads_the_same(tmp_path: Path, variant: str) -> None:
    path = tmp_path / "model_config.yaml"
    config = _read(path, VARIANTS[variant])
    path.write_text(config_text(config, "mean", 0.5))
    read = read_reference_config(path)
    assert (read.policy, read.mouse_sampling, read.temperature) == (config, "mean", 0.5)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_whole_clips_and_single_steps_agree(tmp_path: Path, variant: str) -> None:
    """Beyond the window, so that the cache rolls. Frames are small here: the trunk is no part of the question."""
    config = replace(_read(tmp_path / "model_config.yaml", VARIANTS[variant]), frame_size=32)
    policy, (frames, text, executed, _) = random_policy(config), random_clip(config, 2, 2 * config.history_steps + 3)
    captured: list[torch.Tensor] = []
    policy.backbone.register_forward_hook(lambda module, inputs, output: captured.append(output))
    policy(frames, text, executed, executed)
    whole = captured[0].unflatten(1, (frames.shape[1], -1))[:, :, config.num_seen_tokens]
    live = LivePolicy(policy)
    state, previous, steps = live.new_state(2), torch.zeros_like(executed[:, 0]), []
    for step in range(frames.shape[1]):
        steps.append(live.step(state, live.encode_image(frames[:, step]), live.embed_text(text[:, step]), previous))
        previous = executed[:, step]
    torch.testing.assert_close(torch.stack(steps, dim=1), whole, rtol=1e-4, atol=1e-4)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no history": ({"shared.n_seq_timesteps": MISSING}, r"lacks shared\.n_seq_timesteps"),
    "a section that is no section": ({"shared.tokenizer": "conv"}, r"lacks shared\.tokenizer\.type"),
    "text for a number": ({"policy_model.n_q_head": "four"}, r"n_q_head is 'four'.* a whole number"),
    "truth for a number": ({"policy_model.n_q_head": True}, r"n_q_head is True"),
    "negative": ({"policy_model.n_kv_sink_tokens": -1}, r"n_kv_sink_tokens is -1.* from 0"),
    "absurd": ({"policy_model.n_transformer_layers": 10**9}, r"n_transformer_layers is 1000000000"),
    "too many keys": ({"shared.action_mapping.max_keys": 7}, r"max_keys is 7.* from 1 to 6"),
    "not square": ({"shared.frame_width": 256}, "must be square"),
    "odd frames": ({"shared.frame_width": 100, "shared.frame_height": 100}, r"yaml: .*frame_size is 100"),
    "odd width": ({"policy_model.n_q_head": 3, "policy_model.n_kv_head": 3}, r"yaml: Width 32 with 3 query"),
    "shared keys": ({"policy_model.n_kv_head": 2}, r"n_kv_head is 2, but it must be the n_q_head 4"),
    "other tokenizer": ({"shared.tokenizer.type": "vit"}, r"type is 'vit'.* must be conv"),
    "mixture of experts": ({"policy_model.model_type": "sparse_moe"}, r"must be dense"),
    "other text": ({"shared.text_tokenizer_config.text_tokenizer_name": "bert"}, r"must be gemma or dummy or null"),
    "text shape": ({"shared.text_tokenizer_config.text_embedding_shape": [1]}, r"a list of 2 whole numbers"),
    "limits per layer": ({"policy_model.attention_history_len": [4]}, r"a list of 2 whole numbers"),
    "short limits": ({"policy_model.attention_history_len": [1, 2]}, r"is 2, but it must be the n_seq_timesteps 4"),
    "narrow decoder": ({"policy_model.action_decoder.embed_dim": 16}, r"must be the transformer_dim 32"),
    "sampling": ({"inference.mouse_sampling_approach": "median"}, r"must be mean or conservative"),
    "cold": ({"inference.sampling_temperature": 0}, r"a number above 0"),
    "nucleus": ({"policy_model.top_p": 1.5}, r"top_p is 1\.5"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_one_sentence(tmp_path: Path, case: str) -> None:
    changes, message = WRONG[case]
    with pytest.raises(UserError, match=message):
        _read(tmp_path / "model_config.yaml", changes)


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "model_config.yaml"
    with pytest.raises(UserError, match="There is no"):
        read_reference_config(path)
    for content in (
        b"[1, 2]",
        b"",
        b"a: [",
        b"\xff\xfe\x00\x00",
        os.urandom(64),
        b"[" * 5000,
        b"!!python/object:os.x {}",
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"model_config\.yaml"):
            read_reference_config(path)
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(UserError, match="larger than 1,000,000 bytes"):
        read_reference_config(path)


def test_a_bomb_of_references_is_not_unfolded(tmp_path: Path) -> None:
    path = tmp_path / "model_config.yaml"
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    path.write_text("\n".join((*lines, "shared: {n_seq_timesteps: *a29}")))
    with pytest.raises(UserError, match="n_seq_timesteps is") as caught:
        read_reference_config(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("variant", ["as released", "no thinking", "two image tokens", "sinks"])
def test_shapes_tell_the_configuration(tmp_path: Path, variant: str) -> None:
    config = replace(_read(tmp_path / "model_config.yaml", VARIANTS[variant]), layer_history=())
    state = reference_state_of(random_policy(config).state_dict(), config)
    assert config_from_shapes(state, Path("a.ckpt"), history_steps=4, num_q_heads=4) == config


def test_what_shapes_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    def needed(variant: str, **known: int) -> str:
        config = _read(tmp_path / "model_config.yaml", VARIANTS[variant])
        state = reference_state_of(random_policy(config).state_dict(), config)
        with pytest.raises(UserError) as caught:
            config_from_shapes(state, Path("a.ckpt"), **known)
        return str(caught.value)

    assert "give --config, or --history-steps and --q-heads." in needed("as released")
    assert "give --config, or --history-steps." in needed("as released", num_q_heads=4)
    assert "give --config, or --history-steps." in needed("sinks")
    assert "give --config." in needed("more keys", history_steps=4, num_q_heads=4)
    with pytest.raises(UserError, match=r"a\.ckpt is no checkpoint of Open P2P: it lacks"):
        config_from_shapes({"weight": torch.zeros(1)}, Path("a.ckpt"))


INEXPRESSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "vision": ({"vision": "pocket", "vision_widths": (8, 8, 8, 8)}, "its vision trunk is 'pocket'"),
    "independent": ({"decoder": "independent"}, "its steps or its decoder are of another kind"),
    "lag": ({"action_lag": 10}, "its steps or its decoder are of another kind"),
    "actions": ({"action_space": "full"}, "its actions are those of 'full'"),
    "frames": ({"frame_size": 128}, "it sees 128 pixels, not 192 or 256"),
    "text": ({"text_encoder": "wordllama"}, "embedded by 'wordllama'"),
    "decoder": ({"decoder_layers": 1}, "its decoder_layers is 1, not 3"),
    "heads": ({"num_kv_heads": 2}, "several of its query heads share keys"),
    "ffn": ({"ffn_hidden": 40}, "its ffn_hidden is 40, not 88"),
    "history": ({"layer_history": (1, 2)}, "no layer of it sees all 4 steps"),
}


@pytest.mark.parametrize("case", INEXPRESSIBLE)
def test_a_network_that_the_reference_lacks(tmp_path: Path, case: str) -> None:
    changes, message = INEXPRESSIBLE[case]
    config = replace(_read(tmp_path / "model_config.yaml", {}), **changes)
    with pytest.raises(UserError, match=message):
        config_text(config, "mean", 1.0)
