"""The user's plays that run on this machine and can be watched: a small file each, in a folder private to the user."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from eyehand.errors import UserError

__all__ = ["RunningPlay", "announce_play", "running_plays"]


@dataclass(frozen=True)
class RunningPlay:
    """A running play with a viewer page.

    Attributes:
        pid: its process.
        game: its name.
        url: of its page, with the token in it.
        started_s: unix time at which it began.
    """

    pid: int
    game: str
    url: str
    started_s: float


@contextlib.contextmanager
def announce_play(play: RunningPlay) -> Iterator[None]:
    """List a play while this context lasts."""
    file = _folder() / f"{play.pid}.json"
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
    for file in _folder().glob("*.json"):
        try:
            play = RunningPlay(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if _is_running(play):
            plays.append(play)
        else:
            file.unlink(missing_ok=True)
    return sorted(plays, key=lambda play: -play.started_s)


def _is_running(play: RunningPlay) -> bool:
    try:
        return bool(psutil.Process(play.pid).create_time() <= play.started_s + 1.0)
    except psutil.NoSuchProcess:
        return False


def _folder() -> Path:
    """The user's private folder for these files, made if missing.

    Raises:
        UserError: another user has made it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(base) / "eyehand" if os.path.isdir(base) else Path(tempfile.gettempdir()) / f"eyehand-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {folder} ({error.strerror}): remove what is there.") from error
    status = os.lstat(folder)
    is_ours = stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == user)
    if not is_ours or (os.name == "posix" and status.st_mode & 0o077):
        raise UserError(f"{folder} belongs to somebody else or can be read by others: remove it.")
    return folder
