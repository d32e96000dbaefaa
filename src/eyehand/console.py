"""Tables, colours and progress bars in a terminal, through rich. Every string is shown as in `terminal.py`.

Strings are text, never rich's markup: styles are given beside them. Text objects of rich's are not used, since nothing
would look into them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich.console
import rich.table
from rich.progress import Progress, ProgressColumn, Task, TaskID
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from eyehand.terminal import shown

if TYPE_CHECKING:
    from eyehand.work import Work

__all__ = ["Bars", "Console", "Table"]


class Console(rich.console.Console):
    """A terminal on which every string, also of a table, is one line that is shown as it is."""

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """What rich does to every string before anything else."""
        return super().render_str(shown(text), **{**options, "markup": False, "emoji": False})


class Table(rich.table.Table):
    """A table that fits the terminal: what a column is too narrow for goes on in the next line, nothing is cut off."""

    def add_column(self, *given: Any, **options: Any) -> None:
        """As rich's."""
        super().add_column(*given, **{"overflow": "fold", **options})


class Bars(Progress):
    """A line for each piece of work: its name, a bar, how much is done, the time left, and a note."""

    def __init__(self) -> None:
        super().__init__(
            _WorkColumn(lambda work, now_s: work.what, Column(no_wrap=True, max_width=30)),
            _WorkColumn(lambda work, now_s: ProgressBar(total=1.0, completed=work.share(now_s), width=16)),
            _WorkColumn(lambda work, now_s: work.text(now_s), Column(no_wrap=True)),
            _WorkColumn(lambda work, now_s: work.note, Column(no_wrap=True, ratio=1)),
            console=Console(stderr=True),
            transient=True,
            expand=True,
            refresh_per_second=4,
            # What a command prints for other programs must not come out of the wrong stream.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )

    def add_work(self, work: Work) -> TaskID:
        """A line for it, until it is removed. It shows what is written into it."""
        return self.add_task(work.what, work=work)


class _WorkColumn(ProgressColumn):
    """Something about a piece of work at a time of the monotonic clock. Text is one line that is shown as it is."""

    def __init__(self, made: Callable[[Work, float], str | ProgressBar], column: Column | None = None) -> None:
        super().__init__(column)
        self._made = made

    def render(self, task: Task) -> Text | ProgressBar:
        made = self._made(task.fields["work"], time.monotonic())
        return Text(shown(made), overflow="ellipsis", no_wrap=True) if isinstance(made, str) else made
