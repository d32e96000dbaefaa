"""Manual review of the recordings that a check left out: `review_queue`, `ask`.

The queue holds recordings that the check left out and no person has decided about. Unreadable ones are not in it: no
decision makes them usable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from eyehand.console import Console
from eyehand.data.decisions import Choice, Decided, decide, decisions_beside, read_decisions
from eyehand.data.index import read_index
from eyehand.errors import UserError
from eyehand.recording.inspect import RecordingReport, inspect_recording

__all__ = ["ask", "choose", "queue_reports", "review_queue"]

_ANSWERS: dict[str, Choice] = {"u": "use", "l": "leave out"}


def review_queue(index: Path, where: str | None = None, *, with_decided: bool = False) -> list[Decided]:
    """The recordings to review, in the order of the index.

    Args:
        index: a Parquet file that was checked.
        where: only recordings for which this holds.
        with_decided: include those that a person has decided about.

    Raises:
        UserError: the index is missing or damaged, or was not checked.
    """
    decided = read_decisions(decisions_beside(index))
    if not decided:
        raise UserError(f"Nothing is checked in {index} yet: run `eyehand data check {index}` first.")
    rows = [row for row in read_index(index, where, heed_decisions=False, opens=False) if row.error is None]
    found = [decided[row.source] for row in rows if row.source in decided]
    return [each for each in found if (each.reasons and each.by == "check") or (with_decided and each.by == "person")]


def choose(index: Path, keys: Sequence[str], choice: Choice, note: str = "") -> int:
    """Write the decision on the recordings with these ids or sources, checked or not; returns their number.

    Raises:
        UserError: one of them is not in the index, or the decisions cannot be written.
    """
    rows = read_index(index, heed_decisions=False, opens=False)
    choices: dict[str, tuple[str, Choice]] = {}
    for key in keys:
        named = [row for row in rows if key in (row.id, row.source)]
        if not named:
            raise UserError(
                f"There is no recording {key!r} in {index}: give an id or source as `data list` shows them."
            )
        choices.update((row.source, (row.id, choice)) for row in named)
    decide(decisions_beside(index), choices, note)
    return len(choices)


def ask(index: Path, queue: Sequence[Decided], answer: Callable[[], str | None], console: Console) -> int:
    """Show recordings one by one, ask for a decision on each and write it immediately.

    Args:
        index: of the recordings.
        queue: from `review_queue`.
        answer: returns the next line typed; None: end of input.
        console: for output.

    Returns:
        How many were decided.
    """
    num_decided = 0
    for number, each in enumerate(queue, start=1):
        console.print("")
        console.print(f"{number} of {len(queue)}  {each.facts.get('title') or each.id}  {each.source}")
        for line in _findings(each):
            console.print(f"  {line}")
        while True:
            console.print("u: use it, l: leave it out (and why), s: later, q: stop > ", end="")
            word, _, note = (answer() or "q").strip().partition(" ")
            if word == "q":
                return num_decided
            if word == "s":
                break
            if word in _ANSWERS:
                decide(decisions_beside(index), {each.source: (each.id, _ANSWERS[word])}, note.strip())
                num_decided += 1
                break
    return num_decided


def queue_reports(queue: Iterable[Decided], tell: Callable[[str], None]) -> list[RecordingReport]:
    """Reports for an HTML page, with the check's reasons as problems; `tell` names archives, which are left out."""
    reports = []
    for each in queue:
        if not Path(each.source).is_dir():
            tell(f"{each.source} lies in an archive or behind a URL: it cannot be shown on the page.")
            continue
        report = inspect_recording(each.source)
        reports.append(replace(report, problems=[*each.reasons, *report.problems]))
    return reports


def _findings(each: Decided) -> list[str]:
    lines = list(each.reasons)
    if each.by == "person":
        lines.append(f'A person decided "{each.choice}"{": " + each.note if each.note else ""}.')
    facts = {name: each.facts.get(name) for name in ("num_frames", "held_most", "interaction", "likelihood")}
    shown = [
        f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in facts.items()
        if value
    ]
    return [*lines, ", ".join(shown)]
