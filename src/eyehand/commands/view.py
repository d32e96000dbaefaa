"""`eyehand view`: watch live play in the browser, and take it over from there."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from typing import Annotated

import tyro

from eyehand.errors import UserError
from eyehand.terminal import output


@dataclass(frozen=True)
class Options:
    """Options of `eyehand view`.

    Attributes:
        which: a part of the game's name, or the process, of the play to watch. Default: the one that runs.
        open: open it in the browser; otherwise its address is only printed.
    """

    which: Annotated[str, tyro.conf.Positional] = ""
    open: bool = True


def run(options: Options) -> int:
    """Say where the page is, and open it."""
    from eyehand.viewer.running import redirection, running_plays

    plays = running_plays()
    found = [play for play in plays if options.which in (str(play.pid), "") or options.which in play.game]
    if not found:
        there = ", ".join(f"{play.game} ({play.pid})" for play in plays)
        raise UserError(
            f"No play that is called {options.which!r} can be watched: there is {there}."
            if plays
            else "Nothing plays that can be watched: add --view on to `eyehand play`, or --own-screen."
        )
    if len(found) > 1:
        names = ", ".join(f"{play.game} ({play.pid})" for play in found)
        raise UserError(f"Several plays can be watched, {names}: say which, for example `eyehand view {found[0].pid}`.")
    output(found[0].url)
    if options.open and not webbrowser.open(redirection(found[0]).as_uri()):
        output("There is no browser here: open this address in yours (from afar: ssh -L PORT:localhost:PORT first).")
    return 0
