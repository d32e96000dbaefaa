"""`Job`: a function over many recordings, and `run_job`, which runs it once for each and survives killed processes.

    items --engine--> results --one line each--> journal --all of them--> the command's output

A job is a pure function from an item to a small result. Its workers share nothing but file systems; the results come
to this process, which writes each to the journal before it counts as done. A killed worker costs the work on one item,
a killed driver that on the items in progress.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from eyehand.jobs.engine import Engine
from eyehand.jobs.journal import Journal
from eyehand.progress import Progress, no_progress

__all__ = ["Job", "run_job"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job(Generic[Item, Result]):
    """A function over items, and how its results are stored.

    Attributes:
        name: in messages and in the journal: `read`.
        function: importable by name. An exception ends the run, so a recording's faults belong into results.
        given_up: makes the result of an item whose workers died, from the item and a sentence.
        is_final: whether a later run keeps this result; an unusable recording may have been repaired meanwhile.
        kind: type of a result, which the journal holds as JSON: numbers, texts, lists, dataclasses of these.
    """

    name: str
    function: Callable[[Item], Result]
    given_up: Callable[[Item, str], Result]
    is_final: Callable[[Result], bool]
    kind: type[Result]


def run_job(
    job: Job[Item, Result],
    items: Mapping[str, Item],
    engine: Engine,
    journal: Journal | None = None,
    progress: Progress = no_progress,
) -> dict[str, Result]:
    """Run a job on every item that the journal lacks, and return all results, in the order of the items.

    Raises:
        UserError: the journal cannot be written.
        what the job's function raises.
    """
    results: dict[str, Result] = {}
    if journal is not None:
        known = {key: journal.results[f"{job.name} {key}"] for key in items if f"{job.name} {key}" in journal.results}
        for key, value in known.items():
            with contextlib.suppress(msgspec.ValidationError):  # the form of another version: made anew
                results[key] = msgspec.convert(value, job.kind)
        results = {key: result for key, result in results.items() if job.is_final(result)}
    keys = [key for key in items if key not in results]
    progress(job.name, len(results), len(items))
    for done in engine.run(job.function, [items[key] for key in keys]):
        result = done.result if done.problem is None else job.given_up(done.item, done.problem)
        assert result is not None
        results[keys[done.number]] = result
        if journal is not None:
            journal.add(f"{job.name} {keys[done.number]}", msgspec.to_builtins(result))
        progress(job.name, len(results), len(items))
    return {key: results[key] for key in items}
