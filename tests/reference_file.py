"""Made files of the reference's kind: a model_config.yaml with chosen values, and a .ckpt with random weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.reference.model_config import read_reference_config
from eyehand.reference.weights import reference_state_of

BASE: dict[str, Any] = {
    "shared": {
        "n_seq_timesteps": 4,
        "frame_height": 192,
        "frame_width": 192,
        "text_tokenizer_config": {"text_tokenizer_name": "gemma", "text_embedding_shape": [1, 16]},
        "tokenizer": {"type": "conv", "conv_tokenizer_config": {"num_tokens": 1}},
        "action_mapping": {"max_keys": 4, "max_mouse_keys": 2},
    },
    "policy_model": {
        "model_type": "dense",
        "n_transformer_layers": 2,
        "transformer_dim": 32,
        "n_q_head": 4,
        "n_kv_head": 4,
        "n_thinking_tokens": 1,
        "n_kv_sink_tokens": 0,
        "attention_history_len": [4, 4],
        "action_decoder": {"embed_dim": 32, "n_transformer_layers": 7},
        "top_p": None,
    },
    "inference": {"mouse_sampling_approach": "truncated_normal", "sampling_temperature": 1.0},
    "wandb": {"enabled": False},
}

VARIANTS: dict[str, dict[str, Any]] = {
    "as released": {},
    "no thinking": {"policy_model.n_thinking_tokens": 0},
    "three thinking tokens": {"policy_model.n_thinking_tokens": 3},
    "two text tokens": {"shared.text_tokenizer_config.text_embedding_shape": [2, 24]},
    "two image tokens": {"shared.tokenizer.conv_tokenizer_config.num_tokens": 2},
    "sinks": {"policy_model.n_kv_sink_tokens": 2},
    "history by layer": {"policy_model.attention_history_len": [1, 4]},
    "more keys": {"shared.action_mapping.max_keys": 6, "shared.action_mapping.max_mouse_keys": 3},
    "larger frames": {"shared.frame_height": 256, "shared.frame_width": 256},
}
"""Configurations that a file can express, as changes of BASE by dotted key."""
VARIANTS["all at once"] = {key: value for changes in VARIANTS.values() for key, value in changes.items()}

MISSING = object()


def config_yaml(changes: dict[str, Any] | None = None) -> str:
    """BASE with these values, MISSING to leave one out."""
    content = copy.deepcopy(BASE)
    for key, value in (changes or {}).items():
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = value
        if value is MISSING:
            del section[last]
    return yaml.safe_dump(content)


def random_policy(config: PolicyConfig) -> Policy:
    """In evaluation mode; BatchNorms have statistics of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = Policy(config).eval()
        for name, buffer in policy.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return policy


def write_reference(folder: Path, changes: dict[str, Any] | None = None, **entries: Any) -> dict[str, Tensor]:
    """`policy.ckpt` and model_config.yaml in this folder; returns the weights by the reference's names.

    Args:
        folder: exists.
        changes: of BASE.
        entries: to put beside the weights.
    """
    (folder / "model_config.yaml").write_text(config_yaml(changes))
    config = read_reference_config(folder / "model_config.yaml").policy
    state = reference_state_of(random_policy(config).state_dict(), config)
    torch.save({"epoch": 0, "global_step": 12, "state_dict": state, **entries}, folder / "policy.ckpt")
    return state
