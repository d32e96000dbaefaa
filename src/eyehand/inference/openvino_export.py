"""The stages of a live tick as OpenVINO graphs, exported from the nn.Modules of `tick` and `vision` for one episode.

Caches come in as they lie in memory and are not copied: attention runs over [what the cache holds | the new tokens] in
two parts, and only the new keys and values come out. Large weights can be int8: the CPU plug-in multiplies
them compressed, and quantises activations in groups of 32.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino as ov
import openvino.opset13 as op
import torch
import torch.nn.functional as F
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from eyehand.inference.packed_vision import folded
from eyehand.inference.sampling import draw
from eyehand.inference.tick import BackboneStep, DecodeAction, DecodeIndependent
from eyehand.model.policy import Policy

__all__ = ["DecodeActionGraph", "EncodeImageGraph", "StepGraph", "exported"]


class EncodeImageGraph(nn.Module):
    """uint8 (1, S, S, 3) to image tokens (1, K, D). `is_bf16`: the graph will run in bfloat16."""

    def __init__(self, policy: Policy, *, is_bf16: bool) -> None:
        super().__init__()
        self.encoder, self.is_bf16 = folded(policy.image_encoder).float(), is_bf16
        self.shades = (torch.arange(256).to(torch.bfloat16) / 255).float()[:, None]

    def forward(self, frame_1SSC: Tensor) -> Tensor:
        # The reference divides in bfloat16; its weights expect exactly those values, which a product gives when it is
        # rounded to bfloat16. In float32 looking them up is the quickest.
        levels = frame_1SSC.float() * (1 / 255) if self.is_bf16 else F.embedding(frame_1SSC.int(), self.shades)[..., 0]
        image_1KD: Tensor = self.encoder.tokens(levels.permute(0, 3, 1, 2))
        return image_1KD


class StepGraph(nn.Module):
    """`BackboneStep` on caches (1, 2 x kv heads, C, E) that it only reads.

    Takes previous (1, A) int32 if the network sees actions, text (1, N, D), image (1, K, D), cos and sin (Q, 1, F, 1),
    of each history limit in `histories` (of the layers) from the smallest on a mask (group x Q, C) of what the cache
    holds and one (group x Q, Q) of the new tokens, and each layer's cache. Gives the last token's output (1, D), and
    of each layer the new keys and values (1, 2 x kv heads, Q, E).
    """

    def __init__(self, step: BackboneStep, num_places: int, histories: Sequence[int]) -> None:
        super().__init__()
        limits = sorted(set(histories))
        self.step, self.num_places, self.num_masks = step, num_places, 2 * len(limits)
        self.has_actions = step.tokens.has_actions
        self.mask_of = [2 * limits.index(history) for history in histories]

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        previous, given = (given[0], given[1:]) if self.has_actions else (torch.empty(0), given)
        (text, image, cos, sin), given = given[:4], given[4:]
        masks, caches = given[: self.num_masks], given[self.num_masks :]
        written: list[Tensor] = []

        def attend(layer: int, q: Tensor, new: Tensor) -> Tensor:
            written.append(new)
            mask_cache, mask_new = masks[self.mask_of[layer] :][:2]
            block = self.step.blocks[layer]
            (keys, values), (k, v) = block.split(caches[layer]), block.split(new)
            q = q * block.head_dim**-0.5
            scores = torch.cat((q @ keys.transpose(2, 3) + mask_cache, q @ k.transpose(2, 3) + mask_new), dim=3)
            shares, shares_new = torch.split(scores.softmax(dim=3), [self.num_places, self.step.num_new], dim=3)
            y: Tensor = shares @ values + shares_new @ v
            return y

        out_1D = self.step(previous, text, image, (cos, sin), attend)
        return out_1D, *written


class DecodeActionGraph(nn.Module):
    """What decodes actions, with its draw.

    Takes out (1, D) and what `given` names: uniforms (1, A), temperature (1) and, if at all, top_p (1), to token ids
    (1, A); or targets (1, A) int32, which are what the next slot sees, to logits (1, S, choices) of neighbouring slots.
    """

    def __init__(self, decode: DecodeAction | DecodeIndependent, given: Sequence[str]) -> None:
        super().__init__()
        self.decode, self.given = decode, given

    def forward(self, out: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.given, values, strict=True))

        def pick(slots: slice, logits_1SC: Tensor) -> Tensor:
            if "targets" in given:
                return given["targets"][:, slots]
            return draw(logits_1SC, given["uniforms"][:, slots], given["temperature"], given.get("top_p", 1.0))

        logits, ids = self.decode(out, pick)
        return tuple(logits) if "targets" in given else (torch.cat(ids, dim=1),)


_MIN_INT8_SIZE = 4096
"""Smaller matrices stay float32: they cost nothing, and some heads' logits are drawn from them."""


@torch.no_grad()
def exported(module: nn.Module, inputs: Sequence[Tensor], *, is_int8: bool) -> ov.Model:
    """The module as a graph on its weights, for inputs of these shapes, which are run through it once.

    `is_int8`: large weights are rounded to int8 instead.
    """
    with warnings.catch_warnings():
        # torch prefers `torch.export`, which takes several times as long and gives the same graph.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module.eval(), tuple(inputs), check_trace=False)  # type: ignore[no-untyped-call]
        decoder = TorchScriptPythonDecoder(traced)
    with ThreadPoolExecutor(1) as thread:  # in the main thread OpenVINO took Ctrl-C for a conversion that has failed
        graph = thread.submit(_converted, decoder, inputs).result()
    if is_int8:
        _quantise(graph)
    return graph


def _converted(decoder: TorchScriptPythonDecoder, inputs: Sequence[Tensor]) -> ov.Model:
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.load(decoder)
    for place, value in zip(model.get_inputs(), inputs, strict=True):
        model.set_partial_shape(place, ov.PartialShape(list(value.shape)))
        model.set_element_type(place, ov.Type(value.numpy().dtype))
    return frontend.convert(model)


def _quantise(model: ov.Model) -> None:
    """Make large matrices of products int8: symmetric, rounded, one scale per output row."""
    for node in model.get_ops():
        if node.get_type_name() != "Constant" or len(node.shape) != 2 or np.prod(node.shape) < _MIN_INT8_SIZE:
            continue
        if all(user.get_node().get_type_name() == "MatMul" for user in node.output(0).get_target_inputs()):
            array_OI = node.data
            largest_O1 = np.maximum(array_OI.max(axis=1, keepdims=True), -array_OI.min(axis=1, keepdims=True))
            scale_O1 = np.maximum(largest_O1, np.float32(1e-12)) / np.float32(127)
            rounded_OI = array_OI / scale_O1
            quantised = op.constant(np.rint(rounded_OI, out=rounded_OI).astype(np.int8))
            product = op.multiply(op.convert(quantised, "f32"), op.constant(scale_O1))
            node.output(0).replace(product.output(0))
