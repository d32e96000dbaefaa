"""`PolicyConfig`: everything that shapes a policy network, frozen, with a strict JSON round trip.

A checkpoint carries its resolved PolicyConfig; the network is built from nothing else. Named configurations are in
`presets`. Sizes and names follow the reference (arXiv 2601.04575, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from eyehand.action_space import ActionSpace
from eyehand.action_space import action_space as action_space_named
from eyehand.errors import UserError
from eyehand.model.trunk import TRUNKS
from eyehand.typed import typed

__all__ = ["DECODERS", "PolicyConfig", "ffn_hidden_of"]

DECODERS = ("autoregressive", "independent")
"""`autoregressive`: the reference's transformer, one token of the action after another. `independent`: all of them at
once from the backbone's output, one Bernoulli per key and button and one softmax per motion axis."""


def ffn_hidden_of(width: int) -> int:
    """The reference's SwiGLU hidden size: two thirds of 4 x width, rounded up to a multiple of 8."""
    return 8 * math.ceil((2 * 4 * width // 3) / 8)


@dataclass(frozen=True)
class PolicyConfig:
    """The shape of a policy network.

    Attributes:
        action_space: name of the ActionSpace of its tokens.
        decoder: one of DECODERS.
        action_lag: how many steps ago an action must have been executed to be seen; 1: all past actions, as in the
            reference; 10: none of the last half second; 0: no past actions at all.
        is_step_fused: a step is one token, picture and instruction added up, from which the action is read.
        frame_size: height and width in pixels of the pictures.
        history_steps: T, how many steps (this one included) a query sees.
        width: d, features of a token in backbone and decoder.
        num_layers, num_q_heads, num_kv_heads, ffn_hidden: the backbone (fewer kv than q heads: grouped queries).
        layer_history: one limit h per layer; a key of an earlier step is seen while q_step - kv_step <= h. Empty: T.
        num_sinks: learned key/value pairs in front of every backbone layer's keys.
        num_text_tokens, text_dim: shape of one embedded instruction.
        num_image_tokens, num_thinking_tokens: per step.
        vision: a kind of trunk in `trunk.TRUNKS`.
        vision_widths: channels of the `pocket` trunk: 48x48, 24x24, 12x12 stage, and the reduced 12x12 map.
        decoder_layers, decoder_q_heads, decoder_kv_heads, decoder_ffn_hidden, decoder_sinks: the autoregressive action
            decoder.
        dropout: on every attention output, in training only.
        text_encoder: name of the encoder (model.text) that the network was trained with.
    """

    action_space: str = "p2p"
    frame_size: int = 192
    history_steps: int = 200
    width: int = 1024
    num_layers: int = 10
    num_q_heads: int = 16
    num_kv_heads: int = 16
    ffn_hidden: int = ffn_hidden_of(1024)
    layer_history: tuple[int, ...] = ()
    num_sinks: int = 0
    num_text_tokens: int = 1
    text_dim: int = 768
    num_image_tokens: int = 1
    num_thinking_tokens: int = 1
    vision: str = "p2p"
    vision_widths: tuple[int, ...] = ()
    decoder_layers: int = 3
    decoder_q_heads: int = 8
    decoder_kv_heads: int = 8
    decoder_ffn_hidden: int = ffn_hidden_of(1024)
    decoder_sinks: int = 1
    dropout: float = 0.1
    text_encoder: str = "gemma"
    decoder: str = "autoregressive"
    action_lag: int = 1
    is_step_fused: bool = False

    def __post_init__(self) -> None:
        """Reject sizes that cannot be built, or only with more memory than any such network has needed.

        Raises:
            UserError: naming the first wrong one.
        """
        for name, (least, most) in _LIMITS.items():
            sizes = getattr(self, name)
            for size in sizes if isinstance(sizes, tuple) else (sizes,):
                if not least <= size <= most:
                    raise UserError(f"Model option {name} is {size}: it must be between {least} and {most:,}.")
        action_space_named(self.action_space)
        for q_heads, kv_heads in (
            (self.num_q_heads, self.num_kv_heads),
            (self.decoder_q_heads, self.decoder_kv_heads),
        ):
            if self.width % (2 * q_heads) or q_heads % kv_heads:
                raise UserError(
                    f"Width {self.width} with {q_heads} query and {kv_heads} key/value heads cannot be built: "
                    "use a width that is a multiple of twice the query heads, and query heads a multiple of the others."
                )
        if self.layer_history and len(self.layer_history) != self.num_layers:
            raise UserError(
                f"Model option layer_history has {len(self.layer_history)} limits for {self.num_layers} layers: "
                "give one limit per layer."
            )
        if self.vision not in TRUNKS:
            raise UserError(f"Unknown vision trunk {self.vision!r}: choose one of {', '.join(TRUNKS.names)}.")
        if self.vision == "pocket" and len(self.vision_widths) != 4:
            raise UserError("The pocket vision trunk needs four vision_widths: three stages and the reduced map.")
        if self.decoder not in DECODERS:
            raise UserError(f"Unknown action decoder {self.decoder!r}: choose one of {', '.join(DECODERS)}.")
        is_more_than_one = (self.num_text_tokens, self.num_image_tokens, self.num_thinking_tokens) != (1, 1, 0)
        if self.is_step_fused and (self.action_lag or is_more_than_one):
            raise UserError(
                "A fused step holds one text and one image token and no other: give action_lag 0 and "
                "num_thinking_tokens 0, or no is_step_fused."
            )
        num_tokens = self.history_steps * self.num_step_tokens
        num_masks = len(set(map(self.history_of, range(self.num_layers)))) * (self.num_q_heads // self.num_kv_heads)
        if num_tokens * (num_tokens + self.num_sinks) * num_masks > _MOST_MASKED:
            raise UserError(
                f"A history_steps of {self.history_steps:,} makes {num_tokens:,} tokens for {num_masks} masks, and "
                "those would not fit into memory: use fewer steps, tokens per step, or history limits."
            )
        if self.frame_size % 16:
            raise UserError(f"Model option frame_size is {self.frame_size}: it must be a multiple of 16.")

    @property
    def space(self) -> ActionSpace:
        """The ActionSpace of the tokens."""
        space = action_space_named(self.action_space)
        return space.independent if self.decoder == "independent" else space

    @property
    def num_seen_tokens(self) -> int:
        """Tokens of S in one step: text, image, thinking, or the fused one."""
        return 1 if self.is_step_fused else self.num_text_tokens + self.num_image_tokens + self.num_thinking_tokens

    @property
    def num_out_tokens(self) -> int:
        """Tokens of O in one step."""
        return 0 if self.is_step_fused else 1

    @property
    def out_place(self) -> int:
        """Index within a step of the token from which the action is read: O, or the fused one."""
        return self.num_seen_tokens + self.num_out_tokens - 1

    @property
    def num_action_tokens(self) -> int:
        """Tokens of A in one step: one per slot, or with an independent decoder one for the whole action."""
        if self.action_lag == 0:
            return 0
        return 1 if self.decoder == "independent" else self.space.num_slots

    @property
    def num_step_tokens(self) -> int:
        """All tokens of one step: S, O and A."""
        return self.num_seen_tokens + self.num_out_tokens + self.num_action_tokens

    @property
    def trunk_shape(self) -> dict[str, Any]:
        """The fields that shape the image trunk."""
        return {name: getattr(self, name) for name in ("frame_size", "vision", "vision_widths")}

    def history_of(self, layer: int) -> int:
        """The largest q_step - kv_step that this layer sees."""
        limit = self.layer_history[layer] if self.layer_history else self.history_steps
        return min(limit, self.history_steps - 1)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, one key per field."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> PolicyConfig:
        """The inverse of `to_json`.

        Raises:
            UserError: a key that is unknown or missing, or a value of another type.
        """
        known = {field.name for field in fields(PolicyConfig)} - _ADDED_LATER
        if missing := sorted(known - set(values)):
            raise UserError(f"The model configuration lacks {missing[0]!r}: write the checkpoint again.")
        try:
            return typed(PolicyConfig, values)
        except UserError as error:
            raise UserError(f"The model configuration does not fit: {str(error).rstrip('.')}.") from error


_ADDED_LATER = {"decoder", "action_lag", "is_step_fused"}
"""Fields that a checkpoint may lack because it is older; their defaults are what it is."""

_LIMITS = {
    "frame_size": (16, 1024),
    "history_steps": (1, 10_000),
    "width": (1, 1 << 14),
    "num_layers": (1, 256),
    "num_q_heads": (1, 1024),
    "num_kv_heads": (1, 1024),
    "ffn_hidden": (1, 1 << 17),
    "layer_history": (0, 1_000_000),
    "num_sinks": (0, 1024),
    "num_text_tokens": (1, 1024),
    "text_dim": (1, 1 << 16),
    "num_image_tokens": (1, 1024),
    "num_thinking_tokens": (0, 1024),
    "action_lag": (0, 10_000),
    "vision_widths": (1, 1 << 13),
    "decoder_layers": (1, 256),
    "decoder_q_heads": (1, 1024),
    "decoder_kv_heads": (1, 1024),
    "decoder_ffn_hidden": (1, 1 << 17),
    "decoder_sinks": (0, 1024),
    "dropout": (0, 0.99),
}
"""Least and most of each size: a configuration can come from anywhere, and is built before its weights are read."""

_MOST_MASKED = 1 << 27
"""Places in the attention masks: pairs of tokens, for every history limit and query head of a group."""
