"""The reference's `model_config.yaml` as a PolicyConfig, and back.

Reads what shapes the network and how it is sampled; the rest of the file (training, data) is of no interest here.
A value that is missing, wrong, or unsupported by our network raises UserError. The reference fixes its action
decoder's depth, heads and sinks whatever the file says. Keys and defaults: Open P2P's public code.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from torch import Tensor

from eyehand.action_space import ActionSpace, MouseSampling, p2p_space
from eyehand.errors import UserError, unreadable
from eyehand.foreign import read_regular
from eyehand.model.policy_config import PolicyConfig, ffn_hidden_of

__all__ = ["CONFIG_NAME", "ReferenceConfig", "config_from_shapes", "config_text", "read_reference_config"]

CONFIG_NAME = "model_config.yaml"
"""What the reference calls its configuration beside a checkpoint."""

_TEXT_ENCODERS = {"gemma": "gemma", "dummy": "dummy", None: "none"}
_FRAME_SIZES = (192, 256)
# What the reference builds whatever the file says; PolicyConfig's defaults are the same.
_DECODER = {"decoder_layers": 3, "decoder_q_heads": 8, "decoder_kv_heads": 8, "decoder_sinks": 1}
_MOST_BYTES = 1_000_000
_MOST = 1_000_000
_MOST_LAYERS = 1_000
_REQUIRED = object()
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2  # aliases can make a small file an endless value


@dataclass(frozen=True)
class ReferenceConfig:
    """The policy and its sampling in a model_config.yaml.

    Attributes:
        policy: the network's shape.
        mouse_sampling, temperature: of the sampling.
        top_p: likewise; None: not restricted.
    """

    policy: PolicyConfig
    mouse_sampling: MouseSampling
    temperature: float
    top_p: float | None = None


def read_reference_config(path: Path) -> ReferenceConfig:
    """Read a model_config.yaml.

    Raises:
        UserError: naming the first value that is missing, wrong, or unsupported.
    """
    values = _Values(path)
    steps = values.whole("shared.n_seq_timesteps")
    height = values.whole("shared.frame_height", default=192)
    if (width := values.whole("shared.frame_width", default=192)) != height:
        raise UserError(f"{path}: frames of {width} x {height} are not supported: they must be square.")
    num_text, text_dim = values.wholes("shared.text_tokenizer_config.text_embedding_shape", length=2)
    encoder = values.choice("shared.text_tokenizer_config.text_tokenizer_name", tuple(_TEXT_ENCODERS), default=None)
    values.choice("shared.tokenizer.type", ("conv",))
    values.choice("policy_model.model_type", ("dense",), default="dense")
    dim = values.whole("policy_model.transformer_dim")
    num_layers = values.whole("policy_model.n_transformer_layers", most=_MOST_LAYERS)
    if values.whole("policy_model.action_decoder.embed_dim", default=256) != dim:
        raise UserError(f"{path}: policy_model.action_decoder.embed_dim must be the transformer_dim {dim}.")
    num_heads = values.whole("policy_model.n_q_head")
    if (num_kv_heads := values.whole("policy_model.n_kv_head")) != num_heads:
        # The original's norm of the keys has the width of the queries, so it cannot run such a network either.
        raise UserError(f"{path}: policy_model.n_kv_head is {num_kv_heads}, but it must be the n_q_head {num_heads}.")
    hidden = ffn_hidden_of(dim)
    try:
        policy = PolicyConfig(
            action_space=_action_space(values).name,
            frame_size=height,
            history_steps=steps,
            width=dim,
            num_layers=num_layers,
            num_q_heads=num_heads,
            num_kv_heads=num_heads,
            ffn_hidden=hidden,
            layer_history=_layer_history(values, num_layers, steps),
            num_sinks=values.whole("policy_model.n_kv_sink_tokens", least=0),
            num_text_tokens=num_text,
            text_dim=text_dim,
            num_image_tokens=values.whole("shared.tokenizer.conv_tokenizer_config.num_tokens"),
            num_thinking_tokens=values.whole("policy_model.n_thinking_tokens", least=0),
            decoder_ffn_hidden=hidden,
            text_encoder=_TEXT_ENCODERS[encoder],
        )
    except UserError as error:
        raise UserError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error
    return ReferenceConfig(
        policy=policy,
        mouse_sampling=values.choice("inference.mouse_sampling_approach", get_args(MouseSampling), default="mean"),
        temperature=values.positive("inference.sampling_temperature", default=1.0),
        top_p=values.probability("policy_model.top_p"),
    )


def config_text(config: PolicyConfig, mouse_sampling: MouseSampling, temperature: float) -> str:
    """The text of a model_config.yaml for this network; keys left out have the reference's defaults.

    Raises:
        UserError: the reference has no such network.
    """
    if reason := _inexpressible(config):
        raise UserError(f"Open P2P has no such network: {reason}, so this checkpoint cannot be written for it.")
    space = config.space
    encoders = {own: name for name, own in _TEXT_ENCODERS.items()}
    content = {
        "shared": {
            "n_seq_timesteps": config.history_steps,
            "frame_height": config.frame_size,
            "frame_width": config.frame_size,
            "text_tokenizer_config": {
                "text_tokenizer_name": encoders[config.text_encoder],
                "text_embedding_shape": [config.num_text_tokens, config.text_dim],
            },
            "tokenizer": {"type": "conv", "conv_tokenizer_config": {"num_tokens": config.num_image_tokens}},
            "action_mapping": {"max_keys": space.num_key_slots, "max_mouse_keys": space.num_button_slots},
        },
        "policy_model": {
            "model_type": "dense",
            "n_transformer_layers": config.num_layers,
            "transformer_dim": config.width,
            "n_q_head": config.num_q_heads,
            "n_kv_head": config.num_kv_heads,
            "n_thinking_tokens": config.num_thinking_tokens,
            "n_kv_sink_tokens": config.num_sinks,
            "attention_history_len": list(config.layer_history) or [config.history_steps] * config.num_layers,
            "mask_block_size": 128,
            "action_decoder": {
                "embed_dim": config.width,
                "n_q_head": config.decoder_q_heads,
                "n_kv_head": config.decoder_kv_heads,
                "n_transformer_layers": config.decoder_layers,
            },
        },
        "inference": {"mouse_sampling_approach": mouse_sampling, "sampling_temperature": temperature},
    }
    text: str = yaml.safe_dump(content, sort_keys=False)
    return text


def config_from_shapes(
    state: Mapping[str, Tensor], file: Path, history_steps: int | None = None, num_q_heads: int | None = None
) -> PolicyConfig:
    """The PolicyConfig derived from the tensor shapes of a reference checkpoint without a model_config.yaml.

    Args:
        state: the reference's state_dict; only shapes are looked at.
        file: for error messages.
        history_steps, num_q_heads: not in the shapes (with sinks, num_q_heads is).

    Raises:
        UserError: it is no network of the reference, or one of these two is needed.
    """

    def size(name: str, axis: int) -> int:
        shape = state[f"bc_transformer.{name}"].shape
        return int(shape[axis])

    layer = "_transformer.transformer_layers.{}.ffn.w2.weight"
    try:
        width = size("action_out_token", -1)
        num_layers = next(n for n in range(len(state)) if f"bc_transformer.{layer.format(n)}" not in state)
        side = math.isqrt(int(state["image_tokenizer.mlp.0.weight"].shape[1]) // 112)
        num_slots = size("action_pos_tokens", 1)
        num_sinks, sinks = 0, "_transformer.transformer_layers.0.self_attention.k_sinks"
        if f"bc_transformer.{sinks}" in state:
            num_sinks, num_q_heads = size(sinks, 2), width // size(sinks, 3)
        num_text, text_dim = size("text_pos_tokens", 1), size("text_embed_mlp.weight", 1)
        num_image, num_thinking = size("img_pos_tokens", 1), size("thinking_pos_tokens", 1)
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise UserError(f"{file} is no checkpoint of Open P2P: it lacks the tensor {error}.") from error
    needed = []
    if num_slots != p2p_space().num_slots:
        needed = ["--config"]
    else:
        needed += ["--history-steps"] if history_steps is None else []
        needed += ["--q-heads"] if num_q_heads is None else []
    if needed or history_steps is None or num_q_heads is None:
        options = "--config" if needed == ["--config"] else f"--config, or {' and '.join(needed)}"
        raise UserError(
            f"There is no {CONFIG_NAME} beside {file}, and its tensors do not tell everything: give {options}."
        )
    hidden = ffn_hidden_of(width)
    return PolicyConfig(
        frame_size=side * 16,
        history_steps=history_steps,
        width=width,
        num_layers=num_layers,
        num_q_heads=num_q_heads,
        num_kv_heads=num_q_heads,
        ffn_hidden=hidden,
        num_sinks=num_sinks,
        num_text_tokens=num_text,
        text_dim=text_dim,
        num_image_tokens=num_image,
        num_thinking_tokens=num_thinking,
        decoder_ffn_hidden=hidden,
    )


def _action_space(values: _Values) -> ActionSpace:
    return p2p_space(
        values.whole("shared.action_mapping.max_keys", default=4, most=6),
        values.whole("shared.action_mapping.max_mouse_keys", default=2, most=3),
    )


def _layer_history(values: _Values, num_layers: int, steps: int) -> tuple[int, ...]:
    key = "policy_model.attention_history_len"
    limits = values.wholes(key, length=num_layers, least=0)
    if max(limits) != steps:
        raise UserError(
            f"{values.path}: the largest of {key} is {max(limits)}, but it must be the n_seq_timesteps {steps}."
        )
    return limits


def _inexpressible(config: PolicyConfig) -> str | None:
    """Why the reference has no network of this configuration; None: it has."""
    if config.vision != "p2p":
        return f"its vision trunk is {config.vision!r}"
    if not config.action_space.startswith("p2p"):
        return f"its actions are those of {config.action_space!r}"
    if (config.decoder, config.action_lag, config.is_step_fused) != ("autoregressive", 1, False):
        return "its steps or its decoder are of another kind"
    if config.frame_size not in _FRAME_SIZES:
        return f"it sees {config.frame_size} pixels, not {' or '.join(map(str, _FRAME_SIZES))}"
    if config.text_encoder not in _TEXT_ENCODERS.values():
        return f"its instructions are embedded by {config.text_encoder!r}"
    if config.num_kv_heads != config.num_q_heads:
        return "several of its query heads share keys"
    for name, value in (*_DECODER.items(), *((n, ffn_hidden_of(config.width)) for n in _HIDDEN)):
        if getattr(config, name) != value:
            return f"its {name} is {getattr(config, name)}, not {value}"
    if config.layer_history and max(config.layer_history) != config.history_steps:
        return f"no layer of it sees all {config.history_steps} steps"
    return None


_HIDDEN = ("ffn_hidden", "decoder_ffn_hidden")


class _Values:
    """The values of a YAML file by dotted key, each checked on access."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._content = yaml.safe_load(read_regular(path, _MOST_BYTES))
        except FileNotFoundError as error:
            raise UserError(f"There is no {path}: give the {CONFIG_NAME} that belongs to the checkpoint.") from error
        except OSError as error:
            raise unreadable(path, error) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UserError(f"{path} is not valid YAML: copy the {CONFIG_NAME} again.") from error
        if not isinstance(self._content, dict):
            raise UserError(f"{path} is no {CONFIG_NAME} of Open P2P: give the file that lies beside the .ckpt.")

    def _get(self, key: str, default: Any) -> Any:
        value: Any = self._content
        for part in key.split("."):
            value = value.get(part, _REQUIRED) if isinstance(value, dict) else _REQUIRED
        if value is not _REQUIRED:
            return value
        if default is _REQUIRED:
            raise UserError(f"{self.path} lacks {key}: give the {CONFIG_NAME} that belongs to the checkpoint.")
        return default

    def _wrong(self, key: str, value: Any, must: str) -> UserError:
        return UserError(f"{self.path}: {key} is {_SHORT.repr(value)}, but it must be {must}.")

    def whole(self, key: str, default: Any = _REQUIRED, least: int = 1, most: int = _MOST) -> int:
        value = self._get(key, default)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(key, value, f"a whole number from {least} to {most:,}")
        return value

    def wholes(self, key: str, length: int, least: int = 1) -> tuple[int, ...]:
        value = self._get(key, _REQUIRED)
        is_right = isinstance(value, list) and len(value) == length
        if not is_right or not all(type(item) is int and least <= item <= _MOST for item in value):
            raise self._wrong(key, value, f"a list of {length} whole numbers of at least {least}")
        return tuple(value)

    def choice(self, key: str, choices: tuple[Any, ...], default: Any = _REQUIRED) -> Any:
        value = self._get(key, default)
        if not isinstance(value, str | None) or value not in choices:
            names = " or ".join("null" if choice is None else choice for choice in choices)
            raise self._wrong(key, value, f"{names} (nothing else is supported)")
        return value

    def positive(self, key: str, default: float) -> float:
        value = self._get(key, default)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise self._wrong(key, value, "a number above 0")
        return float(value)

    def probability(self, key: str) -> float | None:
        value = self._get(key, None)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 < value <= 1:
            raise self._wrong(key, value, "null, or a number above 0 and at most 1")
        return float(value)
