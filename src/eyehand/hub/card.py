"""The card of a data set: README.md with the metadata that a hub reads and a summary of the recordings.

`card_of` looks at a folder: recordings (or archives of them), or a LeRobot data set that was made of them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from eyehand.data.index import IndexRow, read_index
from eyehand.data.indexing import build_index
from eyehand.data.split import SUBSETS, held_out_from, subset_ids
from eyehand.data.summary import GameSummary, summarise
from eyehand.errors import UserError
from eyehand.formats.lerobot_layout import INFO_PATH
from eyehand.terminal import counted

__all__ = ["HELD_OUT", "card_of", "recordings_card"]

HELD_OUT = 0.05
"""Share of the recordings that `eyehand train` sets aside unless it is told otherwise."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))


def card_of(
    source: Path, licence: str, index: Path | None = None, say: Callable[[str], None] = lambda sentence: None
) -> str:
    """The card of what is in a folder.

    Args:
        source: the folder.
        licence: as hubs name it (`mit`, `cc-by-4.0`); `unknown` where nobody said.
        index: of the recordings in it; None: they are all read.
        say: is told one sentence per recording that cannot be used.

    Raises:
        UserError: there are neither usable recordings nor a LeRobot data set.
    """
    name = source.resolve().name
    if (source / INFO_PATH).is_file():
        return _lerobot_card(source, licence)
    if index is not None:
        return recordings_card(name, read_index(index, None, heed_decisions=False, opens=False), licence)
    with tempfile.TemporaryDirectory() as folder:
        rows = build_index([str(source)], Path(folder) / "index.parquet", say=say)
    return recordings_card(name, rows, licence)


def recordings_card(name: str, rows: Sequence[IndexRow], licence: str) -> str:
    """The card of the recordings of an index.

    Args:
        name: of the data set.
        rows: all of them; those that cannot be used are counted as such.
        licence: as hubs name it.
    """
    usable = [row for row in rows if row.error is None]
    summary = summarise(usable)
    held_from = held_out_from({row.id: (row.task, row.num_frames - 1) for row in usable}, HELD_OUT)
    num_whole = sum(not held_from[row.id] for row in usable)
    num_ends = sum(0 < held_from[row.id] < row.num_frames - 1 for row in usable)
    held_out = [counted(num_whole, "recording")] if num_whole or not num_ends else []
    held_out += [f"the {'end' if num_ends == 1 else 'ends'} of {counted(num_ends, 'recording')}"] if num_ends else []
    rest = {row.id: row.task for row in usable if held_from[row.id]}
    games = [_row(game) for game in (*summary.games, summary.total)]
    texts = [f"- {_plain(text)} ({count})" for text, count in list(summary.texts.items())[:20]]
    broken = len(rows) - len(usable)
    return "\n".join(
        (
            *_front_matter(name, licence, summary.total.num_frames, ("eyehand", "pixels2play", "keyboard-mouse")),
            f"# {name}",
            "",
            f"{summary.total.hours:.2f} hours of play in {counted(len(usable), 'recording')} with keyboard and mouse, "
            "20 frames a "
            "second, in the format of Open Pixels2Play"
            + (f"; {broken} more cannot be used" if broken else "")
            + f". Licence: {licence}.",
            "",
            "| game | recordings | frames | hours | user's actions known | system's actions known |",
            "|---|---:|---:|---:|---:|---:|",
            *games,
            "",
            "Each folder holds `video.mp4` (as captured), `192x192.mp4` (as a network sees it) and `annotation.proto` "
            "(actions, raw input events, instructions). `eyehand-manifest.json` has the SHA-256 of every file.",
            "",
            "## Splits",
            "",
            "By a hash of a recording's id, the same on every machine, so that added recordings move nothing:",
            "",
            f"- held out (`--held-out {HELD_OUT:g}`): {' and '.join(held_out)}",
            *(f"- subset {percent}% of the others: {len(subset_ids(rest, percent))}" for percent in SUBSETS if rest),
            "",
            *(("## Instructions", "", *texts, "") if texts else ()),
            "## Use",
            "",
            "    eyehand data pull URL DIR",
            "    eyehand data index DIR --out data.parquet",
            "",
        )
    )


def _row(game: GameSummary) -> str:
    counts = f"{game.num_recordings:,} | {game.num_frames:,} | {game.hours:.2f}"
    return f"| {_plain(game.task)} | {counts} | {game.user_share:.0%} | {game.system_share:.0%} |"


def _lerobot_card(source: Path, licence: str) -> str:
    try:
        info = json.loads((source / INFO_PATH).read_text())
        episodes, frames, fps = int(info["total_episodes"]), int(info["total_frames"]), float(info["fps"])
        version = str(info["codebase_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source / INFO_PATH} is damaged: export the data set again.") from error
    name = source.resolve().name
    return "\n".join(
        (
            *_front_matter(name, licence, frames, ("LeRobot", "eyehand", "keyboard-mouse"), ("robotics",)),
            f"# {name}",
            "",
            f"A LeRobot data set ({version}) of keyboard and mouse: {frames / fps / 3600:.2f} hours, {episodes} "
            f"episodes, {frames} frames at {fps:g} a second. Licence: {licence}. `meta/info.json` names every number "
            "of an action.",
            "",
        )
    )


def _front_matter(
    name: str,
    licence: str,
    num_frames: int,
    tags: Sequence[str],
    categories: Sequence[str] = ("reinforcement-learning",),
) -> tuple[str, ...]:
    """YAML metadata for the hub; strings are written as JSON, which is YAML whatever is in them."""
    size = next((label for limit, label in _SIZES if num_frames < limit), "n>10M")
    return (
        "---",
        f"pretty_name: {json.dumps(name)}",
        f"license: {json.dumps(licence)}",
        f"task_categories: {json.dumps(list(categories))}",
        f"tags: {json.dumps(list(tags))}",
        f"size_categories: {json.dumps([size])}",
        "---",
        "",
    )


def _plain(text: str) -> str:
    """Text from outside as one line that breaks no table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
