"""Engines: run a function over many items in worker processes, and retry an item whose worker dies.

    for done in engine.run(function, items):
        done.item, done.result        # or done.problem: one sentence on why there is no result

`LocalEngine` (`local.py`) has one process per core of this machine, `RayEngine` (`ray_cluster.py`) all cores of a Ray
cluster. Results come in the order in which they are finished, and do not depend on the engine. Knows nothing about
recordings; `journal.py` keeps finished results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from eyehand.errors import UserError

__all__ = ["Done", "Engine", "results_of"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """The result of one item, or why there is none.

    Attributes:
        number: its place among the items.
        item: the item.
        result: of the function; None where there is a problem.
        problem: one sentence on why it was given up: its worker died every time.
    """

    number: int
    item: Item
    result: Result | None
    problem: str | None = None


class Engine(Protocol):
    """A pool of workers that runs a function over items."""

    @property
    def num_workers(self) -> int:
        """Number of items in progress at once."""
        ...

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Item, Result]]:
        """Yield a Done for every item, in the order in which they are finished.

        Args:
            function: importable by name, and pure: an item may be worked on again when its worker dies.
            items: picklable; started in this order. `str(item)` names one in messages.

        Raises:
            what the function raises: the rest is abandoned, and the workers ended.
        """
        ...


def results_of(done: Iterable[Done[Item, Result]]) -> Iterator[Result]:
    """The results of all items.

    Raises:
        UserError: an item was given up.
    """
    for each in done:
        if each.problem is not None:
            raise UserError(each.problem)
        yield each.result  # type: ignore[misc]  # None only if the function gives None
