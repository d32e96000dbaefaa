"""`Job`: what is done to each of many recordings, and `run_job`, which does it once to each, whatever is killed.

    items --engine--> results --one line each--> journal --all of them--> what the command makes

A job is a pure function from an item to a small result. Its workers share nothing but file systems; the results come
to this process, which notes each in the journal before it counts as done. A killed worker costs one item's work, a
killed driver what its workers were busy with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from eyehand.jobs.engine import Engine
from eyehand.jobs.journal import Journal

__all__ = ["Job", "Progress", "no_progress", "run_job"]

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True)
class Job(Generic[Item, Result]):
    """What is done to each item.

    Attributes:
        name: for people and in the journal: `read`.
        function: importable by name. What it raises ends the run, so that a recording's faults belong into results.
        given_up: the result of an item that killed its workers, from the item and a sentence.
        is_final: whether a later run keeps this result; what could not be used may have been repaired meanwhile.
        to_json, from_json: a result as JSON can hold it, and back.
    """

    name: str
    function: Callable[[Item], Result]
    given_up: Callable[[Item, str], Result]
    is_final: Callable[[Result], bool]
    to_json: Callable[[Result], Any]
    from_json: Callable[[Any], Result]


def no_progress(what: str, num_done: int, total: int) -> None:
    """Says nothing."""


def run_job(
    job: Job[Item, Result],
    items: Mapping[str, Item],
    engine: Engine,
    journal: Journal | None = None,
    progress: Progress = no_progress,
) -> dict[str, Result]:
    """Do it to every item that the journal does not have, and return all results, in the order of the items.

    Raises:
        UserError: the journal cannot be written.
        what the job's function raises.
    """
    results: dict[str, Result] = {}
    if journal is not None:
        known = {key: journal.results[f"{job.name} {key}"] for key in items if f"{job.name} {key}" in journal.results}
        results = {key: job.from_json(value) for key, value in known.items()}
        results = {key: result for key, result in results.items() if job.is_final(result)}
    keys = [key for key in items if key not in results]
    progress(job.name, len(results), len(items))
    for done in engine.run(job.function, [items[key] for key in keys]):
        result = done.result if done.problem is None else job.given_up(done.item, done.problem)
        assert result is not None
        results[keys[done.number]] = result
        if journal is not None:
            journal.add(f"{job.name} {keys[done.number]}", job.to_json(result))
        progress(job.name, len(results), len(items))
    return {key: results[key] for key in items}
