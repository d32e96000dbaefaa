"""`eyehand games`: what can be played, and what there is to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Options:
    """Options of `eyehand games`.

    Attributes:
        pattern: a family (doom), one game (doom/aim), or several with commas between.
        as_json: print JSON instead of a table.
    """

    pattern: Annotated[str, tyro.conf.Positional] = "doom"
    as_json: bool = False


def run(options: Options) -> int:
    """Print the games."""
    from rich.console import Console
    from rich.table import Table

    from eyehand.games.registry import game_names, task_info

    tasks = [task_info(name) for name in game_names(options.pattern)]
    if options.as_json:
        print(json.dumps([asdict(task) for task in tasks], indent=1))
        return 0
    table = Table("game", "score", "limit", "instructions")
    for task in tasks:
        table.add_row(task.name, task.score, f"{task.time_limit_s:g} s", "\n".join(task.instructions))
    Console().print(table)
    return 0
