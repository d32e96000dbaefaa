"""`eyehand games`: what can be played, and what there is to do; `list`, `show` and `check` are about desktop games."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from eyehand.desktop import require_xcb
from eyehand.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from eyehand.desktop.profile import Profile


@dataclass(frozen=True)
class Options:
    """Options of `eyehand games`.

    Attributes:
        pattern: a family (doom), one game (doom/aim), or several with commas between; or `list`: the desktop games,
            `show NAME`: the profile of one, `check NAME`: start it on a screen of its own and see whether it obeys.
        name: of a desktop game, or the path of a profile of your own, for show and check.
        as_json: print JSON instead of a table.
        own_screen: size of the screen for check; default: the profile's.
    """

    pattern: Annotated[str, tyro.conf.Positional] = "doom"
    name: Annotated[str | None, tyro.conf.Positional] = None
    as_json: bool = False
    own_screen: str | None = None


def run(options: Options) -> int:
    """Print the games."""
    if options.pattern == "list":
        return _list(options)
    if options.pattern in ("show", "check"):
        if options.name is None:
            raise UserError(f"Say which: eyehand games {options.pattern} NAME; `eyehand games list` lists them.")
        return _show(options, options.name) if options.pattern == "show" else _check(options, options.name)
    if options.name is not None:
        raise UserError(f"{options.pattern!r} takes no name: write list, show NAME or check NAME.")
    return _tasks(options)


def _tasks(options: Options) -> int:
    from rich.table import Table

    from eyehand.games.registry import game_names, task_info

    tasks = [task_info(name) for name in game_names(options.pattern)]
    if options.as_json:
        print(json.dumps([asdict(task) for task in tasks], indent=1))
        return 0
    table = Table("game", "score", "limit", "instructions")
    for task in tasks:
        table.add_row(task.name, task.score, f"{task.time_limit_s:g} s", "\n".join(task.instructions))
    _console().print(table)
    return 0


def _list(options: Options) -> int:
    """The profiles that come with eyehand."""
    from rich.table import Table

    from eyehand.desktop.profile import load_profile, profile_names

    profiles = [load_profile(name) for name in profile_names()]
    if options.as_json:
        print(json.dumps([asdict(profile) for profile in profiles], indent=1))
        return 0
    table = Table("game", "what it is", "installed", "instructions")
    for profile in profiles:
        is_there = "yes" if _missing(profile) is None else f"no: apt install {' '.join(profile.packages)}"
        table.add_row(profile.name, profile.title, is_there, "\n".join(profile.instructions))
    _console().print(table)
    return 0


def _show(options: Options, name: str) -> int:
    """Everything that a profile says."""
    from eyehand.desktop.profile import load_profile

    profile = load_profile(name)
    if options.as_json:
        print(json.dumps(asdict(profile), indent=1))
        return 0
    turn = f"{profile.px_per_degree:g} mouse pixels a degree" if profile.px_per_degree else "the mouse does not turn"
    lines = {
        "what": profile.title,
        "instructions": "; ".join(profile.instructions),
        "packages": " ".join(profile.packages) or "-",
        "installed": _missing(profile) or profile.program or "-",
        "command": " ".join(profile.launch.command),
        "window": profile.window_class or profile.window_title or "the game's largest",
        "size": profile.launch.size,
        "keys": " ".join(profile.keys),
        "buttons": " ".join(profile.buttons) or "-",
        "turning": turn,
        "round": f"{profile.round_s:g} s",
        "notes": " ".join(profile.notes.split()) or "-",
    }
    console = _console()
    for key, value in lines.items():
        console.print(f"{key:>13}  {value}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _check(options: Options, name: str) -> int:
    """Start the game on a screen of its own and try it; 0 if nothing failed, 2 otherwise."""
    from eyehand.desktop.profile import load_profile

    profile = load_profile(name)
    problem = _missing(profile)
    if problem is not None:
        raise UserError(problem)
    require_xcb()
    from eyehand.doctor.doctor import check_game, print_findings

    findings = check_game(profile, options.own_screen or profile.launch.size)
    return print_findings(findings, _console())


def _missing(profile: Profile) -> str | None:
    """A sentence about what is not installed; None: all is there."""
    if profile.program is None:
        return f"{profile.launch.command[0]} is not installed: {profile.how_to_install}."
    try:
        profile.found_files()
    except UserError as error:
        return str(error)
    return None


def _console() -> Console:
    from rich.console import Console

    return Console()
