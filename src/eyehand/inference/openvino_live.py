"""`OpenVinoLive`: the live policy on OpenVINO, one episode at a time; the same methods as `live.LivePolicy`.

Three compiled graphs (see, think, decide) work on arrays that never move: a tick writes its few numbers into them,
hands the caches over as they lie in memory, and copies only the new keys and values into the ring. Many states can
share one engine, one tick after another.
Knows no resizing, no sentences, no clock. Shapes as in `openvino_graph`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyehand.inference.engine import LiveState, StagedEngine
from eyehand.inference.openvino_graph import Weights, decide_graph, see_graph, think_graph
from eyehand.inference.packed_vision import folded
from eyehand.inference.rolling_cache import POSITION_PERIOD, RollingCache
from eyehand.inference.tokens import Tokens
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
        self._policy, self._weights = policy, Weights(is_int8)
        self._core = ov.Core()
        self._options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 32 if is_int8 else 0,
            # This fusion saves nothing here, and its pass crashes on small networks with one thread (2026.4).
            "SNIPPETS_MODE": "DISABLE",
        }
        self._tokens = Tokens(policy, self.device, torch.float32)
        self._ring = RollingCache(self.config, self.device, torch.float32)
        encoder = folded(policy.image_encoder).float()
        is_bf16 = is_int8 and "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        see = see_graph(encoder, self.config.frame_size, self._weights, is_bf16=is_bf16)
        self._see = self._compiled(see, precision="bf16" if is_bf16 else "f32")
        think = think_graph(policy, self.config.num_sinks + self._ring.length, self._weights)
        self._think = self._compiled(think, given=("keys", "values", "mask"))
        self._decide = self._compiled(decide_graph(policy, self._weights))
        self._decide_nucleus: _Request | None = None
        self._decide_forced: _Request | None = None
        self._bound_state: LiveState | None = None
        self._full_masks: dict[int, dict[str, NDArray[np.float32]]] = {}
        ring, half = self._ring, self.config.width // self.config.num_q_heads // 2
        self._is_action_Q, self._token_Q = ring.is_action_Q.numpy(), ring.token_Q.numpy()
        self._inverse_F = (1.0 / ROPE_BASE ** (torch.arange(half, dtype=torch.float32) / half)).numpy()

    def _compiled(self, graph: ov.Model, given: tuple[str, ...] = (), precision: str = "f32") -> _Request:
        options = {**self._options, "INFERENCE_PRECISION_HINT": precision}
        return _Request(self._core.compile_model(graph, "CPU", options), given)

    def new_state(self, batch: int = 1) -> LiveState:
        """Empty memory for one episode.

        Raises:
            ValueError: for more than one.
        """
        if batch != 1:
            raise ValueError("the OpenVINO runtime plays one episode at a time")
        caches = []
        for block in self._policy.backbone.blocks():
            attention = block.attention
            num_sinks, places = attention.num_sinks, attention.num_sinks + self._ring.length
            for sinks in ("k_sinks", "v_sinks"):
                cache_HCE = torch.zeros(attention.num_kv_heads, places, attention.head_dim)
                if num_sinks:
                    cache_HCE[:, :num_sinks] = getattr(attention, sinks)[0].detach()
                caches.append(cache_HCE)
        return LiveState(caches, [], [0])

    def embed_text(self, text_BND: Tensor) -> Tensor:
        """As `LivePolicy.embed_text`."""
        with torch.inference_mode():
            return self._tokens.text(text_BND.float())

    def see(self, frames_BCHW: Tensor) -> Tensor:
        """Image tokens (1, K, D) of a uint8 RGB picture (1, 3, S, S), fastest if it is HWC in memory."""
        (image_KD,) = self._see.run(frame=frames_BCHW.permute(0, 2, 3, 1).numpy())
        return torch.from_numpy(image_KD.copy())[None]

    def think(self, state: LiveState, image_BKD: Tensor, text_BND: Tensor, previous_BA: Tensor) -> Tensor:
        """As `LivePolicy.think`, for one episode."""
        ring, tick = self._ring, state.tick
        self._bind(state)
        masks = self._masks(tick, state.starts)  # which must live until the graph has run
        for name, mask_QK in masks.items():
            self._think.request.set_tensor(name, _shared(mask_QK))
        cos_QF, sin_QF = self._rope(tick - state.starts[0])
        out_1D, *new = self._think.run(
            previous=previous_BA[0].numpy(),
            text=text_BND[0].numpy(),
            image=image_BKD[0].numpy(),
            cos=cos_QF[:, None, :, None],
            sin=sin_QF[:, None, :, None],
        )
        first = self.config.num_sinks + ring.place(tick)
        places = slice(first, first + ring.unit)
        for cache_HCE, new_HQE in zip(state.backbone, new, strict=True):
            cache_HCE.numpy()[:, places] = new_HQE[:, : ring.unit]
        state.tick += 1
        return torch.from_numpy(out_1D.copy())

    def decide(
        self, state: LiveState, out_BD: Tensor, uniforms_BA: Tensor, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """As `LivePolicy.decide`, for one episode."""
        request, inputs = self._decide, {}
        if top_p < 1:
            if self._decide_nucleus is None:
                self._decide_nucleus = self._compiled(decide_graph(self._policy, self._weights, is_nucleus=True))
            request, inputs = self._decide_nucleus, {"top_p": top_p}
        (ids_A,) = request.run(
            out=out_BD.numpy(),
            uniforms=uniforms_BA[0].numpy(),
            temperature=max(temperature, _SMALLEST_TEMPERATURE),
            **inputs,
        )
        return torch.from_numpy(ids_A.astype(np.int64))[None]

    def score(self, out_BD: Tensor, target_BA: Tensor) -> list[Tensor]:
        """Logits (1, choices) of every slot, were the slots before it drawn as `target_BA`: to compare runtimes."""
        if self._decide_forced is None:
            self._decide_forced = self._compiled(decide_graph(self._policy, self._weights, is_forced=True))
        _, *logits = self._decide_forced.run(
            out=out_BD.numpy(), uniforms=0.0, temperature=1.0, targets=target_BA[0].numpy()
        )
        return [torch.from_numpy(logits_1C.copy()) for logits_1C in logits]

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
        for index, cache in enumerate(state.backbone):
            name = "values" if index % 2 else "keys"
            self._think.request.set_tensor(f"{name}{index // 2}", _shared(cache.numpy()))
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
        for history, mask_11QK in ring.masks(tick, starts).items():
            mask_QK = mask_11QK[0, 0].numpy()
            cached_QK = mask_QK.copy()
            cached_QK[:, new] = -np.inf
            masks[f"mask{history}_new"] = np.ascontiguousarray(mask_QK[:, new])
            masks[f"mask{history}_cache"] = cached_QK
        if is_full:
            self._full_masks[tick % ring.num_units] = masks
        return masks


class _Request:
    """A compiled graph whose inputs and outputs lie in arrays that are made once.

    Args:
        model: the graph; one of its inputs whose name begins with one of `given` has no array here, but is set through
            `request`.

    Attributes:
        request: OpenVINO's.
    """

    def __init__(self, model: ov.CompiledModel, given: tuple[str, ...]) -> None:
        self.request = model.create_infer_request()
        self._inputs: dict[str, NDArray[Any]] = {}
        for port in model.inputs:
            name = port.any_name
            if not name.startswith(given):
                self._inputs[name] = array = np.zeros(port.shape, port.element_type.to_dtype())
                self.request.set_tensor(name, _shared(array))
        self._outputs: list[NDArray[Any]] = []
        for index, port in enumerate(model.outputs):
            self._outputs.append(np.zeros(port.shape, port.element_type.to_dtype()))
            self.request.set_output_tensor(index, _shared(self._outputs[-1]))

    def run(self, **inputs: NDArray[Any] | float) -> list[NDArray[Any]]:
        """Outputs for these inputs, each broadcast and cast to what the graph takes. The next run overwrites them."""
        for name, value in inputs.items():
            self._inputs[name][...] = value
        self.request.infer(share_outputs=True)
        return self._outputs


def _shared(array: NDArray[Any]) -> ov.Tensor:
    """A tensor on the array's own memory, which must be contiguous and must live as long as it is used."""
    return ov.Tensor(array, shared_memory=True)
