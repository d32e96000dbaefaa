"""Data splits: held-out parts and nested subsets, by a hash of a recording's id.

The hash is the same on every machine and independent of the other recordings, so added data moves nothing from one side
to the other. A subset of 25% lies within that of 50%; subsets are taken of what is not held out, so that runs on all of
them are evaluated on the same recordings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["EVERYTHING", "SUBSETS", "Selection", "held_out_ids", "subset_ids"]

SUBSETS: dict[int, float] = {6: 1 / 16, 12: 1 / 8, 25: 1 / 4, 50: 1 / 2, 100: 1.0}
"""From the name of a subset, in per cent, to its exact share."""


@dataclass(frozen=True)
class Selection:
    """The selected part of the data.

    Attributes:
        where: a condition on the rows of an index; None: all.
        subset: one of SUBSETS; None: all.
        held_out: share of the recordings that subsets leave alone.
    """

    where: str | None = None
    subset: int | None = None
    held_out: float = 0.0


EVERYTHING = Selection()


def held_out_ids(tasks: Mapping[str, str], share: float) -> set[str]:
    """The ids of the held-out recordings.

    A recording is held out when the hash of its id falls into the share; a task that would have none gives the one with
    the smallest hash, unless it is the task's only one.

    Args:
        tasks: from the id of every recording to its task.
        share: of the recordings, 0 to 1.
    """
    held: set[str] = set()
    if share > 0:
        for ids in _by_task(tasks, salt="").values():
            chosen = [name for name in ids if _hash01(name) < share] or ids[:1]
            if len(chosen) < len(ids):
                held.update(chosen)
    return held


def subset_ids(tasks: Mapping[str, str], percent: int) -> set[str]:
    """The ids of a subset, of each task at least one.

    Args:
        tasks: from the id of every recording to its task; without those that are held out.
        percent: one of SUBSETS.
    """
    chosen: set[str] = set()
    for ids in _by_task(tasks, salt="subset:").values():
        chosen.update([name for name in ids if _hash01("subset:" + name) < SUBSETS[percent]] or ids[:1])
    return chosen


def _by_task(tasks: Mapping[str, str], salt: str) -> dict[str, list[str]]:
    """The ids of every task, the smallest hash first."""
    by_task: dict[str, list[str]] = {}
    for name in sorted(tasks, key=lambda name: _hash01(salt + name)):
        by_task.setdefault(tasks[name], []).append(name)
    return by_task


def _hash01(name: str) -> float:
    """A hash of the name in [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
