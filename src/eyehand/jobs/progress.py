"""The progress of a job on standard error: a bar on a terminal, else a line every half minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import MofNCompleteColumn, TaskID, TimeRemainingColumn

from eyehand.console import shown_bars
from eyehand.jobs.job import Progress
from eyehand.terminal import print_line

__all__ = ["shown_progress"]

_LINE_EVERY_S = 30.0


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A progress callback that draws bars or prints lines until the end of the block."""
    with shown_bars(MofNCompleteColumn(), TimeRemainingColumn()) as bars:
        if bars.disable:
            yield _Lines()
            return
        tasks: dict[str, TaskID] = {}

        def tell(what: str, num_done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=num_done)

        yield tell


class _Lines:
    """A progress callback that prints a line when half a minute has passed since the last."""

    def __init__(self) -> None:
        self._printed_s = time.monotonic()

    def __call__(self, what: str, num_done: int, total: int) -> None:
        if time.monotonic() - self._printed_s >= _LINE_EVERY_S:
            self._printed_s = time.monotonic()
            print_line(f"{what}: {num_done:,} of {total:,}")
