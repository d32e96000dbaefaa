"""The user's plays that run on this machine and can be watched: a small file each, in the user's private folder."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from eyehand.machine import process_identity
from eyehand.private_folder import private_folder, private_folders

__all__ = ["RunningPlay", "announce_play", "running_plays"]


@dataclass(frozen=True)
class RunningPlay:
    """A running play with a viewer page.

    Attributes:
        pid: its process.
        identity: of this process (see `process_identity`).
        game: its name.
        url: of its page, with the token in it.
        started_s: unix time at which it began.
    """

    pid: int
    identity: str | None
    game: str
    url: str
    started_s: float


@contextlib.contextmanager
def announce_play(game: str, url: str) -> Iterator[None]:
    """List a play of this process while this context lasts.

    Args:
        game: its name.
        url: of its page, with the token in it.
    """
    pid = os.getpid()
    play = RunningPlay(pid, process_identity(pid), game, url, time.time())
    file = private_folder() / f"{pid}.json"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as writing:
        json.dump(asdict(play), writing)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def running_plays() -> list[RunningPlay]:
    """The plays that run now, the newest first. Files of killed ones are removed."""
    plays: list[RunningPlay] = []
    for file in (file for folder in private_folders() for file in folder.glob("*.json")):
        try:
            play = RunningPlay(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if play.identity is not None and process_identity(play.pid) == play.identity:
            plays.append(play)
        else:
            file.unlink(missing_ok=True)
    return sorted(plays, key=lambda play: -play.started_s)
