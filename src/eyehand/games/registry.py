"""Games by name: `doom/aim` is the task `aim` of the family `doom`. Loads a family's module when it is asked for."""

from __future__ import annotations

import difflib

from eyehand.errors import UserError
from eyehand.games.game import Game, TaskInfo

__all__ = ["game_names", "open_game", "task_info"]

FAMILIES = ("doom",)


def game_names(pattern: str) -> list[str]:
    """All games that a pattern names: a family (`doom`), a game (`doom/aim`), or several with commas between.

    Raises:
        UserError: a part of the pattern names nothing.
    """
    names: list[str] = []
    for part in (part.strip() for part in pattern.split(",")):
        names += [name for name in _expand(part) if name not in names]
    return names


def open_game(name: str, *, realtime: bool = False, visible: bool = False, with_state: bool = False) -> Game:
    """Start a game.

    Args:
        name: as `game_names` gives it.
        realtime: let it run on its own instead of waiting for every action.
        visible: show its window on the screen.
        with_state: provide the privileged state that demonstrators read (slower).

    Raises:
        UserError: no such game, or what it needs is not installed.
    """
    (full_name,) = _expand(name) if "/" in name else (_unknown(name),)
    _, task = full_name.split("/", 1)
    from eyehand.games.doom import open_doom

    return open_doom(task, realtime=realtime, visible=visible, with_state=with_state)


def task_info(name: str) -> TaskInfo:
    """What there is to do in a game, without starting it.

    Raises:
        UserError: no such game.
    """
    from eyehand.games.doom_tasks import doom_task

    (full_name,) = _expand(name) if "/" in name else (_unknown(name),)
    return doom_task(full_name.split("/", 1)[1]).info


def _expand(part: str) -> list[str]:
    family, _, task = part.partition("/")
    if family not in FAMILIES:
        _unknown(part)
    from eyehand.games.doom_tasks import DOOM_TASKS

    if not task:
        return [f"{family}/{name}" for name in DOOM_TASKS]
    if task not in DOOM_TASKS:
        _unknown(part)
    return [part]


def _unknown(name: str) -> str:
    from eyehand.games.doom_tasks import DOOM_TASKS

    known = [f"doom/{task}" for task in DOOM_TASKS]
    close = difflib.get_close_matches(name, known, n=3) or known
    raise UserError(f"Unknown game {name!r}: did you mean {', '.join(close)}? `eyehand games` lists all.")
