"""Weights of the reference, Open P2P (arXiv 2601.04575), under our names and back.

`reference_layout(config)` lists every tensor of the reference's network of this shape: its name there, its name here,
its shape and dtype. Reading and writing both follow that one list, so every tensor is used exactly once or is an error.
Reads a Lightning `.ckpt` without executing anything in it, and maps it instead of copying it into memory.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eyehand.errors import UserError
from eyehand.foreign import check_zip
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.vision_weights import torchvision_name

__all__ = ["REPEATED", "ReferenceTensor", "policy_state_of", "read_reference", "reference_layout", "reference_state_of"]

REPEATED = "bc_transformer."
"""The image tokenizer belongs to two modules of the reference, so its tensors are in a file twice: with this too."""

_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_TRUNK = "image_encoder.trunk."
_HEADS = ("key", "mouse_button", "mouse_delta_x", "mouse_delta_y")
_VECTORS = {
    "image_positions": "img_pos_tokens",
    "action_positions": "action_pos_tokens",
    "text_positions": "text_pos_tokens",
    "no_text": "text_embedding_for_no_text_input",
    "thinking": "thinking_pos_tokens",
    "action_out": "action_out_token",
}
_ENCODER_PARTS = {
    "linear.weight": "mlp.0.weight",
    "linear.bias": "mlp.0.bias",
    "norm.weight": "mlp.1.weight",
    "norm.bias": "mlp.1.bias",
}
_SINKS = {"attention.k_sinks": "self_attention.k_sinks", "attention.v_sinks": "self_attention.v_sinks"}
_BLOCK_PARTS = {
    "attention.k_norm.scale": "self_attention.k_norm.scale",
    "attention.q_norm.scale": "self_attention.q_norm.scale",
    "attention.qkv.weight": "self_attention.c_attn.weight",
    "attention.out.weight": "self_attention.c_proj.weight",
    "ffn.w13.weight": "ffn.w13.weight",
    "ffn.w2.weight": "ffn.w2.weight",
    "attention_norm.scale": "self_attention_norm.scale",
    "ffn_norm.scale": "ffn_norm.scale",
}


@dataclass(frozen=True)
class ReferenceTensor:
    """One tensor of the reference.

    Attributes:
        name: in the reference's state_dict.
        own: in `Policy.state_dict()`.
        shape, dtype: in the reference. Ours has the same shape without the leading 1 of the learned token vectors.
    """

    name: str
    own: str
    shape: torch.Size
    dtype: torch.dtype

    @property
    def is_repetition(self) -> bool:
        return self.name.startswith(REPEATED + "image_tokenizer.")


def reference_layout(config: PolicyConfig) -> tuple[ReferenceTensor, ...]:
    """The reference's tensors in its own order. Allocates no weights.

    Args:
        config: with the `p2p` trunk and a P2P action space.
    """
    with torch.device("meta"):
        expected = Policy(config).state_dict()
    layout = []
    for name, own in _names(config, expected):
        tensor = expected[own]
        is_vector = own in _VECTORS
        is_half = is_vector or own == "decoder.positions" or own.startswith("embeddings.") or own.endswith("_sinks")
        shape = torch.Size((1, *tensor.shape)) if is_vector else tensor.shape
        layout.append(ReferenceTensor(name, own, shape, torch.bfloat16 if is_half else tensor.dtype))
    assert {tensor.own for tensor in layout} == set(expected)
    return tuple(layout)


def _names(config: PolicyConfig, expected: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Pairs of the reference's and our name."""
    encoder = [
        (f"image_tokenizer.efficientnet_preprocess.{torchvision_name(own.removeprefix(_TRUNK))}", own)
        for own in expected
        if own.startswith(_TRUNK)
    ]
    encoder += [(f"image_tokenizer.{name}", f"image_encoder.{own}") for own, name in _ENCODER_PARTS.items()]
    yield from encoder
    for own, name in _VECTORS.items():
        yield f"bc_transformer.{name}", own
    yield from _block_names("bc_transformer._transformer", "backbone", config.num_layers, config.num_sinks)
    for name, own in encoder:
        yield REPEATED + name, own
    yield "bc_transformer.text_embed_mlp.weight", "text_projection.weight"
    decoder = "bc_transformer.action_decoder"
    yield f"{decoder}.pos_tokens", "decoder.positions"
    for leaf in ("weight", "bias"):
        yield f"{decoder}.input_proj.{leaf}", f"decoder.input.{leaf}"
    yield from _block_names(decoder, "decoder", config.decoder_layers, config.decoder_sinks)
    for index, head in enumerate(_HEADS):
        yield (
            f"{head}_action_embedding.weight" if head == "key" else f"{head}_embedding.weight",
            (f"embeddings.{index}.weight"),
        )
        for leaf in ("weight", "bias"):
            yield f"{'keyboard' if head == 'key' else head}_out_logits.{leaf}", f"heads.{index}.{leaf}"


def _block_names(reference: str, own: str, num_layers: int, num_sinks: int) -> Iterator[tuple[str, str]]:
    parts = {**_SINKS, **_BLOCK_PARTS} if num_sinks else _BLOCK_PARTS
    for layer in range(num_layers):
        for own_part, part in parts.items():
            yield f"{reference}.transformer_layers.{layer}.{part}", f"{own}.layers.{layer}.{own_part}"


def policy_state_of(
    state: Mapping[str, Tensor], config: PolicyConfig, file: str = "The checkpoint"
) -> dict[str, Tensor]:
    """The tensors of a reference checkpoint under the names and shapes of `Policy.state_dict()`, dtypes kept.

    Views, not copies. The repeated tensors are compared with what they repeat.

    Args:
        state: the reference's state_dict.
        config: the network's shape.
        file: for error messages.

    Raises:
        UserError: a tensor that is missing, left over, of another shape or kind, or not finite.
    """
    layout = reference_layout(config)
    if missing := [tensor.name for tensor in layout if tensor.name not in state]:
        raise UserError(f"{file} lacks the tensor {missing[0]!r}: is it of another configuration, or no Open P2P?")
    if extra := sorted(set(state) - {tensor.name for tensor in layout}):
        raise UserError(f"{file} has a tensor {extra[0]!r} that this configuration of Open P2P does not have.")
    renamed: dict[str, Tensor] = {}
    for expected in layout:
        tensor = state[expected.name]
        if tensor.shape != expected.shape:
            raise UserError(
                f"{file}: {expected.name!r} has the shape {tuple(tensor.shape)}, but this configuration asks for "
                f"{tuple(expected.shape)}: give the model_config.yaml that belongs to it."
            )
        dtypes = _FLOATS if expected.dtype.is_floating_point else (expected.dtype,)
        if tensor.dtype not in dtypes or tensor.layout != torch.strided:
            raise UserError(f"{file}: {expected.name!r} is {tensor.dtype}, not {expected.dtype}: it is no Open P2P.")
        if expected.is_repetition:
            if not _is_same(tensor, state[expected.name.removeprefix(REPEATED)]):
                raise UserError(f"{file}: {expected.name!r} differs from the tensor that it repeats: it is damaged.")
            continue
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"{file}: {expected.name!r} is not finite: the file is damaged, or its training diverged.")
        renamed[expected.own] = tensor.view(expected.shape[1:]) if expected.own in _VECTORS else tensor
    return renamed


def reference_state_of(state: Mapping[str, Tensor], config: PolicyConfig) -> dict[str, Tensor]:
    """The inverse of `policy_state_of`: names, shapes, dtypes and order of the reference's state_dict.

    A tensor and its repetition share their memory, as in the reference's own files.
    """
    written: dict[str, Tensor] = {}
    result: dict[str, Tensor] = {}
    for tensor in reference_layout(config):
        if tensor.own not in written:
            # A copy of its own, because torch.save writes the whole storage that a tensor lies in.
            copied = torch.empty(tensor.shape, dtype=tensor.dtype)
            written[tensor.own] = copied.copy_(state[tensor.own].view(tensor.shape))
        result[tensor.name] = written[tensor.own]
    return result


def read_reference(path: Path) -> dict[str, Any]:
    """The content of a Lightning checkpoint; its `state_dict` is checked, its tensors are mapped from the file.

    Raises:
        UserError: the file is missing, damaged, holds anything but data, or holds no network.
    """
    try:
        check_zip(path)
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not look at the checksums
        content: Any = None if damaged else torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise UserError(f"There is no checkpoint {path}: give the path of a .ckpt file of Open P2P.") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds something other than tensors and plain data, which eyehand does not execute: "
            "save its state_dict alone."
        ) from error
    except Exception as error:  # torch and zipfile report damage in half a dozen ways
        raise UserError(f"{path} is not a whole Open P2P checkpoint: download it again.") from error
    if damaged:
        raise UserError(f"{path} is damaged (its part {damaged}): download it again.")
    content = content if isinstance(content, dict) else {}
    state = content.get("state_dict")
    is_state = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not state or not is_state:
        raise UserError(f"{path} holds no weights: give a .ckpt file of Open P2P.")
    # A tensor may state any size and repeat one number, or have none; the reference has the same one twice at most.
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if num_bytes > 2 * path.stat().st_size or any(tensor.device.type != "cpu" for tensor in state.values()):
        raise UserError(f"{path} states larger tensors than it holds: save its state_dict anew.")
    return dict(content)


def _is_same(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() or (a.dtype == b.dtype and torch.equal(a, b))
