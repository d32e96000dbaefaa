"""Input and output of `eyehand data check`: the recordings of a source, the journal, the table of verdicts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from eyehand.console import Console, Table
from eyehand.data.archives import read_archive
from eyehand.data.check import CheckLimits, Scorer, Verdict
from eyehand.data.index import INDEX_ENDING, read_index
from eyehand.data.sources import find_recordings_at, place_of
from eyehand.errors import UserError
from eyehand.jobs.journal import Journal
from eyehand.recording.reader import RecordingFiles
from eyehand.terminal import counted

__all__ = ["journal_beside", "places_at", "print_verdicts"]


def places_at(source: str, where: str | None) -> tuple[list[tuple[str, RecordingFiles]], list[Verdict]]:
    """The recordings of an index, a folder or an archive, and verdicts on those that cannot be read.

    Raises:
        UserError: nothing is there, a .tar.gz is not indexed, or a condition is given without an index.
    """
    if source.endswith(INDEX_ENDING):
        rows = read_index(Path(source), where, heed_decisions=False)
        if not rows:
            raise UserError(f"No recording of {source} fits the condition {where!r}: ask for less.")
        refused = [Verdict(row.id, row.source, (row.error,)) for row in rows if row.error is not None]
        return [(row.source, row.files) for row in rows if row.error is None], refused
    if where is not None:
        raise UserError(f"A condition needs an index: make one of {source} with `eyehand data index`.")
    found = find_recordings_at(source)
    compressed = [archive.url for archive in found.archives if archive.is_compressed]
    if compressed:
        raise UserError(f"{compressed[0]} is read through its index: make one with `eyehand data index {source}`.")
    located = [(place_of(each, source), each) for each in found.recordings]
    for archive in found.archives:
        located += [(f"{archive.url}!{each.name}", each) for each in read_archive(archive, None)]
    return (
        [(place, each.files) for place, each in located if each.files is not None],
        [Verdict(each.name, place, (each.problem or "",)) for place, each in located if each.files is None],
    )


def journal_beside(
    out: Path | None, source: str, limits: CheckLimits, scorer: Scorer | None = None
) -> AbstractContextManager[Journal | None, bool | None]:
    """The journal of a check, beside its result; None if no result is written."""
    if out is None:
        return nullcontext()
    content = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source.endswith(INDEX_ENDING) else ""
    # "judge" is the scorer in every journal that was begun so far.
    options = {"check": source, "content": content, "limits": asdict(limits), "judge": repr(scorer)}
    return Journal(out.with_name(out.name + ".journal"), options)


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print a row per recording, then the reasons why some are left out."""
    used = sum(each.is_used for each in verdicts)
    title = f"{used} of {counted(len(verdicts), 'recording')} are fit to learn from"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    is_scored = any(each.likelihood is not None for each in verdicts)
    table.add_column("recording", min_width=20)
    for heading in ("active", "keys", "held most", "fps", "picture", "labels", *["likely"] * is_scored):
        table.add_column(heading, justify="left" if heading in ("held most", "picture", "labels") else "right")
    table.add_column("", no_wrap=True, min_width=9)
    for each in verdicts:
        labels = "" if each.lag_ticks is None else f"{each.lag_ticks:+d} ticks" if each.lag_ticks else "agree"
        faults = {"frozen": each.frozen_share, "black": each.black_share}
        table.add_row(
            each.title or each.id,
            *(f"{each.interaction:.0%}", str(each.most_keys)),
            f"{each.held_most} {each.held_share:.0%}" if each.held_most else "",
            f"{each.measured_fps:.1f}",
            ", ".join(f"{share:.0%} {fault}" for fault, share in faults.items() if round(share, 2)),
            labels,
            *[("" if each.likelihood is None else f"{each.likelihood:.2g}")] * is_scored,
            "use" if each.is_used else "leave out",
        )
    console.print(table)
    for each in verdicts:
        if each.reasons:
            console.print(f"{each.source}: {' '.join(each.reasons)}", soft_wrap=True)
