"""The three graphs of a live tick (see, think, decide) for OpenVINO's CPU plug-in, built from a Policy's weights.

The same arithmetic as `live.LivePolicy`, for one episode at a time. Caches come in as they lie in memory and are not
copied: attention runs over [what the cache holds | the new tokens] in two parts, and only the new keys and values come
out. Large weights are int8 with one scale per output (the plug-in then quantises activations in groups of 32), or
float32. Built operation by operation rather than traced: no version of torch can change what is run.

Shapes as in `live`: Q new tokens of a tick, C places of the cache, D width, A slots, H heads, E head features, F = E/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eyehand.model.block import NORM_EPS, Block
from eyehand.model.policy import Policy
from eyehand.model.vision import (
    ConvNorm,
    EfficientNetTrunk,
    ImageEncoder,
    MBConv,
    PocketTrunk,
    Residual,
    SqueezeExcite,
)

__all__ = ["Weights", "decide_graph", "see_graph", "think_graph"]

Node = Any
"""A value of a graph; OpenVINO's types are not annotated."""

_MIN_INT8_SIZE = 4096
"""Smaller matrices stay float32: they cost nothing and the heads' logits are drawn from them."""


class Weights:
    """Turns torch weights into constants of a graph.

    Args:
        is_int8: whether large matrices are quantised: symmetric, rounded, one scale per output row.
    """

    def __init__(self, is_int8: bool) -> None:
        self.is_int8 = is_int8

    def matrix(self, weight_OI: Tensor, scale_I: Tensor | None = None) -> Node:
        """A (out, in) matrix; `scale_I` is multiplied into its inputs."""
        array = array_of(weight_OI if scale_I is None else weight_OI.float() * scale_I.float())
        if not self.is_int8 or array.size < _MIN_INT8_SIZE:
            return op.constant(array)
        scale_O1 = np.maximum(np.abs(array).max(axis=1, keepdims=True), 1e-12) / 127
        quantised = np.rint(array / scale_O1).astype(np.int8)
        return op.multiply(op.convert(op.constant(quantised), "f32"), op.constant(scale_O1.astype(np.float32)))

    def linear(self, x: Node, weight_OI: Tensor, bias_O: Tensor | None = None, scale_I: Tensor | None = None) -> Node:
        y = op.matmul(x, self.matrix(weight_OI, scale_I), False, True)
        return y if bias_O is None else op.add(y, constant(bias_O))


def array_of(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    return array


def constant(tensor: Tensor) -> Node:
    return op.constant(array_of(tensor))


def ints(*values: int) -> Node:
    return op.constant(np.array(values, dtype=np.int64))


def reshape(x: Node, *shape: int) -> Node:
    return op.reshape(x, ints(*shape), special_zero=False)


def split(x: Node, axis: int, *sizes: int) -> list[Node]:
    parts = op.variadic_split(x, op.constant(np.int64(axis)), ints(*sizes))
    return [parts.output(i) for i in range(len(sizes))]


def normalised(x: Node, scale: Tensor | None = None) -> Node:
    """x / rms(x) over the last axis, times a scale."""
    mean_square = op.reduce_mean(op.multiply(x, x), ints(-1), keep_dims=True)
    inverse = op.divide(op.constant(np.float32(1)), op.sqrt(op.add(mean_square, op.constant(np.float32(NORM_EPS)))))
    y = op.multiply(x, inverse)
    return y if scale is None else op.multiply(y, constant(scale))


# See: a picture to image tokens.


def see_graph(encoder: ImageEncoder, size: int, weights: Weights, *, is_bf16: bool = False) -> ov.Model:
    """uint8 (1, S, S, 3) to image tokens (K, D). `encoder` has its BatchNorms folded and nothing packed.

    `is_bf16`: the graph will run in bfloat16.
    """
    frame = op.parameter([1, size, size, 3], np.uint8, name="frame")
    # The reference divides in bfloat16; its weights expect exactly those values, which a product gives when it is
    # rounded to bfloat16. In float32 looking them up is the quickest.
    if is_bf16:
        pixels = op.multiply(op.convert(frame, "f32"), op.constant(np.float32(1 / 255)))
    else:
        shades = (torch.arange(256).to(torch.bfloat16) / 255).float()
        pixels = op.gather(constant(shades), op.convert(frame, "i32"), op.constant(np.int64(0)))
    x = _trunk(op.transpose(pixels, ints(0, 3, 1, 2)), encoder.trunk)
    x = reshape(x, 1, -1)
    tokens = weights.linear(x, encoder.linear.weight, encoder.linear.bias)
    norm = encoder.norm
    y = op.mvn(tokens, ints(-1), True, float(norm.eps), "inside_sqrt")
    y = op.add(op.multiply(y, constant(norm.weight)), constant(norm.bias))
    y = reshape(y, encoder.num_tokens, encoder.width)
    return ov.Model([y], [frame], "see")


def _trunk(x: Node, trunk: PocketTrunk | EfficientNetTrunk) -> Node:
    parts = [trunk.stem, *trunk.stages] if isinstance(trunk, EfficientNetTrunk) else list(trunk.layers)
    for part in parts:
        x = _module(x, part)
    return x


def _module(x: Node, module: nn.Module) -> Node:
    if isinstance(module, ConvNorm):
        return _activated(_convolved(x, module.conv), module.activation)
    if isinstance(module, Residual):
        return op.relu(op.add(x, _module(_module(x, module.first), module.second)))
    if isinstance(module, SqueezeExcite):
        gates = op.reduce_mean(x, ints(2, 3), keep_dims=True)
        gates = op.swish(_convolved(gates, module.fc1))
        return op.multiply(x, op.sigmoid(_convolved(gates, module.fc2)))
    if isinstance(module, MBConv):
        y = x
        parts: list[nn.Module] = [module.expand, module.depthwise, module.gate, module.project]
        for part in parts:
            y = _module(y, part)
        return op.add(x, y) if module.is_residual else y
    if isinstance(module, nn.Sequential):
        for part in module:
            x = _module(x, part)
        return x
    if isinstance(module, nn.Identity):
        return x
    raise TypeError(f"no graph for a {type(module).__name__}")


def _convolved(x: Node, conv: nn.Conv2d) -> Node:
    strides, dilations = list(conv.stride), list(conv.dilation)
    pads = [int(pad) for pad in conv.padding]
    weight = array_of(conv.weight)
    if conv.groups == 1:
        y = op.convolution(x, op.constant(weight), strides, pads, pads, dilations)
    else:
        grouped = weight.reshape(conv.groups, conv.out_channels // conv.groups, *weight.shape[1:])
        y = op.group_convolution(x, op.constant(grouped), strides, pads, pads, dilations)
    return y if conv.bias is None else op.add(y, op.constant(array_of(conv.bias).reshape(1, -1, 1, 1)))


def _activated(x: Node, name: str | None) -> Node:
    return {"relu": op.relu, "silu": op.swish, None: lambda y: y}[name](x)


# A transformer block.


class _BlockGraph:
    """One block, over new tokens and a cache."""

    def __init__(self, block: Block, weights: Weights) -> None:
        attention = block.attention
        self.block, self.weights = block, weights
        self.num_q, self.num_kv, self.head_dim = attention.num_q_heads, attention.num_kv_heads, attention.head_dim
        self.group = self.num_q // self.num_kv
        # Constants are made once: the eight steps of the decoder share them, in memory as well.
        self.qkv = weights.matrix(attention.qkv.weight, block.attention_norm.scale)
        self.out = weights.matrix(attention.out.weight)
        self.w13 = weights.matrix(block.ffn.w13.weight, block.ffn_norm.scale)
        self.w2 = weights.matrix(block.ffn.w2.weight)
        self.hidden = block.ffn.w2.in_features

    def heads(self, x: Node, cos: Node, sin: Node, length: int) -> tuple[Node, Node, Node]:
        """Of L tokens (L, D): queries (kv heads, group x L, E), scaled; keys and values (kv heads, L, E)."""
        attention = self.block.attention
        q, k, v = split(op.matmul(normalised(x), self.qkv, False, True), 1, *attention.widths)
        q = normalised(q, attention.q_norm.scale.float() * self.head_dim**-0.5)
        k = normalised(k, attention.k_norm.scale)
        turned = _rotated(op.concat([q, k], 1), cos, sin, length, self.num_q + self.num_kv, self.head_dim)
        q, k = split(turned, 1, self.num_q, self.num_kv)
        return self.laid_out(q, k, v, length)

    def laid_out(self, q: Node, k: Node, v: Node, length: int) -> tuple[Node, Node, Node]:
        """Features that lie token after token (L, heads x E in any shape), head after head."""
        shape = [length, self.num_kv, self.head_dim]
        if length == 1:
            return reshape(q, self.num_kv, self.group, self.head_dim), *(
                reshape(x, *shape[1::-1], shape[2]) for x in (k, v)
            )
        q = op.transpose(reshape(q, length, self.num_kv, self.group, self.head_dim), ints(1, 2, 0, 3))
        k, v = (op.transpose(reshape(x, *shape), ints(1, 0, 2)) for x in (k, v))
        return reshape(q, self.num_kv, self.group * length, self.head_dim), k, v

    def finish(self, x: Node, y: Node, length: int) -> Node:
        """Join the heads' outputs (kv heads, group x L, E), project them, and run the feed-forward part."""
        if length > 1:
            y = op.transpose(reshape(y, self.num_kv, self.group, length, self.head_dim), ints(2, 0, 1, 3))
        y = reshape(y, length, self.num_q * self.head_dim)
        x = op.add(x, op.matmul(y, self.out, False, True))
        x1, x3 = split(op.matmul(normalised(x), self.w13, False, True), 1, self.hidden, self.hidden)
        return op.add(x, op.matmul(op.multiply(op.swish(x1), x3), self.w2, False, True))


def _rotated(x: Node, cos: Node, sin: Node, length: int, num_heads: int, head_dim: int) -> Node:
    """Turn the pairs of (L, heads x E) by (L, 1, F, 1) cosines and sines; (L, heads, E)."""
    even, odd = split(reshape(x, length, num_heads, head_dim // 2, 2), 3, 1, 1)
    turned = op.concat(
        [
            op.subtract(op.multiply(even, cos), op.multiply(odd, sin)),
            op.add(op.multiply(even, sin), op.multiply(odd, cos)),
        ],
        3,
    )
    return reshape(turned, length, num_heads, head_dim)


def _attended(q: Node, k: Node, v: Node) -> Node:
    return op.matmul(op.softmax(op.matmul(q, k, False, True), -1), v, False, False)


# Think: one step of the backbone.


def think_graph(policy: Policy, num_places: int, weights: Weights) -> ov.Model:
    """One tick of the backbone.

    Inputs: previous (A) int32, text (N, D), image (K, D), cos and sin (Q, 1, F, 1), per distinct history limit
    maskH_cache (group x Q, C) and maskH_new (group x Q, Q), per layer keysL and valuesL (kv heads, C, E).
    Outputs: the backbone's output at action_out (1, D), then of each layer the keys and the values of the new tokens,
    (kv heads, Q, E).
    """
    config, space = policy.config, policy.space
    num_new, width = space.num_slots + config.num_seen_tokens + 1, config.width
    group, head_dim = config.num_q_heads // config.num_kv_heads, config.width // config.num_q_heads
    previous = op.parameter([space.num_slots], np.int32, name="previous")
    text = op.parameter([config.num_text_tokens, width], np.float32, name="text")
    image = op.parameter([config.num_image_tokens, width], np.float32, name="image")
    cos, sin = (op.parameter([num_new, 1, head_dim // 2, 1], np.float32, name=name) for name in ("cos", "sin"))
    parameters = [previous, text, image, cos, sin]
    masks = {}
    for history in sorted({config.history_of(layer) for layer in range(config.num_layers)}):
        shapes = {"cache": [group * num_new, num_places], "new": [group * num_new, num_new]}
        pair = [op.parameter(shape, np.float32, name=f"mask{history}_{part}") for part, shape in shapes.items()]
        masks[history] = pair
        parameters += pair
    x = op.concat(
        [
            _action_tokens(policy, previous),
            text,
            op.add(image, constant(policy.image_positions)),
            constant(torch.cat((policy.thinking, policy.action_out))),
        ],
        0,
    )
    results = []
    for layer, block in enumerate(policy.backbone.blocks()):
        graph = _BlockGraph(block, weights)
        shape = [graph.num_kv, num_places, head_dim]
        keys, values = (op.parameter(shape, np.float32, name=f"{name}{layer}") for name in ("keys", "values"))
        parameters += [keys, values]
        q, k, v = graph.heads(x, cos, sin, num_new)
        mask_cache, mask_new = masks[config.history_of(layer)]
        products = (op.matmul(q, keys, False, True), op.matmul(q, k, False, True))
        scores = [op.add(products[0], mask_cache), op.add(products[1], mask_new)]
        shares = op.softmax(op.concat(scores, 2), -1)
        shares_cache, shares_new = split(shares, 2, num_places, num_new)
        y = op.add(op.matmul(shares_cache, values, False, False), op.matmul(shares_new, v, False, False))
        x = graph.finish(x, y, num_new)
        results += [k, v]
    out = split(x, 0, num_new - 1, 1)[1]
    return ov.Model([out, *(result.output(0) for result in results)], parameters, "think")


def _action_tokens(policy: Policy, previous: Node) -> Node:
    """Embeddings of the executed tokens with their positions, (A, D)."""
    heads = [index for index, head in enumerate(policy.space.heads) for _ in range(head.num_slots)]
    tables = [policy.embedding(head) + policy.action_positions[slot] for slot, head in enumerate(heads)]
    offsets = np.cumsum([0] + [len(table) for table in tables[:-1]]).astype(np.int32)
    return op.gather(constant(torch.cat(tables)), op.add(previous, op.constant(offsets)), op.constant(np.int64(0)))


# Decide: the action's tokens, one after another.


def decide_graph(policy: Policy, weights: Weights, *, is_nucleus: bool = False, is_forced: bool = False) -> ov.Model:
    """Draw the tokens of one action.

    Inputs: out (1, D), uniforms (A), temperature (1), with `is_nucleus` top_p (1), with `is_forced` targets (A) int32.
    Output: ids (A) int32. With `is_forced` the targets, not the drawn tokens, are what the next slot sees, and the
    logits (1, choices) of every slot come out as well.
    """
    space, decoder = policy.space, policy.decoder
    out = op.parameter([1, policy.config.width], np.float32, name="out")
    uniforms = op.parameter([space.num_slots], np.float32, name="uniforms")
    temperature = op.parameter([1], np.float32, name="temperature")
    top_p = op.parameter([1], np.float32, name="top_p")
    targets = op.parameter([space.num_slots], np.int32, name="targets")
    graphs = [_BlockGraph(block, weights) for block in decoder.blocks()]
    caches: list[list[list[Node]]] = [_sinks(graph.block) for graph in graphs]
    heads = [index for index, head in enumerate(space.heads) for _ in range(head.num_slots)]
    head_matrices = [weights.matrix(policy.head(index).weight) for index in range(len(space.heads))]
    uniform_of = split(uniforms, 0, *([1] * space.num_slots))
    target_of = split(targets, 0, *([1] * space.num_slots))
    x = weights.linear(out, decoder.input.weight, decoder.input.bias + decoder.positions[0])
    qkv = graphs[0].heads(x, *_decoder_rope(policy, 0), 1)
    ids: list[Node] = []
    scores: list[Node] = []
    for slot, head in enumerate(heads):
        for graph, (keys, values) in zip(graphs, caches, strict=True):
            q, k, v = qkv if graph is graphs[0] else graph.heads(x, *_decoder_rope(policy, slot), 1)
            keys.append(k)
            values.append(v)
            x = graph.finish(x, _attended(q, _joined(keys), _joined(values)), 1)
        logits = op.add(op.matmul(x, head_matrices[head], False, True), constant(policy.head(head).bias))
        drawn = _drawn(logits, uniform_of[slot], temperature, top_p if is_nucleus else None)
        ids.append(drawn)
        scores.append(logits.output(0))
        if slot + 1 < space.num_slots:
            x, qkv = _next_input(policy, graphs[0], slot, head, target_of[slot] if is_forced else drawn)
    inputs = [out, uniforms, temperature] + [top_p] * is_nucleus + [targets] * is_forced
    return ov.Model([op.concat(ids, 0).output(0), *(scores if is_forced else [])], inputs, "decide")


def _decoder_rope(policy: Policy, slot: int) -> tuple[Node, Node]:
    cos, sin = (constant(table[slot].view(1, 1, -1, 1)) for table in policy.decoder.rope_2LF)
    return cos, sin


@torch.no_grad()
def _next_input(
    policy: Policy, graph: _BlockGraph, slot: int, head: int, drawn: Node
) -> tuple[Node, tuple[Node, Node, Node]]:
    """What the slot after this one begins with: its input (1, D), and the first layer's queries, keys and values.

    They depend on the drawn token alone, so they are looked up instead of computed.
    """
    decoder, block = policy.decoder, graph.block
    x_ND = (policy.embedding(head) + decoder.positions[slot + 1]).float()
    rope_21F = decoder.rope_2LF[:, slot + 1 : slot + 2]
    q, k, v = block.attention.project(block.attention_norm(x_ND)[None], rope_21F)
    parts = [x_ND, *(part[0].transpose(0, 1).flatten(1) for part in (q * graph.head_dim**-0.5, k, v))]
    row = op.gather(constant(torch.cat(parts, dim=1)), drawn, op.constant(np.int64(0)))
    x, q_row, k_row, v_row = split(row, 1, *(part.shape[1] for part in parts))
    return x, graph.laid_out(q_row, k_row, v_row, 1)


def _sinks(block: Block) -> list[list[Node]]:
    """The keys and the values that a decoder layer begins with, each (kv heads, sinks, E)."""
    if not block.attention.num_sinks:
        return [[], []]
    return [[constant(sinks[0])] for sinks in (block.attention.k_sinks, block.attention.v_sinks)]


def _joined(parts: Sequence[Node]) -> Node:
    return parts[0] if len(parts) == 1 else op.concat(list(parts), 1)


def _drawn(logits: Node, uniform: Node, temperature: Node, top_p: Node | None) -> Node:
    """As `sampling.draw`: logits (1, N) to an id (1)."""
    num_choices = int(logits.get_output_partial_shape(0)[1].get_length())
    probabilities = op.softmax(op.divide(logits, temperature), -1)
    if top_p is not None:
        ordered = op.topk(
            probabilities, op.constant(np.int64(num_choices)), 1, "max", "value", index_element_type="i64"
        )
        values, order = ordered.output(0), ordered.output(1)
        before = op.cum_sum(values, op.constant(np.int64(1)), exclusive=True)
        kept = op.multiply(values, op.convert(op.less(before, top_p), "f32"))
        zeros = op.constant(np.zeros((1, num_choices), dtype=np.float32))
        kept = op.scatter_elements_update(zeros, order, kept, op.constant(np.int64(1)))
        probabilities = op.divide(kept, op.reduce_sum(kept, ints(1), keep_dims=True))
    below = op.less(op.cum_sum(probabilities, op.constant(np.int64(1))), op.unsqueeze(uniform, ints(0)))
    count = op.reduce_sum(op.convert(below, "i32"), ints(1), keep_dims=False)
    return op.minimum(count, op.constant(np.int32(num_choices - 1)))
