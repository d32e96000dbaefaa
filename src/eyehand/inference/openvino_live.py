"""`OpenVinoLive`: the live policy on OpenVINO, one episode at a time; the same methods as `torch_live.LivePolicy`.

Three compiled graphs (encode_image, step, decode_action) work on arrays that never move: a tick writes its few numbers
into them, hands the caches over as they lie in memory, and copies only the new keys and values into the rolling cache.
Many states can share one engine, one tick after another.
Knows no resizing, no sentences, no clock. Shapes as in `openvino_export`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyehand.inference.engine import LiveState, StagedEngine
from eyehand.inference.openvino_export import DecodeActionGraph, EncodeImageGraph, StepGraph, exported
from eyehand.inference.packed import Packing, new_cache
from eyehand.inference.rolling_cache import POSITION_PERIOD, RollingCache
from eyehand.inference.tick import BackboneStep, decode_action
from eyehand.model.block import ROPE_BASE
from eyehand.model.policy import Policy

__all__ = ["OpenVinoLive"]

_SMALLEST_TEMPERATURE = 1e-6
"""Stands for 0: only the likeliest choice is left."""


class OpenVinoLive(StagedEngine):
    """A Policy prepared for stepping one episode on a CPU.

    Takes a snapshot of the weights; training the Policy further does not change it.

    Args:
        policy: the network.
        threads: how many the graphs run on.
        is_int8: large weights as int8, and vision in bfloat16 where the processor computes in it; otherwise float32,
            which gives the numbers of `LivePolicy` up to rounding.
    """

    def __init__(self, policy: Policy, *, threads: int = 1, is_int8: bool = True) -> None:
        self.config, self.space = policy.config, policy.space
        self.device = torch.device("cpu")
        self._core = _core()
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 32 if is_int8 else 0,
            # This fusion saves nothing here, and its pass crashes on small networks with one thread (2026.4).
            "SNIPPETS_MODE": "DISABLE",
        }
        self._is_int8 = is_int8
        self._packing = Packing(self.device, torch.float32, is_exported=True)
        self._ring = RollingCache(self.config, self.device, torch.float32)
        self._full_masks: dict[int, dict[str, NDArray[np.float32]]] = {}
        is_bf16 = is_int8 and "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        frame = torch.zeros(1, self.config.frame_size, self.config.frame_size, 3, dtype=torch.uint8)
        graph = exported(EncodeImageGraph(policy, is_bf16=is_bf16), [frame], is_int8=is_int8)
        self._encode_image = self._compiled(graph, {"frame": frame}, precision="bf16" if is_bf16 else "f32")
        step = BackboneStep(policy, self._packing)
        self._tokens, self._sinks = step.tokens, [block.sinks for block in step.blocks]
        inputs = self._step_inputs()
        histories = [self.config.history_of(layer) for layer in range(self.config.num_layers)]
        graph = exported(
            StepGraph(step, self.config.num_sinks + self._ring.length, histories),
            list(inputs.values()),
            is_int8=is_int8,
        )
        del step  # with int8 its weights in float32 are of no more use
        self._step = self._compiled(graph, inputs)
        self._decode_action = decode_action(policy, self._packing)
        self._decoders: dict[tuple[str, ...], _Request] = {}
        self._decoder("uniforms", "temperature")
        self._bound_state: LiveState | None = None
        ring, half = self._ring, self.config.width // self.config.num_q_heads // 2
        self._is_action_Q, self._token_Q = ring.is_action_Q.numpy(), ring.token_Q.numpy()
        self._inverse_F = (1.0 / ROPE_BASE ** (torch.arange(half, dtype=torch.float32) / half)).numpy()

    def _compiled(self, graph: ov.Model, inputs: dict[str, Tensor], precision: str = "f32") -> _Request:
        options = {**self._options, "INFERENCE_PRECISION_HINT": precision}
        return _Request(self._core.compile_model(graph, "CPU", options), inputs)

    def _step_inputs(self) -> dict[str, Tensor]:
        config, ring, state = self.config, self._ring, self.new_state()
        turns = torch.zeros(ring.num_new, 1, config.width // config.num_q_heads // 2, 1)
        previous = torch.zeros(1, self.space.num_slots, dtype=torch.int32)
        return {
            **({"previous": previous} if config.num_action_tokens else {}),
            "text": torch.zeros(1, config.num_text_tokens, config.width),
            "image": torch.zeros(1, config.num_image_tokens, config.width),
            "cos": turns,
            "sin": turns.clone(),
            **{name: torch.from_numpy(mask_QK) for name, mask_QK in self._masks(0, [0]).items()},
            **{f"cache{layer}": cache for layer, cache in enumerate(state.backbone)},
        }

    def _decoder(self, *given: str) -> _Request:
        """The decoder's graph that takes these (see `DecodeActionGraph`), compiled when it is first asked for."""
        if given not in self._decoders:
            slots = self.space.num_slots
            known = {
                "out": torch.zeros(1, self.config.width),
                "uniforms": torch.zeros(1, slots),
                "temperature": torch.ones(1),
                "top_p": torch.ones(1),
                "targets": torch.zeros(1, slots, dtype=torch.int32),
            }
            inputs = {name: known[name] for name in ("out", *given)}
            module = DecodeActionGraph(self._decode_action, given)
            graph = exported(module, list(inputs.values()), is_int8=self._is_int8)
            self._decoders[given] = self._compiled(graph, inputs)
        return self._decoders[given]

    def new_state(self, batch: int = 1) -> LiveState:
        """Empty memory for one episode.

        Raises:
            ValueError: for more than one.
        """
        if batch != 1:
            raise ValueError("the OpenVINO runtime plays one episode at a time")
        return LiveState([new_cache(sinks, 1, self._ring.length) for sinks in self._sinks], [0])

    def embed_text(self, text_BND: Tensor) -> Tensor:
        """As `LivePolicy.embed_text`."""
        with torch.inference_mode():
            return self._tokens.text(text_BND.float())

    def encode_image(self, frames_BCHW: Tensor) -> Tensor:
        """Image tokens (1, K, D) of a uint8 RGB picture (1, 3, S, S), fastest if it is HWC in memory."""
        (image_1KD,) = self._encode_image.run(frame=frames_BCHW.permute(0, 2, 3, 1).numpy())
        return torch.from_numpy(image_1KD.copy())

    def step(self, state: LiveState, image_BKD: Tensor, text_BND: Tensor, previous_BA: Tensor) -> Tensor:
        """As `LivePolicy.step`, for one episode."""
        ring, tick = self._ring, state.tick
        self._bind(state)
        masks = self._masks(tick, state.starts)  # which must live until the graph has run
        for name, mask_QK in masks.items():
            self._step.bind(name, mask_QK)
        cos_QF, sin_QF = self._rope(tick - state.starts[0])
        out_1D, *new = self._step.run(
            **({"previous": previous_BA.numpy()} if self.config.num_action_tokens else {}),
            text=text_BND.numpy(),
            image=image_BKD.numpy(),
            cos=cos_QF[:, None, :, None],
            sin=sin_QF[:, None, :, None],
        )
        first = self.config.num_sinks + ring.place(tick)
        places = slice(first, first + ring.unit)
        for cache, new_1HQE in zip(state.backbone, new, strict=True):
            cache.numpy()[:, :, places] = new_1HQE[:, :, : ring.unit]
        state.tick += 1
        return torch.from_numpy(out_1D.copy())

    def decode_action(
        self, out_BD: Tensor, uniforms_BA: Tensor, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """As `LivePolicy.decode_action`, for one episode."""
        inputs: dict[str, NDArray[Any] | float] = {
            "uniforms": uniforms_BA.numpy(),
            "temperature": max(temperature, _SMALLEST_TEMPERATURE),
        }
        if top_p < 1:
            inputs["top_p"] = top_p
        (ids_1A,) = self._decoder(*inputs).run(out=out_BD.numpy(), **inputs)
        return torch.from_numpy(ids_1A.astype(np.int64))

    def score(self, out_BD: Tensor, target_BA: Tensor) -> list[Tensor]:
        """Logits (1, choices) of every slot, were the slots before it drawn as `target_BA`: to compare runtimes."""
        logits = self._decoder("targets").run(out=out_BD.numpy(), targets=target_BA.numpy())
        return [torch.from_numpy(slot_1C.copy()) for head_1SC in logits for slot_1C in head_1SC.swapaxes(0, 1)]

    def _rope(self, since: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosines and sines (Q, F) of this tick's positions, as `RollingCache.rope`."""
        step_Q = (since - self._is_action_Q) % POSITION_PERIOD
        position_Q = (step_Q * self.config.num_step_tokens + self._token_Q).astype(np.float32)
        angle_QF = position_Q[:, None] * self._inverse_F
        return np.cos(angle_QF), np.sin(angle_QF)

    def _bind(self, state: LiveState) -> None:
        """Hand the state's caches over, where they lie."""
        if state is self._bound_state:
            return
        for layer, cache in enumerate(state.backbone):
            self._step.bind(f"cache{layer}", cache.numpy())
        self._bound_state = state

    def _masks(self, tick: int, starts: list[int]) -> dict[str, NDArray[np.float32]]:
        """The ring's masks, cut in two: what the cache holds, and the new tokens, which are not in it yet."""
        ring = self._ring
        is_full = tick - starts[0] >= ring.num_units
        if is_full and tick % ring.num_units in self._full_masks:
            return self._full_masks[tick % ring.num_units]
        first = self.config.num_sinks + ring.place(tick)
        new = slice(first, first + ring.num_new)
        masks: dict[str, NDArray[np.float32]] = {}
        for history, mask_11QK in sorted(ring.masks(tick, starts).items()):
            mask_QK = mask_11QK[0, 0].numpy()
            cached_QK = mask_QK.copy()
            cached_QK[:, new] = -np.inf
            masks[f"mask{history}_cache"] = cached_QK
            masks[f"mask{history}_new"] = np.ascontiguousarray(mask_QK[:, new])
        if is_full:
            self._full_masks[tick % ring.num_units] = masks
        return masks


@functools.cache
def _core() -> ov.Core:
    """That of this process. It gives its thread a stack for signals, and would take that away when it is freed: of
    several that end in another order than they began, or on another thread, the next Ctrl-C would be a crash."""
    return ov.Core()


class _Request:
    """A compiled graph whose inputs and outputs lie in arrays that are made once.

    Args:
        model: the graph.
        inputs: where its inputs lie, in their order, by names to call them.

    Attributes:
        request: OpenVINO's.
    """

    def __init__(self, model: ov.CompiledModel, inputs: dict[str, Tensor]) -> None:
        self.request = model.create_infer_request()
        self._ports = dict(zip(inputs, model.inputs, strict=True))
        self._inputs: dict[str, NDArray[Any]] = {}
        for name, value in inputs.items():
            self.bind(name, value.numpy())
        self._outputs: list[NDArray[Any]] = []
        for index, port in enumerate(model.outputs):
            self._outputs.append(np.zeros(port.shape, port.element_type.to_dtype()))
            self.request.set_output_tensor(index, _shared(self._outputs[-1]))

    def bind(self, name: str, array: NDArray[Any]) -> None:
        """Let this input lie there from now on."""
        self._inputs[name] = array
        self.request.set_tensor(self._ports[name], _shared(array))

    def run(self, **inputs: NDArray[Any] | float) -> list[NDArray[Any]]:
        """Outputs for these inputs, each broadcast and cast to what the graph takes. The next run overwrites them."""
        for name, value in inputs.items():
            self._inputs[name][...] = value
        self.request.infer(share_outputs=True)
        return self._outputs


def _shared(array: NDArray[Any]) -> ov.Tensor:
    """A tensor on the array's own memory, which must be contiguous and must live as long as it is used."""
    return ov.Tensor(array, shared_memory=True)
