"""Which runtime steps a policy live: the choice, and the number of threads that turns out quickest.

    torch           everywhere, any number of games at once, GPUs; its numbers are those of the trained network
    openvino        one game, CPU: the same numbers up to rounding, in less time
    openvino-int8   the same with large weights as int8: what large networks need on a CPU
    cuda-graph      one game, CUDA: bfloat16, a whole tick as one graph

`auto` takes cuda-graph for one game on a CUDA device. On a CPU it takes OpenVINO where it is installed and fits, with
int8 from `INT8_FROM` parameters on: below it saves little. docs/timing.md holds the measurements behind this.
"""

from __future__ import annotations

import importlib.util
import statistics
import time

import torch

from eyehand.action import NOTHING
from eyehand.errors import UserError
from eyehand.inference.engine import LiveEngine
from eyehand.inference.network_options import Runtime
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy import Policy

__all__ = ["INT8_FROM", "Runtime", "live_engine", "quickest_threads", "resolved"]

INT8_FROM = 20_000_000
"""Parameters from which `auto` quantises."""

_TRIAL_TICKS = 9
_WORTHWHILE = 0.9
"""More threads are taken only if they bring the time below this share: the game wants its cores too."""


def resolved(runtime: Runtime, policy: Policy, device: str = "cpu", batch: int = 1) -> Runtime:
    """The runtime that `auto` stands for here; any other as it is.

    Raises:
        UserError: OpenVINO is asked for where it is not installed or does not fit, or a CUDA graph for several games
            or where there is no CUDA device.
    """
    is_installed = importlib.util.find_spec("openvino") is not None
    kind = torch.device(device).type
    if runtime == "auto" and kind == "cuda":
        runtime = "cuda-graph" if batch == 1 else "torch"
    if runtime == "auto":
        if not is_installed or kind != "cpu" or batch > 1:
            return "torch"
        return "openvino-int8" if policy.num_parameters >= INT8_FROM else "openvino"
    if runtime == "cuda-graph":
        if batch > 1:
            raise UserError("The runtime cuda-graph plays one game: use --runtime torch here.")
        if not torch.cuda.is_available():
            raise UserError("The runtime cuda-graph needs a CUDA GPU, and there is none here: use --runtime auto.")
    elif runtime != "torch" and not is_installed:
        raise UserError("The runtime OpenVINO is not installed: pip install 'eyehand[fast]', or use --runtime torch.")
    elif runtime != "torch" and (kind != "cpu" or batch > 1):
        raise UserError("The runtime OpenVINO plays one game on the CPU: use --runtime torch here.")
    return runtime


def live_engine(
    policy: Policy, runtime: Runtime = "auto", *, device: str = "cpu", batch: int = 1, threads: int | None = 1
) -> LiveEngine:
    """The policy, ready to step.

    Args:
        policy: the network.
        runtime: see the module's docstring.
        device: where to run; cuda-graph takes the CUDA device in place of the CPU.
        batch: how many games will be played at once.
        threads: that OpenVINO may use (None: one); torch takes what `torch.set_num_threads` allows.

    Raises:
        UserError: see `resolved`.
    """
    chosen = resolved(runtime, policy, device, batch)
    if chosen == "torch":
        return LivePolicy(policy, device)
    if chosen == "cuda-graph":
        from eyehand.inference.graph_live import GraphLive

        return GraphLive(policy, device if torch.device(device).type == "cuda" else "cuda")
    from eyehand.inference.openvino_live import OpenVinoLive

    return OpenVinoLive(policy, threads=threads or 1, is_int8=chosen == "openvino-int8")


def quickest_threads(policy: Policy, runtime: Runtime, limit: int) -> int:
    """How many of up to `limit` threads to use, found out by trying 1, 2, 4, ... on a full memory.

    Raises:
        UserError: see `resolved`.
    """
    if resolved(runtime, policy) == "cuda-graph":
        return 1
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
        engine.tick(state, frame_BHWC.permute(0, 3, 1, 2), text_BND, previous_BA, uniforms_BA)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[_TRIAL_TICKS // 3 :])
