"""What a recording is called: `title_of` in tables and pages, `new_id` as its id and the name of its folder.

2026-11-30 22:41:05, supertux, 2:31, over the gap        when it was begun, game, length, note
2026-11-30_22-41-05_supertux_302c648d                    a folder's name: a listing is in the order of time
"""

from __future__ import annotations

import re
import time
import uuid

from eyehand.recording.format import RecordingInfo
from eyehand.terminal import clock_time

__all__ = ["game_of", "new_id", "title_of"]

_MOST_LETTERS = 40  # of the game in the name of a folder


def title_of(info: RecordingInfo, seconds: float) -> str:
    """The title of a recording of this length; where nobody knows when it was made, its id stands for that."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.created_s)) if info.created_s > 0 else info.id
    return ", ".join(filter(None, (made, game_of(info.env, info.env_subtype), clock_time(seconds), info.note)))


def game_of(env: str, env_subtype: str) -> str:
    """Game and task: `doom/aim`, `supertux`; of a window that was there already, its title."""
    if env == "desktop" and env_subtype:
        return env_subtype
    return "/".join(filter(None, (env, env_subtype)))


def new_id(env: str, env_subtype: str, created_s: int) -> str:
    """A new id: when the recording was begun, the game, and a random part that makes it unique."""
    made = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(created_s))
    game = re.sub(r"[^A-Za-z0-9]+", "-", game_of(env, env_subtype))[:_MOST_LETTERS].strip("-")
    return "_".join(filter(None, (made, game, uuid.uuid4().hex[:8])))
