"""Weights of the reference, Open P2P (arXiv 2601.04575), under our names.

Reads a Lightning `.ckpt` without executing anything in it and renames its tensors for a `Policy` of the same shape;
every tensor is used exactly once or is a known repetition. Our network must then give the reference's numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from eyehand.errors import UserError

__all__ = ["policy_state_of", "read_reference"]

_REPEATED = "bc_transformer.image_tokenizer."
_PARTS_OF_FIRST_STAGE = ("depthwise", "gate", "project")
_PARTS_OF_STAGE = ("expand", "depthwise", "gate", "project")
_CONV_NORM = {"0": "conv", "1": "norm"}
_HEADS = ("key", "mouse_button", "mouse_delta_x", "mouse_delta_y")
_LOGITS = ("keyboard", "mouse_button", "mouse_delta_x", "mouse_delta_y")
_VECTORS = {
    "bc_transformer.img_pos_tokens": "image_positions",
    "bc_transformer.action_pos_tokens": "action_positions",
    "bc_transformer.text_pos_tokens": "text_positions",
    "bc_transformer.text_embedding_for_no_text_input": "no_text",
    "bc_transformer.thinking_pos_tokens": "thinking",
    "bc_transformer.action_out_token": "action_out",
}
_PREFIXES = {
    "image_tokenizer.mlp.0.": "image_encoder.linear.",
    "image_tokenizer.mlp.1.": "image_encoder.norm.",
    "bc_transformer.text_embed_mlp.": "text_projection.",
    "bc_transformer.action_decoder.input_proj.": "decoder.input.",
    "bc_transformer.action_decoder.pos_tokens": "decoder.positions",
    **{
        f"{name}_action_embedding." if name == "key" else f"{name}_embedding.": f"embeddings.{i}."
        for i, name in enumerate(_HEADS)
    },
    **{f"{name}_out_logits.": f"heads.{i}." for i, name in enumerate(_LOGITS)},
}
_BLOCK_PARTS = {
    "self_attention.c_attn.": "attention.qkv.",
    "self_attention.c_proj.": "attention.out.",
    "self_attention.q_norm.": "attention.q_norm.",
    "self_attention.k_norm.": "attention.k_norm.",
    "self_attention.k_sinks": "attention.k_sinks",
    "self_attention.v_sinks": "attention.v_sinks",
    "self_attention_norm.": "attention_norm.",
    "ffn_norm.": "ffn_norm.",
    "ffn.": "ffn.",
}
_TRUNK_STEM = re.compile(r"image_tokenizer\.efficientnet_preprocess\.0\.([01])\.(.+)")
_TRUNK_BLOCK = re.compile(r"image_tokenizer\.efficientnet_preprocess\.([1-5])\.(\d+)\.block\.(\d)\.(.+)")
_BLOCK = re.compile(r"bc_transformer\.(_transformer|action_decoder)\.transformer_layers\.(\d+)\.(.+)")


def read_reference(path: Path) -> dict[str, Tensor]:
    """The `state_dict` of a Lightning checkpoint.

    Raises:
        UserError: the file is missing, damaged, or holds no network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = content["state_dict"]
    except FileNotFoundError as error:
        raise UserError(f"There is no checkpoint {path}: give the path of a .ckpt file of Open P2P.") from error
    except Exception as error:  # torch reports damage in half a dozen ways
        raise UserError(f"{path} is not a whole Open P2P checkpoint: download it again.") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds no weights: give a .ckpt file of Open P2P.")
    return state


def policy_state_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a reference checkpoint under the names and shapes of `Policy.state_dict()`, dtypes kept.

    Raises:
        UserError: a tensor that the architecture does not have.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith(_REPEATED):
            continue
        own = _own_name(name)
        if own is None or own in renamed:
            raise UserError(f"The checkpoint has a tensor {name!r} that Open P2P's network does not have.")
        renamed[own] = tensor.squeeze(0) if name in _VECTORS else tensor
    return renamed


def _own_name(name: str) -> str | None:
    if name in _VECTORS:
        return _VECTORS[name]
    if match := _TRUNK_STEM.fullmatch(name):
        return f"image_encoder.trunk.stem.{_CONV_NORM[match[1]]}.{match[2]}"
    if match := _TRUNK_BLOCK.fullmatch(name):
        return _trunk_name(int(match[1]), match[2], int(match[3]), match[4])
    if match := _BLOCK.fullmatch(name):
        stack = "backbone" if match[1] == "_transformer" else "decoder"
        for prefix, own in _BLOCK_PARTS.items():
            if match[3].startswith(prefix):
                return f"{stack}.layers.{match[2]}.{own}{match[3].removeprefix(prefix)}"
        return None
    for prefix, own in _PREFIXES.items():
        if name.startswith(prefix):
            return own + name.removeprefix(prefix)
    return None


def _trunk_name(stage: int, block: str, part: int, rest: str) -> str | None:
    parts = _PARTS_OF_FIRST_STAGE if stage == 1 else _PARTS_OF_STAGE
    if part >= len(parts):
        return None
    if parts[part] != "gate":
        layer, _, leaf = rest.partition(".")
        if layer not in _CONV_NORM:
            return None
        rest = f"{_CONV_NORM[layer]}.{leaf}"
    return f"image_encoder.trunk.stages.{stage - 1}.{block}.{parts[part]}.{rest}"
