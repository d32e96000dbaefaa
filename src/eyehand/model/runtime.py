"""Which runtime steps a policy live: the choice, and the number of threads that turns out quickest.

    torch           everywhere, any number of games at once, GPUs; its numbers are those of the trained network
    openvino        one game, CPU: the same numbers up to rounding, in less time
    openvino-int8   the same with large weights as int8: what large networks need on a CPU

`auto` takes OpenVINO where it is installed and fits, with int8 from `INT8_FROM` parameters on: below it saves little.
docs/timing.md holds the measurements behind this.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from typing import Literal, Protocol

import torch
from torch import Tensor

from eyehand.action import NOTHING
from eyehand.action_space import ActionSpace
from eyehand.errors import UserError
from eyehand.model.config import PolicyConfig
from eyehand.model.live import LivePolicy, LiveState
from eyehand.model.policy import Policy

__all__ = ["INT8_FROM", "LiveEngine", "Runtime", "live_engine", "quickest_threads", "resolved"]

Runtime = Literal["auto", "torch", "openvino", "openvino-int8"]

INT8_FROM = 20_000_000
"""Parameters from which `auto` quantises."""

_TRIAL_TICKS = 9
_WORTHWHILE = 0.9
"""More threads are taken only if they bring the time below this share: the game wants its cores too."""


class LiveEngine(Protocol):
    """What `LivePolicy` and its equals on other runtimes can do; see there."""

    config: PolicyConfig
    space: ActionSpace

    def new_state(self, batch: int = 1) -> LiveState: ...

    def embed_text(self, text_BND: Tensor) -> Tensor: ...

    def see(self, frames_BCHW: Tensor) -> Tensor: ...

    def think(self, state: LiveState, image_BKD: Tensor, text_BND: Tensor, previous_BA: Tensor) -> Tensor: ...

    def decide(
        self, state: LiveState, out_BD: Tensor, uniforms_BA: Tensor, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor: ...


def resolved(runtime: Runtime, policy: Policy, device: str = "cpu", batch: int = 1) -> Runtime:
    """The runtime that `auto` stands for here; any other as it is.

    Raises:
        UserError: OpenVINO is asked for where it is not installed or does not fit.
    """
    is_installed = importlib.util.find_spec("openvino") is not None
    fits = torch.device(device).type == "cpu" and batch == 1
    if runtime == "auto":
        if not (is_installed and fits):
            return "torch"
        return "openvino-int8" if policy.num_parameters >= INT8_FROM else "openvino"
    if runtime != "torch" and not is_installed:
        raise UserError("The runtime OpenVINO is not installed: pip install 'eyehand[fast]', or use --runtime torch.")
    if runtime != "torch" and not fits:
        raise UserError("The runtime OpenVINO plays one game on the CPU: use --runtime torch here.")
    return runtime


def live_engine(
    policy: Policy, runtime: Runtime = "auto", *, device: str = "cpu", batch: int = 1, threads: int | None = 1
) -> LiveEngine:
    """The policy, ready to step.

    Args:
        policy: the network.
        runtime: see the module's docstring.
        device: where to run.
        batch: how many games will be played at once.
        threads: that OpenVINO may use (None: one); torch takes what `torch.set_num_threads` allows.

    Raises:
        UserError: see `resolved`.
    """
    chosen = resolved(runtime, policy, device, batch)
    if chosen == "torch":
        return LivePolicy(policy, device)
    from eyehand.model.openvino_live import OpenVinoLive

    return OpenVinoLive(policy, threads=threads or 1, is_int8=chosen == "openvino-int8")


def quickest_threads(policy: Policy, runtime: Runtime, limit: int) -> int:
    """How many of up to `limit` threads to use, found out by trying 1, 2, 4, ... on a full memory."""
    best, best_s = 1, float("inf")
    threads = 1
    before = torch.get_num_threads()
    while threads <= limit:
        torch.set_num_threads(threads)
        needed_s = _tick_s(live_engine(policy, runtime, threads=threads))
        if needed_s > _WORTHWHILE * best_s:
            break
        best, best_s = threads, needed_s
        threads *= 2
    torch.set_num_threads(before)
    return best


def _tick_s(engine: LiveEngine) -> float:
    """Median time of a tick on a full memory."""
    config = engine.config
    state = engine.new_state()
    state.fill(config)
    previous_BA = torch.from_numpy(engine.space.encode(NOTHING))[None]
    text_BND = engine.embed_text(torch.zeros(1, config.num_text_tokens, config.text_dim))
    frame_BHWC = torch.zeros(1, config.frame_size, config.frame_size, 3, dtype=torch.uint8)
    uniforms_BA = torch.full((1, engine.space.num_slots), 0.5)
    times = []
    for _ in range(_TRIAL_TICKS):
        begin = time.perf_counter()
        out_BD = engine.think(state, engine.see(frame_BHWC.permute(0, 3, 1, 2)), text_BND, previous_BA)
        engine.decide(state, out_BD, uniforms_BA)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[_TRIAL_TICKS // 3 :])
