"""`eyehand games`: what can be played and what there is to do; `show` tells more of one, `check` tries one out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from eyehand.errors import UserError
from eyehand.option_rules import OnlyWith
from eyehand.terminal import announce, output_json


@dataclass(frozen=True)
class Options:
    """Options of `eyehand games`.

    Attributes:
        pattern: a family (doom), one game (doom/aim), or several with commas between; default: every game. Or `list`:
            the desktop games, `show NAME`: all about one game, `check NAME`: start a desktop game on a screen of its
            own and see whether it obeys.
        name: of a game, or the path of a profile of your own, for show and check.
        as_json: print JSON instead of a table.
        own_screen: size of the screen for check; default: the profile's.
    """

    pattern: Annotated[str | None, tyro.conf.Positional] = None
    name: Annotated[str | None, tyro.conf.Positional] = None
    as_json: bool = False
    own_screen: Annotated[str | None, OnlyWith("pattern=check")] = None


def run(options: Options) -> int:
    """Print the games."""
    if options.pattern in ("show", "check"):
        if options.name is None:
            raise UserError(f"Say which: eyehand games {options.pattern} NAME; `eyehand games` lists them.")
        return _show(options, options.name) if options.pattern == "show" else _check(options, options.name)
    if options.name is not None:
        raise UserError(f"`eyehand games {options.pattern}` takes no name: write `eyehand games show {options.name}`.")
    return _list(options)


def _list(options: Options) -> int:
    """One line for each game."""
    from eyehand.console import Console, Table
    from eyehand.games.families import family_of, game_names, task_info

    pattern = "desktop" if options.pattern == "list" else options.pattern
    names = game_names(pattern, announce, must_step=False)
    tasks = [task_info(name) for name in names]
    if options.as_json:
        output_json([{**asdict(task), **family_of(task.name).facts(task.name)} for task in tasks])
        return 0
    table = Table("game", "what there is to do", "score", box=None, pad_edge=False)
    missing = 0
    for task in tasks:
        is_missing = family_of(task.name).missing(task.name) is not None
        missing += is_missing
        table.add_row(f"{task.name} *" if is_missing else task.name, task.instructions[0], task.score or "none")
    console = Console()
    console.print(table)
    console.print("`eyehand games show NAME` says more of a game." + " *: not installed" * bool(missing))
    return 0


def _show(options: Options, name: str) -> int:
    """Everything that is known about a game."""
    from eyehand.console import Console
    from eyehand.games.families import family_of, task_info

    family, task = family_of(name), task_info(name)
    facts = family.facts(name)
    if options.as_json:
        output_json({**asdict(task), **facts})
        return 0
    lines = {
        "game": task.name,
        "instructions": "; ".join(task.instructions),
        "score": task.score or "none",
        "limit": f"{task.time_limit_s:g} s",
        "plays": "in real time" if not family.can_step else "in real time, and stepped (record, evaluate)",
        "installed": family.missing(name) or "yes",
        **{key: value if isinstance(value, str) else " ".join(map(str, value)) for key, value in facts.items()},
    }
    console = Console(soft_wrap=True)
    for key, value in lines.items():
        console.print(f"{key:>13}  {value or '-'}")
    return 0


def _check(options: Options, name: str) -> int:
    """Start the game on a screen of its own and try it; 0 if nothing failed, 2 otherwise."""
    from eyehand.desktop import require_xcb
    from eyehand.games.families import desktop_profile

    profile = desktop_profile(name)
    if (missing := profile.missing) is not None:
        raise UserError(missing)
    require_xcb()
    from eyehand.console import Console
    from eyehand.doctor.doctor import check_game, print_findings

    findings = check_game(profile, options.own_screen or profile.launch.size)
    return print_findings(findings, Console())
