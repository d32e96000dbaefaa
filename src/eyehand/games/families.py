"""Games by name: `doom/aim` is the game `aim` of the family `doom`, `chocolate-doom` a desktop game by its profile,
`mine.toml` one by a profile of one's own, `window:TITLE` a window that is there. A family is one object; another
package adds one by an entry point `eyehand.games`, whose name begins the names of its games. Loads what is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from eyehand.errors import UserError
from eyehand.game import Game, GameFamily, Screen, TaskInfo
from eyehand.registry import Registry

if TYPE_CHECKING:
    from eyehand.desktop.profile import Profile

__all__ = [
    "FAMILIES",
    "desktop_profile",
    "family_of",
    "game_names",
    "open_game",
    "open_scored",
    "scored_names",
    "task_info",
]
__all__ += ["runs_alone"]

FAMILIES = Registry(
    GameFamily,  # type: ignore[type-abstract]  # it is only asked of what is one
    "eyehand.games",
    {
        "doom": "eyehand.games.doom.family:DOOM",
        "gym": "eyehand.games.gym.family:GYM",
        "desktop": "eyehand.games.desktop.family:DESKTOP",
    },
)
"""Every family by the name that stands before the slash; only those of the desktop have none there."""


def family_of(name: str) -> GameFamily:
    """The family that a game belongs to, which need not know this game.

    Raises:
        UserError: there is no such family, or the package that it comes from is broken.
    """
    return FAMILIES.load(_family_name(name))


def game_names(
    pattern: str | None, on_problem: Callable[[str], None] | None = None, *, must_step: bool = True
) -> list[str]:
    """All games that a pattern names.

    Args:
        pattern: a family (`doom`), a game (`doom/aim`), several with commas between; None: every game.
        on_problem: without a pattern, told of families that cannot be listed.
        must_step: only those that can wait for their player.

    Raises:
        UserError: a part of the pattern names nothing, or what runs in real time only.
    """
    if pattern is None:
        return _all_names(on_problem or (lambda _: None), must_step=must_step)
    names: list[str] = []
    for part in (part.strip() for part in pattern.split(",")):
        family = family_of(part)
        if must_step and not family.can_step:
            raise UserError(f"{part} runs on the desktop in real time: play it with `eyehand play`, --record records.")
        with FAMILIES.blame(_family_name(part)):
            found = family.names() if part in FAMILIES else [task_info(part).name]
        names += [name for name in found if name not in names]
    return names


def scored_names(pattern: str) -> list[str]:
    """All games that a pattern names as of `game_names`, desktop games with a score among them.

    Raises:
        UserError: a part of the pattern names nothing, or a game without a score.
    """
    names: list[str] = []
    for part in (part.strip() for part in pattern.split(",")):
        if family_of(part).can_step:
            found = game_names(part)
        else:
            found = [part]
            if (problem := family_of(part).unscored(part)) is not None:
                raise UserError(problem)
        names += [name for name in found if name not in names]
    return names


def runs_alone(name: str) -> bool:
    """Whether a game runs in real time even where it is scored: one at a time, or they would slow each other."""
    return not family_of(name).can_step


def task_info(name: str) -> TaskInfo:
    """What there is to do in a game, without starting it.

    Raises:
        UserError: no such game.
    """
    family = family_of(name)
    with FAMILIES.blame(_family_name(name)):
        task = family.task(name)
    return task or _unknown(name)


def desktop_profile(name: str) -> Profile:
    """The profile of a desktop game, to start it.

    Raises:
        UserError: it is none, its profile has a mistake, or the user does not agree to run its program.
    """
    from eyehand.desktop.profile import load_trusted_profile

    if not family_of(name).on_desktop:
        raise UserError(f"{name} is no desktop game: `eyehand games list` lists those.")
    return load_trusted_profile(name)


def open_game(name: str, *, realtime: bool = False, with_state: bool = False, screen: Screen | None = None) -> Game:
    """Start a game.

    Args:
        name: as `game_names` gives it, or a desktop game's.
        realtime: let it run on its own instead of waiting for every action.
        with_state: provide the privileged state that demonstrators read (slower), where the game has one.
        screen: where it appears; None: as usual.

    Raises:
        UserError: no such game, what it needs is not installed, or it cannot be opened in this way.
    """
    family, screen = family_of(name), screen or Screen()
    task_info(name)
    if not realtime and not family.can_step:
        raise UserError(f"{name} runs on the desktop in real time: play it with `eyehand play`, --record records.")
    if screen.own_screen is not None and not family.on_desktop:
        raise UserError(f"--own-screen is for desktop games, and {name} is none: leave it out.")
    if screen.visible and not family.can_show:
        raise UserError(f"{name} has no window that could be shown: watch it in the browser, with --view on.")
    with FAMILIES.blame(_family_name(name)):
        game = family.open(name, realtime=realtime and family.can_run, with_state=with_state, screen=screen)
    if realtime and not family.can_run:
        from eyehand.games.paced import PacedGame

        return PacedGame(game)
    return game


def open_scored(name: str, *, with_state: bool = False) -> Game:
    """Start a game of `scored_names` to be played in episodes: a stepped game, or one that `runs_alone`.

    Raises:
        UserError: as of `open_game`.
    """
    family = family_of(name)
    task_info(name)
    with FAMILIES.blame(_family_name(name)):
        return family.open_scored(name, with_state=with_state)


def _family_name(name: str) -> str:
    if name.startswith("window:") or name.endswith(".toml") or name in FAMILIES.load("desktop").names():
        return "desktop"
    family = name.partition("/")[0]
    if family in FAMILIES:
        return family
    return _unknown(name)


def _unknown(name: str) -> NoReturn:
    known = _all_names(lambda _: None)
    close = difflib.get_close_matches(name, known, n=3)
    advice = f"did you mean {' or '.join(close)}? " if close else ""
    raise UserError(f"Unknown game {name!r}: {advice}`eyehand games` lists all.")


def _all_names(on_problem: Callable[[str], None], *, must_step: bool = False) -> list[str]:
    names: list[str] = []
    for name in FAMILIES.names:
        try:
            family = FAMILIES.load(name)
            with FAMILIES.blame(name):
                names += family.names() if family.can_step or not must_step else ()
        except UserError as error:
            on_problem(str(error))
    return names
