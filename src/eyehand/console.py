"""Tables, colours and progress bars in a terminal, through rich. Every string is shown as in `terminal.py`.

Strings are text, never rich's markup: styles are given beside them. Text objects of rich's are not used, since nothing
would look into them.
"""

from __future__ import annotations

import sys
from typing import Any

import rich.console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from eyehand.terminal import shown

__all__ = ["Console", "Description", "shown_bars"]


class Console(rich.console.Console):
    """A terminal on which every string, also of a table, is one line that is shown as it is."""

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """What rich does to every string before anything else."""
        return super().render_str(shown(text), **{**options, "markup": False, "emoji": False})


class Description(TextColumn):
    """The description of what a bar stands for."""

    def __init__(self) -> None:
        super().__init__("{task.description}", markup=False)

    def render(self, task: Task) -> Text:
        """One line, shown as it is."""
        return Text(shown(task.description))


def shown_bars(*columns: ProgressColumn) -> Progress:
    """Bars on standard error, each with its description and these columns; nothing where that is no terminal."""
    return Progress(
        *(Description(), BarColumn(), *columns),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
