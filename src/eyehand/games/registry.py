"""Games by name: `doom/aim` is the task `aim` of the family `doom`, `chocolate-doom` a desktop game by its profile,
`mine.toml` one by a profile of one's own, `window:TITLE` a window that is there. Loads a module when it is asked for.
"""

from __future__ import annotations

import difflib
import sys
from typing import Literal

from eyehand.errors import UserError
from eyehand.game import Game, TaskInfo

__all__ = ["Backend", "game_names", "is_desktop_game", "open_game", "task_info"]

FAMILIES = ("doom",)

Backend = Literal["auto", "x11", "portable"]
"""What desktop games are seen and played through."""


def game_names(pattern: str) -> list[str]:
    """All games that a pattern names: a family (`doom`), a game (`doom/aim`), or several with commas between.

    Raises:
        UserError: a part of the pattern names nothing.
    """
    names: list[str] = []
    for part in (part.strip() for part in pattern.split(",")):
        names += [name for name in _expand(part) if name not in names]
    return names


def is_desktop_game(name: str) -> bool:
    """Whether this is a program on an X display."""
    from eyehand.desktop.profile import profile_names

    return name.startswith("window:") or name.endswith(".toml") or name in profile_names()


def open_game(
    name: str,
    *,
    realtime: bool = False,
    visible: bool = False,
    with_state: bool = False,
    own_screen: str | None = None,
    backend: Backend = "auto",
) -> Game:
    """Start a game.

    Args:
        name: as `game_names` gives it, or a desktop game's.
        realtime: let it run on its own instead of waiting for every action.
        visible: show its window on the screen.
        with_state: provide the privileged state that demonstrators read (slower); a desktop game has none.
        own_screen: size ("640x480") of a screen of its own for a desktop game.
        backend: what a desktop game is seen and played through; auto: X11 where there is some, else portable.

    Raises:
        UserError: no such game, or what it needs is not installed.
    """
    if is_desktop_game(name):
        if not realtime:
            raise UserError(f"{name} runs on the desktop in real time: play it with `eyehand play`, --record records.")
        if backend == "portable" or (backend == "auto" and own_screen is None and sys.platform in ("win32", "darwin")):
            return _open_portable(name, own_screen)
        from eyehand.desktop import require_xcb

        require_xcb()
        from eyehand.games.desktop.x11 import open_desktop

        return open_desktop(name, own_screen, visible=visible)
    if own_screen is not None:
        raise UserError(f"--own-screen is for desktop games, and {name} is none: leave it out.")
    (full_name,) = _expand(name) if "/" in name else (_unknown(name),)
    _, task = full_name.split("/", 1)
    from eyehand.games.doom.doom import open_doom

    return open_doom(task, realtime=realtime, visible=visible, with_state=with_state)


def _open_portable(name: str, own_screen: str | None) -> Game:
    if own_screen is not None:
        raise UserError("The portable backend has no screens of its own: leave out --own-screen.")
    if not name.startswith("window:"):
        raise UserError(f"The portable backend starts no games: start {name} by hand and give its --window.")
    from eyehand.desktop.portable import require_portable

    require_portable()
    from eyehand.desktop.window_query import WindowQuery
    from eyehand.games.desktop.portable import PortableGame

    return PortableGame(WindowQuery.parse(name.removeprefix("window:")))


def task_info(name: str) -> TaskInfo:
    """What there is to do in a game, without starting it.

    Raises:
        UserError: no such game.
    """
    from eyehand.games.doom.tasks import doom_task

    (full_name,) = _expand(name) if "/" in name else (_unknown(name),)
    return doom_task(full_name.split("/", 1)[1]).info


def _expand(part: str) -> list[str]:
    family, _, task = part.partition("/")
    if is_desktop_game(part):
        raise UserError(f"{part} runs on the desktop in real time: play it with `eyehand play`, --record records.")
    if family not in FAMILIES:
        _unknown(part)
    from eyehand.games.doom.tasks import DOOM_TASKS

    if not task:
        return [f"{family}/{name}" for name in DOOM_TASKS]
    if task not in DOOM_TASKS:
        _unknown(part)
    return [part]


def _unknown(name: str) -> str:
    from eyehand.desktop.profile import profile_names
    from eyehand.games.doom.tasks import DOOM_TASKS

    known = [*(f"doom/{task}" for task in DOOM_TASKS), *profile_names()]
    close = difflib.get_close_matches(name, known, n=3) or known
    raise UserError(f"Unknown game {name!r}: did you mean {', '.join(close)}? `eyehand games` lists all.")
