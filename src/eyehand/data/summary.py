"""Totals of an index by game: `summarise`, behind `eyehand data list`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eyehand.console import Console, Table
from eyehand.data.index import IndexRow

__all__ = ["GameSummary", "Summary", "print_summary", "summarise"]


@dataclass(frozen=True)
class GameSummary:
    """The totals of one task, or of all.

    Attributes:
        task: `env/env_subtype`.
        num_recordings, num_frames, hours: of usable recordings.
        user_share, system_share: of the frames, those whose user's (system's) action is known.
    """

    task: str
    num_recordings: int
    num_frames: int
    hours: float
    user_share: float
    system_share: float


@dataclass(frozen=True)
class Summary:
    """The totals of an index.

    Attributes:
        games: in the order of their hours, most first.
        total: of all games.
        texts: number of recordings with each instruction, most first.
        errors: `source` and error of every unusable recording.
        problems: `source` and problem of usable ones.
    """

    games: tuple[GameSummary, ...]
    total: GameSummary
    texts: dict[str, int]
    errors: tuple[tuple[str, str], ...]
    problems: tuple[tuple[str, str], ...]


def summarise(rows: Sequence[IndexRow]) -> Summary:
    """Add up the rows of an index, or of a part of it."""
    usable = [row for row in rows if row.error is None]
    by_task: dict[str, list[IndexRow]] = {}
    for row in usable:
        by_task.setdefault(row.task, []).append(row)
    games = sorted((_add_up(task, of_task) for task, of_task in by_task.items()), key=lambda game: -game.hours)
    return Summary(
        tuple(games),
        _add_up("all", usable),
        dict(Counter(text for row in usable for text in row.texts).most_common()),
        tuple((row.source, row.error) for row in rows if row.error is not None),
        tuple((row.source, problem) for row in usable for problem in row.problems),
    )


def print_summary(summary: Summary, console: Console, max_lines: int = 20) -> None:
    """Show it in a terminal, at most `max_lines` of instructions, errors and problems each."""
    table = Table()
    for heading in ("game", "recordings", "frames", "hours", "user", "system"):
        table.add_column(heading, justify="left" if heading == "game" else "right")
    for game in (*summary.games, summary.total):
        table.add_row(
            *(game.task, f"{game.num_recordings:,}", f"{game.num_frames:,}", f"{game.hours:.2f}"),
            *(f"{game.user_share:.0%}", f"{game.system_share:.0%}"),
        )
    console.print(table)
    _print_lines(console, [f"{count:>8}  {text}" for text, count in summary.texts.items()], "instructions", max_lines)
    _print_lines(console, [": ".join(each) for each in summary.problems], "oddities", max_lines)
    _print_lines(console, [": ".join(each) for each in summary.errors], "recordings that cannot be used", max_lines)


def _print_lines(console: Console, lines: Sequence[str], what: str, max_lines: int) -> None:
    if not lines:
        return
    more = f", the first {max_lines} of them" if len(lines) > max_lines else ""
    console.print(f"{what}: {len(lines)}{more}")
    for line in lines[:max_lines]:
        console.print(line, soft_wrap=True)


def _add_up(task: str, rows: Sequence[IndexRow]) -> GameSummary:
    num_frames = sum(row.num_frames for row in rows)
    return GameSummary(
        task,
        len(rows),
        num_frames,
        sum(row.seconds for row in rows) / 3600,
        sum(row.user_share * row.num_frames for row in rows) / max(1, num_frames),
        sum(row.system_share * row.num_frames for row in rows) / max(1, num_frames),
    )
