"""Desktop games as a family: profiles that come with eyehand, profiles of one's own, and windows that are there."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from eyehand.desktop.profile import load_profile, load_trusted_profile, parse_size, profile_names
from eyehand.desktop.window_query import WindowQuery
from eyehand.errors import UserError
from eyehand.game import Game, GameFamily, Screen, TaskInfo
from eyehand.games.desktop.tasks import profile_task, window_task

__all__ = ["DESKTOP"]


class _Desktop(GameFamily):
    can_step = False
    can_run = can_show = on_desktop = True

    def names(self) -> list[str]:
        return profile_names()

    def task(self, name: str) -> TaskInfo:
        if name.startswith("window:"):
            return window_task(WindowQuery.parse(name.removeprefix("window:")))
        return profile_task(load_profile(name))

    def facts(self, name: str) -> dict[str, str | Sequence[str]]:
        if name.startswith("window:"):
            return {}
        profile = load_profile(name)
        turn = (
            f"{profile.px_per_degree:g} mouse pixels a degree" if profile.px_per_degree else "the mouse does not turn"
        )
        return {
            "what": profile.title,
            "packages": profile.packages,
            "program": profile.program or "",
            "command": profile.launch.command,
            "window": profile.window_class or profile.window_title or "the game's largest",
            "size": profile.launch.size,
            "keys": profile.keys,
            "buttons": profile.buttons,
            "turning": turn,
            "score from": "" if profile.score is None else profile.score.source,
            "notes": " ".join(profile.notes.split()),
        }

    def open(self, name: str, *, realtime: bool, with_state: bool, screen: Screen) -> Game:
        query = WindowQuery.parse(name.removeprefix("window:")) if name.startswith("window:") else None
        is_portable = screen.backend == "portable"
        if screen.backend == "auto":
            is_portable = sys.platform in ("win32", "darwin") and screen.own_screen is None
        if is_portable:
            return _open_portable(name, query, screen)
        from eyehand.desktop import require_xcb

        require_xcb()
        from eyehand.desktop.x11.display import XDisplay
        from eyehand.desktop.x11.windows import find_window
        from eyehand.games.desktop.x11 import LaunchedDesktopGame, WindowGame

        if query is not None and screen.own_screen is not None:
            raise UserError("A window that is there already has its screen: use --own-screen with --game.")
        size_px = None if screen.own_screen is None else parse_size(screen.own_screen)
        game = (
            LaunchedDesktopGame(load_trusted_profile(name), size_px, visible=screen.visible)
            if query is None
            else WindowGame(query)
        )
        if size_px is None:  # what is missing is said now, before the player is loaded
            with contextlib.closing(XDisplay.open()) as display:
                if query is not None and not query.by_click:
                    find_window(display, query)
        return game

    def unscored(self, name: str) -> str | None:
        if name.startswith("window:"):
            return "A window that is there has no score: give a game with a profile."
        if sys.platform in ("win32", "darwin"):
            return f"{name} needs a screen of its own, under X11."
        if load_profile(name).score is None:
            return f"The score of {name} is not known: add a section [score] to its profile (docs/desktop.md)."
        return None

    def open_scored(self, name: str, *, with_state: bool) -> Game:
        from eyehand.desktop import require_xcb

        require_xcb()
        from eyehand.games.desktop.scored import ScoredDesktopGame

        return ScoredDesktopGame(load_trusted_profile(name))

    def missing(self, name: str) -> str | None:
        return None if name.startswith("window:") else load_profile(name).missing


def _open_portable(name: str, query: WindowQuery | None, screen: Screen) -> Game:
    if screen.own_screen is not None:
        raise UserError("The portable backend has no screens of its own: leave out --own-screen.")
    if query is None:
        raise UserError(f"The portable backend starts no games: start {name} by hand and give its --window.")
    from eyehand.desktop.portable import require_portable

    require_portable()
    from eyehand.games.desktop.portable import PortableGame

    return PortableGame(query)


DESKTOP = _Desktop()
