"""`eyehand doctor`: is it working? Every line passes or says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eyehand.doctor.checks import Finding


@dataclass(frozen=True)
class Options:
    """Options of `eyehand doctor`.

    Attributes:
        game: also start this desktop game (a name from `eyehand games list`, or the path of a profile), and see whether
            it obeys: it moves, turns and fires, and measures pixels per degree and the latency.
        own_screen: size of a screen of its own for the game, for example 640x480; without it the game appears on your
            screen. Without a display everything is checked on a screen of its own.
    """

    game: str | None = None
    own_screen: str | None = None


def run(options: Options) -> int:
    """Print the findings; 0 if none failed, 2 otherwise."""
    from eyehand.console import Console
    from eyehand.desktop import require_xcb

    require_xcb()
    from eyehand.doctor.doctor import print_findings

    return print_findings(_findings(options), Console())


def _findings(options: Options) -> Iterator[Finding]:
    import os

    from eyehand.desktop.profile import parse_size
    from eyehand.doctor.doctor import check_display, check_game, check_machine, check_own_screen
    from eyehand.games.families import desktop_profile

    profile = None if options.game is None else desktop_profile(options.game)
    if options.own_screen is not None:
        parse_size(options.own_screen)
    yield from check_machine()
    has_display = bool(os.environ.get("DISPLAY"))
    if has_display and options.own_screen is None:
        yield from check_display()
    else:
        yield from check_own_screen()
    if profile is not None:
        size = options.own_screen or (None if has_display else profile.launch.size)
        yield from check_game(profile, size)
