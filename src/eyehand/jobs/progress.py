"""The progress of a job on standard error: a bar on a terminal, else a line every half minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from eyehand.announce import print_line
from eyehand.jobs.job import Progress as ProgressCallback

__all__ = ["shown_progress"]

_LINE_EVERY_S = 30.0


@contextmanager
def shown_progress() -> Iterator[ProgressCallback]:
    """A progress callback that draws bars or prints lines until the end of the block."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
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
