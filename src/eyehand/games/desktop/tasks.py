"""What there is to do in a desktop game: as its profile says, or just to play. Its score is known by a [score] only."""

from __future__ import annotations

from eyehand.desktop.profile import Profile
from eyehand.desktop.window_query import WindowQuery
from eyehand.game import TaskInfo

__all__ = ["profile_task", "window_task"]


def profile_task(profile: Profile) -> TaskInfo:
    """Of a profile's game."""
    what = "" if profile.score is None else profile.score.what
    return TaskInfo(profile.name, profile.name, "", profile.instructions, profile.round_s, what)


def window_task(query: WindowQuery) -> TaskInfo:
    """Of a window that is there: a day's play."""
    name = query.title or query.class_name or "window"
    return TaskInfo(f"window:{name}", "desktop", name, ("play the game", "play"), 86400.0, "")
