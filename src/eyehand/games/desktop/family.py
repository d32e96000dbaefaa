"""Desktop games as a family: profiles that come with eyehand, profiles of one's own, and windows that are there."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from eyehand.desktop.profile import load_profile, profile_names
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
            "notes": " ".join(profile.notes.split()),
        }

    def open(self, name: str, *, realtime: bool, with_state: bool, screen: Screen) -> Game:
        is_portable = sys.platform in ("win32", "darwin") if screen.backend == "auto" else screen.backend == "portable"
        if is_portable and (screen.backend == "portable" or screen.own_screen is None):
            return _open_portable(name, screen)
        from eyehand.desktop import require_xcb

        require_xcb()
        from eyehand.games.desktop.x11 import open_desktop

        return open_desktop(name, screen.own_screen, visible=screen.visible)

    def missing(self, name: str) -> str | None:
        return None if name.startswith("window:") else load_profile(name).missing


def _open_portable(name: str, screen: Screen) -> Game:
    if screen.own_screen is not None:
        raise UserError("The portable backend has no screens of its own: leave out --own-screen.")
    if not name.startswith("window:"):
        raise UserError(f"The portable backend starts no games: start {name} by hand and give its --window.")
    from eyehand.desktop.portable import require_portable

    require_portable()
    from eyehand.games.desktop.portable import PortableGame

    return PortableGame(WindowQuery.parse(name.removeprefix("window:")))


DESKTOP = _Desktop()
