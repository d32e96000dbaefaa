"""Statistics and problems of recordings: `inspect`, behind `eyehand inspect DIR`.

One report per recording: counts, frame times, keys and mouse motion, user and system actions, instructions, and the lag
between labels and pictures (see `lag.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.action import BUTTONS, KEYS, Action
from eyehand.action_space import P2P
from eyehand.console import Console, Table
from eyehand.foreign import problem_of
from eyehand.progress import Progress, no_progress
from eyehand.recording.format import CAPTURED_FILE
from eyehand.recording.lag import Lag, estimate_lag
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.title import game_of
from eyehand.terminal import clock_time, counted

__all__ = ["Inspection", "RecordingReport", "inspect", "inspect_recording", "print_inspection"]


@dataclass(frozen=True)
class RecordingReport:
    """Statistics of one recording. Shares are of its frames.

    Attributes:
        error: why it cannot be used; None where it can (then the rest is filled in).
        title: what it is called; created_s: unix time of its start, 0 where nobody knows.
        problems: sentences on what looks wrong although it can be used.
        fps, measured_fps: as stated, and from the frame times.
        user_share, system_share: frames whose user's action is known; frames with a system action.
        keys, buttons: share of the frames in which each was held.
        dx_histogram: frames in each of the 23 dx bins of the P2P vocabulary.
        instructions: frames that each instruction covers ("" for none).
        label_lag, label_correlation: see `Lag`.
    """

    path: str
    error: str | None = None
    problems: list[str] = field(default_factory=list)
    title: str = ""
    created_s: int = 0
    env: str = ""
    user: str = ""
    num_frames: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    measured_fps: float = 0.0
    is_cut_off: bool = False
    user_share: float = 0.0
    system_share: float = 0.0
    keys: dict[str, float] = field(default_factory=dict)
    buttons: dict[str, float] = field(default_factory=dict)
    dx_histogram: list[int] = field(default_factory=list)
    instructions: dict[str, int] = field(default_factory=dict)
    outcome: dict[str, float] = field(default_factory=dict)
    label_lag: int | None = None
    label_correlation: float = 0.0


@dataclass(frozen=True)
class Inspection:
    """The reports of all recordings of a folder."""

    reports: tuple[RecordingReport, ...]

    @property
    def is_corrupt(self) -> bool:
        """Whether any recording cannot be used."""
        return any(report.error is not None for report in self.reports)

    @property
    def problems(self) -> list[str]:
        """All errors and problems, each with its recording."""
        return [
            f"{report.path}: {problem}"
            for report in self.reports
            for problem in ([report.error] if report.error else []) + report.problems
        ]

    def to_json(self) -> dict[str, object]:
        """The reports, and whether any is corrupt, as JSON values."""
        return {"is_corrupt": self.is_corrupt, "recordings": [asdict(report) for report in self.reports]}

    def table(self) -> Table:
        """A row per recording, for a terminal."""
        table = Table(
            title=f"{counted(len(self.reports), 'recording')}, {clock_time(sum(r.seconds for r in self.reports))}"
        )
        table.add_column("recording", min_width=20)
        table.add_column("user", justify="right")
        table.add_column("system", justify="right")
        table.add_column("held most", max_width=11)
        table.add_column("motion", max_width=9)
        table.add_column("labels")
        table.add_column("")
        for report in self.reports:
            name = report.title or Path(report.path).name
            table.add_row(name, *_row(report), style="red" if report.error else None)
        return table


def inspect(root: Path | str, progress: Progress = no_progress) -> Inspection:
    """Reports on one recording or on all recordings of a folder, the newest first. `progress`: see `progress.py`.

    Raises:
        UserError: no such folder, or no recording in it. A damaged recording does not raise: its report says so.
    """
    paths = find_recordings(root)
    reports: list[RecordingReport] = []
    for path in paths:
        progress("inspecting", len(reports), len(paths))
        reports.append(inspect_recording(path))
    return Inspection(tuple(sorted(reports, key=lambda report: -report.created_s)))


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Print an Inspection: a row per recording, then the errors and problems."""
    console.print(inspection.table())
    for problem in inspection.problems:
        console.print(problem, style="red")
    totals = Counter[str]()
    for report in inspection.reports:
        totals.update(report.instructions)
    for instruction, num_frames in totals.most_common(20):
        console.print(f"{num_frames:>8} frames  {instruction or '(no instruction)'}")


def inspect_recording(path: Path | str) -> RecordingReport:
    """The report on one recording, all of which is decoded."""
    try:
        with Recording.open(path) as recording:
            return _report(recording)
    except Exception as error:
        return RecordingReport(str(path), error=str(problem_of(path, error)))


def _report(recording: Recording) -> RecordingReport:
    num_frames = recording.num_frames
    executed = [recording.executed(index) for index in range(num_frames)]
    known = [action for action in executed if action is not None]
    users = sum(recording.user_action(index) is not None for index in range(num_frames))
    systems = sum(message.system_action.is_known for message in recording.annotations)
    times_ns = np.array(recording.times_ns, np.int64)
    measured_fps = float((num_frames - 1) * 1e9 / (times_ns[-1] - times_ns[0])) if times_ns[-1] > times_ns[0] else 0.0
    keys = _shares((action.keys for action in known), num_frames)
    mouse_N2 = np.array([(0, 0) if action is None else (action.dx, action.dy) for action in executed], np.float64)
    lag = estimate_lag(recording.decode_clip, mouse_N2, num_frames)
    problems = [*recording.problems, *_decode_all(recording)]
    problems += _problems(recording, known, keys, times_ns, measured_fps, lag)
    return RecordingReport(
        path=str(recording.path),
        title=recording.title,
        created_s=recording.info.created_s,
        problems=problems,
        env=game_of(recording.info.env, recording.info.env_subtype),
        user=recording.info.user,
        num_frames=num_frames,
        seconds=num_frames / recording.fps,
        fps=recording.fps,
        measured_fps=measured_fps,
        is_cut_off=recording.is_cut_off,
        user_share=users / num_frames,
        system_share=systems / num_frames,
        keys=keys,
        buttons=_shares((action.buttons for action in known), num_frames),
        dx_histogram=np.bincount([P2P.dx.bin_of(a.dx) for a in known], minlength=P2P.dx.num_bins).tolist(),
        instructions=dict(Counter(text or "" for text in recording.instructions)),
        outcome=recording.outcome,
        label_lag=lag.ticks,
        label_correlation=lag.correlation,
    )


def _decode_all(recording: Recording) -> list[str]:
    """Decode both videos to the end, since damage in the middle shows in no header.

    Returns the problems of the captured video, which training does not need; damage raises.
    """
    for _ in recording.clips():
        pass
    if not (recording.path / CAPTURED_FILE).is_file():
        return [f"{CAPTURED_FILE} is missing."]
    for _ in recording.clips(captured=True):
        pass
    num_captured = recording.num_captured
    if num_captured < recording.num_frames and not recording.is_cut_off:
        return [f"{CAPTURED_FILE} has only {num_captured} frames."]
    return []


def _shares(held: Iterable[frozenset[str]], num_frames: int) -> dict[str, float]:
    counts = Counter(name for names in held for name in names)
    return {name: count / num_frames for name, count in counts.most_common()}


def _problems(
    recording: Recording,
    known: list[Action],
    keys: dict[str, float],
    times_ns: NDArray[np.int64],
    measured_fps: float,
    lag: Lag,
) -> list[str]:
    problems = []
    unknown = sorted(
        {name for a in known for name in a.keys - set(KEYS)} | {b for a in known for b in a.buttons} - set(BUTTONS)
    )
    if unknown:
        problems.append(f"It holds keys or buttons that the format does not know: {', '.join(unknown[:5])}.")
    if np.any(np.diff(times_ns) < 0):
        problems.append("Its frame times run backwards.")
    if measured_fps and abs(measured_fps / recording.fps - 1) > 0.1:
        problems.append(f"Its frames came at {measured_fps:.1f} per second, not {recording.fps:.1f}.")
    if not known:
        problems.append("It has no known action.")
    elif not any(action.keys or action.buttons or action.dx or action.dy for action in known):
        problems.append("Nothing is ever pressed or moved in it.")
    if lag.ticks:
        or_slow = ", or the game shows late what is done, as real games do" if lag.ticks < 0 else ""
        problems.append(
            f"Its labels seem shifted by {lag.ticks:+d} ticks against its pictures (correlation {lag.correlation:.2f})"
            f"{or_slow}."
        )
    return problems


def _row(report: RecordingReport) -> tuple[str, ...]:
    if report.error is not None:
        return ("", "", "", "", "", "corrupt")
    most = ", ".join(f"{name} {share:.0%}" for name, share in [*report.keys.items()][:3])
    total = max(1, sum(report.dx_histogram))
    middle = len(report.dx_histogram) // 2
    left, right = sum(report.dx_histogram[:middle]), sum(report.dx_histogram[middle + 1 :])
    labels = "" if report.label_lag is None else ("agree" if report.label_lag == 0 else f"{report.label_lag:+d} ticks")
    return (
        f"{report.user_share:.0%}",
        f"{report.system_share:.0%}",
        most,
        f"left {left / total:.0%}, right {right / total:.0%}",
        labels,
        f"{len(report.problems)} problems" if report.problems else "ok",
    )
