"""Data splits: held-out parts and nested subsets, by a hash of a recording's id.

The hash is the same on every machine and independent of the other recordings, so added data moves nothing from one side
to the other. Of few recordings the ends are held out instead. A subset of 25% lies within that of 50%; subsets are
taken of what is not held out, so that runs on all of them are evaluated on the same frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["EVERYTHING", "SUBSETS", "Selection", "held_out_from", "subset_ids"]

SUBSETS: dict[int, float] = {6: 1 / 16, 12: 1 / 8, 25: 1 / 4, 50: 1 / 2, 100: 1.0}
"""From the name of a subset, in per cent, to its exact share."""


@dataclass(frozen=True)
class Selection:
    """The selected part of the data.

    Attributes:
        where: a condition on the rows of an index; None: all.
        subset: one of SUBSETS; None: all.
        held_out: share that is held out.
    """

    where: str | None = None
    subset: int | None = None
    held_out: float = 0.0


EVERYTHING = Selection()


_LEAST_END_STEPS = 40
"""Of a held-out end, 2 s at 20 Hz: what is seen of less is chance. But no more than a fifth of a recording."""


def held_out_from(recordings: Mapping[str, tuple[str, int]], share: float) -> dict[str, int]:
    """The step from which on each recording is held out: 0 for a whole one, its number of steps where nothing is.

    Of a task with 1 / share recordings or more, those are held out whose hash falls into the share. Of one with fewer,
    or where that would be none or more than half of the steps, the ends of all recordings are.

    Args:
        recordings: from the id of every recording to its task and its number of steps.
        share: of the recordings, 0 to 1.
    """
    begins = {name: num_steps for name, (_, num_steps) in recordings.items()}
    if share <= 0:
        return begins
    for ids in _by_task({name: task for name, (task, _) in recordings.items()}, salt="").values():
        held = {name for name in ids if _hash01(name) < share}
        held_share = sum(begins[name] for name in held) / max(1, sum(begins[name] for name in ids))
        if len(ids) * share >= 1 and 0 < held_share <= max(0.5, share):
            begins.update(dict.fromkeys(held, 0))
        else:
            for name in ids:
                num_steps = begins[name]
                begins[name] -= max(round(share * num_steps), min(_LEAST_END_STEPS, num_steps // 5))
    return begins


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
