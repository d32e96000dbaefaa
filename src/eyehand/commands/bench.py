"""`eyehand bench`: how fast it is here, and what speed costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from eyehand.inference.network_options import NetworkOptions
from eyehand.option_rules import OnlyWith

if TYPE_CHECKING:
    from eyehand.bench.live import LiveBench
    from eyehand.bench.quality import Quality
    from eyehand.console import Console
    from eyehand.play.latency import Spread


@dataclass(frozen=True)
class Options:
    """Options of `eyehand bench`.

    Attributes:
        what: live: the time from a picture to an action, on a full memory.
        checkpoint: a bundled checkpoint's name or a folder. Default: pocket-doom.
        preset: instead of a checkpoint, a preset with random weights: pocket, p2p-150m, ...
        network: what the network runs on.
        ticks: how many to measure.
        baseline: let the original's way of stepping (two passes, growing cache) take turns on the same weights.
        data: recordings on which the runtime is compared with the trained network.
        clips: how many clips of them.
        json: write the figures to this file.
    """

    what: Annotated[Literal["live"], tyro.conf.Positional] = "live"
    checkpoint: str | None = None
    preset: str | None = None
    network: NetworkOptions = field(default_factory=NetworkOptions)
    ticks: int = 400
    baseline: bool = False
    data: Path | None = None
    clips: Annotated[int, OnlyWith("data")] = 8
    json: Path | None = None


def run(options: Options) -> int:
    """Measure, print, write."""
    from eyehand.bench.live import bench_live
    from eyehand.console import Console
    from eyehand.progress import shown_progress

    checkpoint = "pocket-doom" if options.checkpoint is None and options.preset is None else options.checkpoint
    with shown_progress() as progress:
        result, policy = bench_live(
            checkpoint=checkpoint,
            preset_name=options.preset,
            runtime=options.network.runtime,
            threads=options.network.threads,
            ticks=options.ticks,
            is_baseline=options.baseline,
            progress=progress,
        )
    console = Console(soft_wrap=True)
    _show(console, result)
    if options.data is not None:
        if result.runtime == "torch":
            console.print("torch computes what was trained: there is nothing to compare")
        else:
            from eyehand.bench.quality import ScoredEngine, compare, read_clips
            from eyehand.inference.runtime import live_engine

            engine = live_engine(policy, result.runtime, threads=result.threads)
            assert isinstance(engine, ScoredEngine)
            _show_quality(console, compare(policy, engine, read_clips(options.data, policy, options.clips)))
    if options.json is not None:
        result.save(options.json)
    return 0


def _show(console: Console, result: LiveBench) -> None:
    console.print(result.name, style="bold", end="  ")
    console.print(
        f"{result.parameters / 1e6:.1f}M parameters on {result.runtime}, {result.threads} "
        f"thread{'s' * (result.threads > 1)}; {result.machine}"
    )
    _show_ticks(console, "frame to action", result.ticks, result.num_ticks)
    if result.quiet is not None:
        _show_ticks(console, "quiet seconds", result.quiet, result.num_quiet)
    console.print("by stage: " + ", ".join(f"{stage} {spent:.2f}" for stage, spent in result.stages_ms.items()) + " ms")
    console.print(
        f"{result.actions_per_s:.0f} actions a second; peak memory {result.memory_bytes / 1e6:,.0f} MB; steal mean "
        f"{result.steal_mean:.0%}, worst second {result.steal_max:.0%}"
    )
    if result.baseline is not None and result.ratio is not None:
        _show_ticks(console, "baseline", result.baseline, result.num_ticks)
        ratio = result.ratio
        console.print(f"{ratio.value:.1f} times as fast as the baseline [{ratio.low:.1f}, {ratio.high:.1f}]")


def _show_ticks(console: Console, name: str, ticks: Spread, num: int) -> None:
    console.print(
        f"{name}: p50 {ticks.p50:.2f}, p95 {ticks.p95:.2f}, p99 {ticks.p99:.2f}, max {ticks.max:.2f} ms over "
        f"{num} ticks"
    )


def _show_quality(console: Console, quality: Quality) -> None:
    console.print(
        f"against the trained network: KL mean {quality.kl:.2e}, max {quality.max_kl:.2e} nats a slot; "
        f"{quality.agreement:.1%} of {quality.num_ticks} actions the same"
    )
