"""`PlayReport`: scores and timing of live play, as JSON, as one HTML page, and in the terminal."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyehand.pages import page, plots
from eyehand.play.latency import Spread, TickTiming, Timing
from eyehand.play.turns import PlayedTurn, num_takeovers, persons_share
from eyehand.replaced import replaced
from eyehand.terminal import clock_time, counted

if TYPE_CHECKING:
    from eyehand.console import Console

__all__ = ["TIME_IS_OVER", "EpisodeReport", "Machine", "PlayReport", "Second", "print_report", "write_report"]

_EMBED_BYTES = 8_000_000
"""A video up to this size goes into the page itself, so that the page can be sent around alone."""

TIME_IS_OVER = "the time was over"


@dataclass(frozen=True)
class EpisodeReport:
    """One episode of live play.

    Attributes:
        seed: of the reset.
        score: at its end, in the task's unit.
        seconds: how long it lasted.
        is_finished: the game ended it; False: the time of the whole play was over, or it was interrupted.
        facts: the game's further numbers.
    """

    seed: int
    score: float
    seconds: float
    is_finished: bool
    facts: dict[str, float]


@dataclass(frozen=True)
class Second:
    """The machine during about one second.

    Attributes:
        start_s, end_s: in seconds since the first tick.
        steal: share of all cores' time that the host took away.
        busy: share of all cores' time that any program used.
        own_cores: cores that we and our children kept busy.
        memory_mb: resident memory of us and our children.
    """

    start_s: float
    end_s: float
    steal: float
    busy: float
    own_cores: float
    memory_mb: float


@dataclass(frozen=True)
class Machine:
    """Where it ran and what it took.

    Attributes:
        cpu: the processor's name; num_cores: logical cores.
        mean_steal, max_steal: share of all cores' time that the host took away.
        own_cores: cores that we and our children kept busy, on average.
        peak_memory_mb: highest resident memory of us and our children (sampled once a second).
    """

    cpu: str
    num_cores: int
    mean_steal: float
    max_steal: float
    own_cores: float
    peak_memory_mb: float


@dataclass(frozen=True)
class PlayReport:
    """Scores, timing, machine and files of one live play.

    Attributes:
        game, player, instruction: who played what and what was said.
        score_name: what the scores count; "": the game tells none.
        fps: ticks per second.
        episodes: in order of play.
        timing: over all ticks; quiet: over the seconds in which the host stole less than 12%.
        machine, seconds: the machine as a whole and second by second.
        ticks: every tick.
        video: file of the video; None where there is none. frames_dropped: frames that it lacks.
        recordings: folders of the recorded episodes.
        end: what ended it. is_interrupted: it was Ctrl-C.
        date: when it began, ISO 8601. problem: something that went wrong beside the play.
        turns: who was in control when; empty where nobody could take over.
        folder: where the report lies.
    """

    game: str
    player: str
    instruction: str | None
    score_name: str
    fps: float
    episodes: tuple[EpisodeReport, ...]
    timing: Timing
    quiet: Timing
    machine: Machine
    seconds: tuple[Second, ...]
    ticks: tuple[TickTiming, ...]
    video: str | None
    frames_dropped: int
    recordings: tuple[str, ...]
    end: str = TIME_IS_OVER
    is_interrupted: bool = False
    date: str = ""
    problem: str | None = None
    turns: tuple[PlayedTurn, ...] = ()
    folder: str = ""

    @property
    def taken_over(self) -> str:
        """How much of it a person played, in words; "": nobody did."""
        num = num_takeovers(self.turns)
        share = persons_share(self.turns)
        return f"you played {share:.0%} of the ticks, in {counted(num, 'takeover')}" if num else ""

    @property
    def mean_score(self) -> float | None:
        """Mean score of the finished episodes; of all where none was finished; None where there is no score."""
        if not self.score_name:
            return None
        scores = [episode.score for episode in self.episodes if episode.is_finished]
        scores = scores or [episode.score for episode in self.episodes]
        return sum(scores) / len(scores) if scores else None

    def to_json(self) -> dict[str, Any]:
        """JSON values only; ticks as columns, a missing value as null."""
        values = asdict(self)
        names = list(dict.fromkeys(name for tick in self.ticks for name in tick.stages_ms))
        values["ticks"] = {
            "time_s": [round(tick.time_s, 4) for tick in self.ticks],
            "late_ms": [round(tick.late_ms, 3) for tick in self.ticks],
            "latency_ms": [None if tick.latency_ms is None else round(tick.latency_ms, 3) for tick in self.ticks],
            "age_ms": [round(tick.age_ms, 3) for tick in self.ticks],
            "num_skipped": [tick.num_skipped for tick in self.ticks],
            "steal": [None if math.isnan(tick.steal) else round(tick.steal, 4) for tick in self.ticks],
            "stages_ms": {
                name: [round(tick.stages_ms[name], 3) if name in tick.stages_ms else None for tick in self.ticks]
                for name in names
            },
        }
        values["mean_score"] = self.mean_score
        return values


def write_report(report: PlayReport, folder: Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html`; returns both paths."""
    json_path, html_path = folder / "report.json", folder / "report.html"
    contents = {json_path: json.dumps(report.to_json(), indent=1) + "\n", html_path: _html(report, folder)}
    for path, content in contents.items():
        with replaced(path) as partial:
            partial.write_text(content, encoding="utf-8")
    return json_path, html_path


def print_report(report: PlayReport, console: Console) -> None:
    """The report in a terminal: the score line, then the timing."""
    from eyehand.console import Table

    score = "" if report.mean_score is None else f"{report.mean_score:.2f} {report.score_name}"
    count = counted(len(report.episodes), "episode")
    console.print(report.game, style="bold", end=" · ")
    console.print(report.player, end=" · ")
    console.print(score or ("no score" if report.episodes else "nothing played"), style="bold", end=f" ({count})\n")
    if report.taken_over:
        console.print(report.taken_over)
    if report.instruction:
        console.print(f"“{report.instruction}”", style="italic")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "ticks", "on time", "late", "missed", "p50 ms", "p95 ms", "p99 ms", "max ms"):
        table.add_column(name, justify="left" if not name else "right")
    for name, timing in (("all", report.timing), ("quiet seconds", report.quiet)):
        table.add_row(name, *_timing_cells(timing))
    console.print(table)
    machine = report.machine
    console.print(
        f"own CPU {machine.own_cores:.2f} of {machine.num_cores} cores · memory {machine.peak_memory_mb:.0f} MB · "
        f"steal {machine.mean_steal:.0%} (worst second {machine.max_steal:.0%})",
        style="dim",
    )
    if report.problem:
        console.print(report.problem, style="red")


def _timing_cells(timing: Timing) -> list[str]:
    latency = timing.reaction_ms
    spread = (
        [f"{value:.1f}" for value in (latency.p50, latency.p95, latency.p99, latency.max)] if latency else ["-"] * 4
    )
    on_time = f"{timing.on_time:.1%}" if timing.num_ticks else "-"
    return [str(timing.num_ticks), on_time, str(timing.num_late), str(timing.num_skipped), *spread]


def _html(report: PlayReport, folder: Path) -> str:
    reactions = [tick.reaction_ms for tick in report.ticks if tick.reaction_ms is not None]
    spread = report.timing.reaction_ms
    marks = {"p50": spread.p50, "p95": spread.p95, "p99": spread.p99} if spread else {}
    period_ms = 1000 / report.fps
    acted = [tick for tick in report.ticks if tick.latency_ms is not None]
    failed_s = [tick.time_s for tick in report.ticks if tick.latency_ms is None or tick.num_skipped]
    late = {"late": [tick.late_ms for tick in report.ticks]}
    edges_s = [max(0.0, second.start_s) for second in report.seconds] + [s.end_s for s in report.seconds[-1:]]
    load = {
        "all programs": [second.busy for second in report.seconds],
        "player and game": [second.own_cores / report.machine.num_cores for second in report.seconds],
        "stolen by the host": [second.steal for second in report.seconds],
    }
    cards = [
        _video_card(report, folder),
        page.card("Frame to action", plots.histogram(reactions, "milliseconds", marks, period_ms)),
        page.card(
            "Frame to action over time",
            plots.stacked_timeline([tick.time_s for tick in acted], _layers(acted), "ms", period_ms, failed_s),
            f"Each bar is the slowest tick of its stretch; a cross is a tick without an action in time, "
            f"the dashed line the {period_ms:.0f} ms of a tick.",
        ),
        page.card("How late ticks began", plots.stacked_timeline([t.time_s for t in report.ticks], late, "ms")),
        page.card("Share of all cores", plots.steps(edges_s, load, "share")),
        page.card("Ticks", page.table(*_timing_table(report)), "Quiet: the host stole less than 12% of that second."),
        page.card("Stages of frame to action", page.table(*_stage_table(report))),
        page.card("Who played", page.table(*_turn_table(report)), report.taken_over) if report.taken_over else "",
        page.card("Episodes", page.table(*_episode_table(report)), style="wide"),
    ]
    lead = [f"“{report.instruction}”"] if report.instruction else []
    machine = report.machine
    lead.append(f"{report.date[:16].replace('T', ' ')} · {machine.cpu}, {machine.num_cores} cores")
    lead += [report.problem] if report.problem else []
    lead += [f"Figures for what was played until its end: {report.end}"] if report.end != TIME_IS_OVER else []
    heading = f"{escape(report.game)} <small>{escape(report.player)}</small>"
    body = page.facts(_headline(report)) + f'<div class="grid">{"".join(card for card in cards if card)}</div>'
    return page.page(f"{report.game}, played by {report.player}", heading, lead, body)


def _headline(report: PlayReport) -> list[tuple[str, str, str]]:
    quiet, machine = report.quiet, report.machine
    items = []
    if report.mean_score is not None:
        items.append((f"{report.mean_score:.2f}", f"{report.score_name}, mean of {len(report.episodes)}", ""))
    if report.taken_over:
        items.append((f"{persons_share(report.turns):.0%}", "of the ticks played by you", ""))
        items.append((str(num_takeovers(report.turns)), "takeovers", ""))
    if quiet.num_ticks:
        items.append(
            (f"{quiet.on_time:.1%}", "of ticks on time, quiet seconds", "good" if quiet.on_time >= 0.99 else "bad")
        )
    else:
        items.append((f"{report.timing.on_time:.1%}", "of ticks on time, no quiet second", ""))
    reaction = quiet.reaction_ms or report.timing.reaction_ms
    if reaction:
        items.append((f"{reaction.p50:.1f} ms", "frame to action, median", ""))
        items.append((f"{reaction.p99:.1f} ms", "frame to action, p99", ""))
    items.append((f"{machine.own_cores:.2f}", f"of {machine.num_cores} cores in use", ""))
    items.append((f"{machine.peak_memory_mb:.0f} MB", "memory, with the game", ""))
    items.append((f"{machine.mean_steal:.0%}", f"stolen by the host, worst second {machine.max_steal:.0%}", ""))
    return items


def _layers(ticks: Sequence[TickTiming]) -> Mapping[str, Sequence[float]]:
    names = list(dict.fromkeys(name for tick in ticks for name in tick.stages_ms))
    if not names:
        return {"frame to action": [tick.reaction_ms or 0.0 for tick in ticks]}
    return {name: [tick.stages_ms.get(name, 0.0) for tick in ticks] for name in names}


def _video_card(report: PlayReport, folder: Path) -> str:
    if report.video is None or not (path := folder / report.video).is_file():
        return ""
    source = report.video
    if path.stat().st_size <= _EMBED_BYTES:
        source = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    note = f"{counted(report.frames_dropped, 'picture')} left out to spare the game." if report.frames_dropped else ""
    video = f'<video controls muted playsinline preload="metadata" src="{escape(source)}"></video>'
    return page.card("What it saw and did", video, note, style="tall")


def _timing_table(report: PlayReport) -> tuple[list[str], list[list[str]]]:
    rows = [["all ticks", *_timing_cells(report.timing)[:4]], ["quiet seconds", *_timing_cells(report.quiet)[:4]]]
    return ["", "ticks", "on time", "late", "missed"], rows


def _stage_table(report: PlayReport) -> tuple[list[str], list[list[str]]]:
    spreads: dict[str, Spread | None] = {
        **report.timing.stages_ms,
        "frame to action": report.timing.reaction_ms,
        "in quiet seconds": report.quiet.reaction_ms,
        "with the picture's age": report.timing.latency_ms,
        "tick began late by": report.timing.late_ms,
    }
    rows = [[name, *_spread_cells(spread)] for name, spread in spreads.items() if spread is not None]
    return ["", "p50 ms", "p95", "p99", "max"], rows


def _spread_cells(spread: Spread) -> list[str]:
    return [f"{value:.2f}" for value in (spread.p50, spread.p95, spread.p99, spread.max)]


def _episode_table(report: PlayReport) -> tuple[list[str], list[list[str]]]:
    names = list(dict.fromkeys(name for episode in report.episodes for name in episode.facts if name != "seconds"))
    rows = []
    for episode in report.episodes:
        cells = [str(episode.seed), *([f"{episode.score:.2f}"] if report.score_name else []), f"{episode.seconds:.1f}"]
        cells.append("to its end" if episode.is_finished else "cut off")
        rows.append([*cells, *(f"{episode.facts[name]:g}" if name in episode.facts else "" for name in names)])
    return ["seed", *(["score"] if report.score_name else []), "seconds", "played", *names], rows


def _turn_table(report: PlayReport) -> tuple[list[str], list[list[str]]]:
    rows = [
        [f"{clock_time(turn.start_s)} to {clock_time(turn.end_s)}", "you" if turn.is_person else report.player]
        for turn in report.turns
    ]
    return ["when", "who"], rows
