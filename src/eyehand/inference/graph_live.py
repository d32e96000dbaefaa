"""`GraphLive`: the live policy on a CUDA device, one episode at a time, a whole tick as one CUDA graph.

`TickGraph` goes from a picture to drawn tokens on buffers that never move. Whatever depends on the tick (the place in
the ring, the positions, the masks) it computes from numbers on the device, so that the host decides and waits for
nothing inside. `GraphLive` copies the inputs there from page-locked memory, starts the graph, and waits once, for the
tokens.

On a CPU the same operations run without a graph: that is how the numbers are tested. Knows no resizing and no
sentences.
Shapes as in `torch_live`; B is 1.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from eyehand.inference.engine import LiveState, Stepped
from eyehand.inference.packed import Packing, new_cache
from eyehand.inference.packed_vision import packed
from eyehand.inference.rolling_cache import RollingCache
from eyehand.inference.sampling import draw_by_tensors
from eyehand.inference.tick import BackboneStep, decode_action
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig

__all__ = ["GraphLive", "Inputs", "TickGraph"]

_WARM_UP_RUNS = 3
"""Runs before a graph is captured, in which libraries load and choose their kernels."""


class Inputs:
    """What changes from tick to tick, as buffers on the device, or as their twins in page-locked memory.

    Attributes:
        frame_BHWC: uint8 RGB.
        times_2: int64: the state's tick, and the ticks since its episode began.
        previous_BA: int64 tokens of what was executed since the last step.
        uniforms_BA: float32 in [0, 1), one per slot.
        sampling_2: float32: temperature, top-p.
    """

    def __init__(self, config: PolicyConfig, device: torch.device, *, is_pinned: bool = False) -> None:
        def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device, pin_memory=is_pinned)

        size, slots = config.frame_size, config.space.num_slots
        self.frame_BHWC = zeros(1, size, size, 3, dtype=torch.uint8)
        self.times_2 = zeros(2, dtype=torch.int64)
        self.previous_BA = zeros(1, slots, dtype=torch.int64)
        self.uniforms_BA = zeros(1, slots, dtype=torch.float32)
        self.sampling_2 = zeros(2, dtype=torch.float32)

    def buffers(self) -> tuple[Tensor, ...]:
        """All of them, in one order."""
        return self.frame_BHWC, self.times_2, self.previous_BA, self.uniforms_BA, self.sampling_2

    def write(
        self,
        state: LiveState,
        frames_BCHW: Tensor,
        previous_BA: Tensor,
        uniforms_BA: Tensor,
        temperature: float,
        top_p: float,
    ) -> None:
        """Put a tick's numbers here."""
        self.frame_BHWC.copy_(frames_BCHW.permute(0, 2, 3, 1))
        self.times_2[0] = state.tick
        self.times_2[1] = state.tick - state.starts[0]
        self.previous_BA.copy_(previous_BA)
        self.uniforms_BA.copy_(uniforms_BA)
        self.sampling_2[0] = temperature
        self.sampling_2[1] = top_p


class TickGraph:
    """A tick of one episode as a function on fixed buffers, without a look at any of their values.

    Run twice on the same inputs it gives the same twice.

    Attributes:
        inputs, text_BND: what it reads.
        caches: keys and values of each backbone layer's ring, read and written.
        out_BD: the backbone's output at the action_out token.
        tokens_BA: the drawn tokens, int64.
    """

    def __init__(self, policy: Policy, device: torch.device, dtype: torch.dtype) -> None:
        self.config = policy.config
        encoder = packed(policy.image_encoder, device, dtype)
        self._encoder = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._packing = Packing(device, dtype)
        self.backbone, self._decode_action = BackboneStep(policy, self._packing), decode_action(policy, self._packing)
        self._ring = RollingCache(self.config, device, dtype)
        self.inputs = Inputs(self.config, device)
        width = self.config.width
        self.text_BND = torch.zeros(1, self.config.num_text_tokens, width, device=device, dtype=dtype)
        self.caches = self.new_caches()
        self.out_BD = torch.zeros(1, width, device=device, dtype=dtype)
        self.tokens_BA = torch.zeros(1, policy.space.num_slots, device=device, dtype=torch.int64)

    def new_caches(self) -> list[Tensor]:
        """An empty memory."""
        return [new_cache(block.sinks, 1, self._ring.length) for block in self.backbone.blocks]

    def run(self) -> None:
        """From `inputs`, `text_BND` and `caches` to `out_BD` and `tokens_BA`."""
        image_BKD = self._encoder(self.inputs.frame_BHWC.permute(0, 3, 1, 2))
        self.out_BD.copy_(self._step(image_BKD))
        _, drawn = self.decode_action(self.out_BD)
        self.tokens_BA.copy_(torch.cat(drawn, dim=1))

    def _step(self, image_BKD: Tensor) -> Tensor:
        ring = self._ring
        tick_1, since_1 = self.inputs.times_2[:1], self.inputs.times_2[1:]
        masks, places_Q = ring.masks_at(tick_1, since_1), self.config.num_sinks + ring.places(tick_1)

        def attend(layer: int, q: Tensor, new: Tensor) -> Tensor:
            cache = self.caches[layer]
            cache.index_copy_(2, places_Q, new)
            return self.backbone.blocks[layer].attended(q, cache, masks[self.config.history_of(layer)])

        turns = self._packing.turns(ring.rope_since(since_1[:, None]))
        out_BD: Tensor = self.backbone(self.inputs.previous_BA, self.text_BND, image_BKD, turns, attend)
        return out_BD

    def decode_action(self, out_BD: Tensor, target_BA: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Logits (1, S, choices) and tokens (1, S) of neighbouring slots, drawn unless they are given."""
        uniforms_BA, sampling_2 = self.inputs.uniforms_BA, self.inputs.sampling_2

        def pick(slots: slice, logits_BSC: Tensor) -> Tensor:
            if target_BA is not None:
                return target_BA[:, slots]
            return draw_by_tensors(logits_BSC, uniforms_BA[:, slots], sampling_2[:1], sampling_2[1:])

        logits, ids = self._decode_action(out_BD, pick)
        return logits, ids


class GraphLive:
    """A Policy prepared for stepping one episode on a CUDA device; `runtime.LiveEngine` says what it can do.

    Takes a snapshot of the weights; training the Policy further does not change it. The graph is captured at the first
    step. It works on one memory: a state that takes its turn is copied there, and the one before it is copied away.

    Args:
        policy: the network.
        device: a CUDA device, or the CPU to test on.
        dtype: of weights and cache; probabilities are float32 whatever it is.
    """

    def __init__(
        self, policy: Policy, device: str | torch.device = "cuda", dtype: torch.dtype = torch.bfloat16
    ) -> None:
        self.config, self.space = policy.config, policy.space
        self.device, self.dtype = torch.device(device), dtype
        self._tick = TickGraph(policy, self.device, dtype)
        self._inputs, self._tokens_BA = self._tick.inputs, self._tick.tokens_BA
        self._is_captured = self.device.type == "cuda"
        self._held: weakref.ref[LiveState] | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._end: torch.cuda.Event | None = None
        if self._is_captured:
            self._inputs = Inputs(self.config, torch.device("cpu"), is_pinned=True)
            self._tokens_BA = torch.zeros(self._tick.tokens_BA.shape, dtype=torch.int64, pin_memory=True)

    def new_state(self, batch: int = 1) -> LiveState:
        """Empty memory for one episode.

        Raises:
            ValueError: for more than one.
        """
        if batch != 1:
            raise ValueError("the runtime cuda-graph plays one episode at a time")
        return LiveState(self._tick.new_caches(), [0])

    @torch.inference_mode()
    def embed_text(self, text_BND: Tensor) -> Tensor:
        """As `LivePolicy.embed_text`."""
        return self._tick.backbone.tokens.text(text_BND.to(self.device, torch.float32))

    # Not inference mode: a graph that is captured there cannot be used with random numbers elsewhere (PyTorch issue
    # 166792), and the buffers are written from both.
    @torch.inference_mode(False)
    @torch.no_grad()
    def tick(
        self,
        state: LiveState,
        frames_BCHW: Tensor,
        text_BND: Tensor,
        previous_BA: Tensor,
        uniforms_BA: Tensor,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Stepped:
        """A whole tick of one episode; arguments as of `LivePolicy.encode_image`, `step` and `decode_action`."""
        begin = time.perf_counter()
        with torch.cuda.device_of(self._tick.tokens_BA):  # type: ignore[no-untyped-call]
            self._hold(state)
            self._inputs.write(state, frames_BCHW, previous_BA, uniforms_BA, temperature, top_p)
            self._tick.text_BND.copy_(text_BND)
            if self._is_captured:
                self._replay()
            else:
                self._tick.run()
        state.tick += 1
        return Stepped(self._tokens_BA.clone(), self._tick.out_BD.clone(), {"graph": time.perf_counter() - begin})

    @torch.inference_mode()
    def score(self, out_BD: Tensor, target_BA: Tensor) -> list[Tensor]:
        """Logits (1, choices) of every slot, were the slots before it drawn as `target_BA`: to compare runtimes."""
        logits, _ = self._tick.decode_action(out_BD, target_BA.to(self.device))
        return [logits_1C.cpu() for logits_1SC in logits for logits_1C in logits_1SC.unbind(1)]

    def _hold(self, state: LiveState) -> None:
        """Let the TickGraph's memory be this state's, and leave the state before it with a copy of its own."""
        before = None if self._held is None else self._held()
        if before is state:
            return
        if before is not None:
            before.backbone = [cache.clone() for cache in self._tick.caches]
        for cache, own in zip(self._tick.caches, state.backbone, strict=True):
            cache.copy_(own)
        state.backbone = list(self._tick.caches)
        self._held = weakref.ref(state)

    def _replay(self) -> None:
        """Inputs there, the graph, tokens back: all queued, then waited for once."""
        for buffer, twin in zip(self._tick.inputs.buffers(), self._inputs.buffers(), strict=True):
            buffer.copy_(twin, non_blocking=True)
        if self._graph is None or self._end is None:
            self._graph = _captured(self._tick.run)
            # Blocking: the thread sleeps while it waits, and leaves its core to the game.
            self._end = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._graph.replay()
        self._tokens_BA.copy_(self._tick.tokens_BA, non_blocking=True)
        self._end.record()
        self._end.synchronize()


def _captured(function: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """The function's work on the current device, recorded. It runs a few times beside the current stream before."""
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_RUNS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream):
        function()
    return graph
