"""`eyehand bench live`: latency from a captured picture to an action, tick by tick, on a full KV cache.

Pictures of 640x480 go through all that live play does with them: resize, vision, backbone, decoder, decoding into
keys and pixels, one after the other without pauses. Time stolen by the host is measured too, and the ticks of quiet
seconds are summed up apart. With `is_baseline` the original algorithm (`baseline`) alternates with ours on the same
weights, tick by tick, so that a noisy machine is as noisy for both.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eyehand.bench.baseline import Baseline
from eyehand.checkpoint import Checkpoint, load_checkpoint
from eyehand.errors import UserError
from eyehand.evaluate.statistics import Estimate
from eyehand.frame import Frame, resize
from eyehand.inference.runtime import Runtime, quickest_threads, resolved
from eyehand.machine import MachineWatch, MachineWindow, cpu_name
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from eyehand.model.text import TEXT_ENCODERS, text_encoder
from eyehand.play.latency import Spread
from eyehand.player import Observation
from eyehand.players.policy import BatchPolicyPlayer
from eyehand.progress import Progress, no_progress
from eyehand.replaced import replaced

__all__ = ["LiveBench", "bench_live"]

_NUM_PICTURES = 8
_INSTRUCTION = "shoot the monster"


@dataclass(frozen=True)
class LiveBench:
    """The result of `bench_live`.

    Attributes:
        name: of the checkpoint or preset; parameters: of its network.
        runtime, threads: of the network.
        num_ticks, num_quiet: all ticks, and those in quiet seconds.
        ticks, quiet: latency over all ticks, and over those in quiet seconds (None: there were none).
        stages_ms: median of each stage.
        actions_per_s: ticks by the time that they took.
        baseline: latency of the original algorithm; ratio: to ours, median of pairs with 95% interval.
        memory_bytes: peak of the process.
        steal_mean, steal_max: share of the machine's time stolen by the host, per second.
        machine: the processor, or the GPU that a CUDA graph ran on.
    """

    name: str
    parameters: int
    runtime: Runtime
    threads: int
    num_ticks: int
    num_quiet: int
    ticks: Spread
    quiet: Spread | None
    stages_ms: dict[str, float]
    actions_per_s: float
    baseline: Spread | None
    ratio: Estimate | None
    memory_bytes: int
    steal_mean: float
    steal_max: float
    machine: str

    def save(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            UserError: it cannot be written.
        """
        with replaced(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def bench_live(
    *,
    checkpoint: str | None = None,
    preset_name: str | None = None,
    runtime: Runtime = "auto",
    threads: int = 2,
    ticks: int = 400,
    is_baseline: bool = False,
    progress: Progress = no_progress,
) -> tuple[LiveBench, Policy]:
    """Measure a checkpoint, or the network of a preset with random weights.

    Args:
        checkpoint, preset_name: one of the two.
        runtime: see `inference.runtime`.
        threads: at most so many; fewer where more are not quicker.
        ticks: to measure, after a few to warm up.
        is_baseline: alternate with the original algorithm.
        progress: see `progress.py`; it is told between two ticks, now and then.

    Raises:
        UserError: neither or both are given; no such checkpoint, preset or runtime; too few ticks; a baseline on a
            CPU for a runtime on a GPU.
    """
    if (checkpoint is None) == (preset_name is None):
        raise UserError("Give either --checkpoint or --preset: what is to be measured.")
    if ticks < 1 or threads < 1:
        raise UserError("At least one tick and one thread are needed: give --ticks and --threads of 1 or more.")
    if checkpoint is not None:
        opened = load_checkpoint(checkpoint)
    else:
        torch.manual_seed(0)
        opened = Checkpoint(Policy(preset(str(preset_name))).eval(), str(preset_name))
    policy = opened.policy
    chosen = resolved(runtime, policy)
    if is_baseline and chosen == "cuda-graph":
        raise UserError("The baseline runs on the CPU: leave out --baseline with --runtime cuda-graph.")
    if is_baseline and (policy.space.is_independent or policy.config.action_lag != 1 or policy.config.is_step_fused):
        raise UserError(
            "The baseline plays networks of the reference's kind, and this is another: leave out --baseline."
        )
    num_threads = quickest_threads(policy, chosen, threads)
    torch.set_num_threads(num_threads)
    player = BatchPolicyPlayer(opened, 1, threads=num_threads, runtime=chosen)
    knows_text = policy.config.text_encoder in TEXT_ENCODERS
    contest = _Contest(player, _INSTRUCTION if knows_text else None, is_baseline)
    contest.run(ticks, progress)
    return contest.result(opened.name, chosen, num_threads), policy


class _Contest:
    """Alternating ticks of our engine and of the baseline, with their times."""

    def __init__(self, player: BatchPolicyPlayer, instruction: str | None, is_baseline: bool) -> None:
        self.player, self.instruction = player, instruction
        policy = player.checkpoint.policy
        config = policy.config
        self.baseline: Baseline | None = None
        if is_baseline:
            nothing = torch.zeros(config.num_text_tokens, config.text_dim)

            def embed() -> torch.Tensor:
                if instruction is None:
                    return nothing
                return torch.tensor(text_encoder(config.text_encoder).embed(instruction))

            self.baseline = Baseline(policy, embed)
            self.baseline.fill()
        rng = np.random.default_rng(0)
        self.pictures = [rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(_NUM_PICTURES)]
        self.uniforms_A = torch.rand(policy.space.num_slots, generator=torch.Generator().manual_seed(0))
        self.ours_ms: list[float] = []
        self.theirs_ms: list[float] = []
        self.begins_ns: list[int] = []
        self.stages: dict[str, list[float]] = {}
        self.watch = MachineWatch()

    def run(self, ticks: int, progress: Progress) -> None:
        self.player.warm_up()
        self.player.state.fill(self.player.checkpoint.config)
        for picture in self.pictures[:3]:
            self._ours(picture)
            self._theirs(picture)
        self.ours_ms.clear()
        self.theirs_ms.clear()
        self.begins_ns.clear()
        self.stages.clear()
        self.watch.restart()
        for tick in range(ticks):
            if tick % 20 == 0:
                progress("measuring ticks", tick, ticks)
            picture = self.pictures[tick % _NUM_PICTURES]
            self._ours(picture)
            self._theirs(picture)
            self.watch.poll()
        self.watch.poll(is_last=True)

    def _ours(self, picture: np.ndarray[Any, Any]) -> None:
        self.begins_ns.append(time.monotonic_ns())
        begin = time.perf_counter()
        self.player.act([Observation(Frame(picture, 0), self.instruction)])
        self.ours_ms.append(1e3 * (time.perf_counter() - begin))
        for stage, spent_ms in self.player.stage_ms.items():
            self.stages.setdefault(stage, []).append(spent_ms)

    def _theirs(self, picture: np.ndarray[Any, Any]) -> None:
        if self.baseline is None:
            return
        begin = time.perf_counter()
        frame_HWC = resize(picture, self.player.checkpoint.config.frame_size)
        self.baseline.act(torch.from_numpy(frame_HWC).permute(2, 0, 1)[None], self.uniforms_A)
        self.theirs_ms.append(1e3 * (time.perf_counter() - begin))

    def result(self, name: str, runtime: Runtime, threads: int) -> LiveBench:
        windows = self.watch.windows
        quiet = [
            spent_ms
            for begin_ns, spent_ms in zip(self.begins_ns, self.ours_ms, strict=True)
            if _is_quiet(begin_ns, windows)
        ]
        ticks = Spread.of(self.ours_ms)
        assert ticks is not None
        steals = [window.steal for window in windows] or [0.0]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return LiveBench(
            name=name,
            parameters=self.player.checkpoint.policy.num_parameters,
            runtime=runtime,
            threads=threads,
            num_ticks=len(self.ours_ms),
            num_quiet=len(quiet),
            ticks=ticks,
            quiet=Spread.of(quiet),
            stages_ms={stage: round(statistics.median(spent), 3) for stage, spent in self.stages.items()},
            actions_per_s=round(1e3 * len(self.ours_ms) / sum(self.ours_ms), 1),
            baseline=Spread.of(self.theirs_ms),
            ratio=_median_ratio(self.theirs_ms, self.ours_ms) if self.theirs_ms else None,
            memory_bytes=peak if sys.platform == "darwin" else 1024 * peak,
            steal_mean=round(statistics.fmean(steals), 4),
            steal_max=round(max(steals), 4),
            machine=torch.cuda.get_device_name() if runtime == "cuda-graph" else cpu_name(),
        )


def _is_quiet(begin_ns: int, windows: Sequence[MachineWindow]) -> bool:
    return any(window.is_quiet and window.start_ns <= begin_ns < window.end_ns for window in windows)


def _median_ratio(theirs_ms: Sequence[float], ours_ms: Sequence[float]) -> Estimate:
    """Median of the pairs' ratios with its 95% bootstrap interval."""
    ratios = np.asarray(theirs_ms) / np.asarray(ours_ms)
    draws = np.random.default_rng(0).choice(ratios, (2_000, len(ratios)))
    low, high = np.percentile(np.median(draws, axis=1), (2.5, 97.5))
    return Estimate(float(np.median(ratios)), float(low), float(high), len(ratios))
