"""The user's plays that run on this machine and can be watched: a small file each, in the user's private folder."""

from __future__ import annotations

import contextlib
import html
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from eyehand.machine import process_identity
from eyehand.private_folder import private_folder, private_folders

__all__ = ["RunningPlay", "announce_play", "redirection", "running_plays"]


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
    _write(file, json.dumps(asdict(play)))
    try:
        yield
    finally:
        _remove(file)


def redirection(play: RunningPlay) -> Path:
    """A file for the browser that leads to the page of a play, in the user's private folder.

    The page's own address on the command line of a browser would show its token to everybody who lists the processes.
    """
    file = private_folder() / f"{play.pid}.html"
    _write(file, f'<!DOCTYPE html><meta http-equiv="refresh" content="0; url={html.escape(play.url)}">')
    return file


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
            _remove(file)
    return sorted(plays, key=lambda play: -play.started_s)


def _write(file: Path, text: str) -> None:
    """Write a file that only this user can read."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as writing:
        writing.write(text)


def _remove(file: Path) -> None:
    """Remove the file of a play that has ended, and that which leads to its page."""
    for one in (file, file.with_suffix(".html")):
        one.unlink(missing_ok=True)
