"""`private_folder`: where the processes of one user leave notes for each other; nobody else can read or plant one.

Other users of the machine can make any name in /tmp first. What they made is passed over, and blocks nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

__all__ = ["private_folder", "private_folders"]


def private_folders() -> list[Path]:
    """The user's private folders that are there: one, or more where processes had to get out of somebody's way."""
    if (runtime := _in_runtime_folder()) is not None:
        return [runtime]
    return list(filter(_is_private, _in_temporary_folder()))


def private_folder() -> Path:
    """The user's private folder of this machine, gone at the latest with its next start; made if there is none.

    Raises:
        OSError: there is no space for a folder.
    """
    if (runtime := _in_runtime_folder()) is not None:
        return runtime
    for folder in _in_temporary_folder():
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            if not _is_private(folder):
                continue
        return folder
    return Path(tempfile.mkdtemp(prefix=_name() + "-"))


def _in_runtime_folder() -> Path | None:
    """Ours, made if missing, in the folder that the session's manager made for the user; None: nothing can be there."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base or not _is_private(Path(base)):
        return None
    folder = Path(base) / "eyehand"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder if _is_private(folder) and os.access(folder, os.W_OK) else None


def _in_temporary_folder() -> list[Path]:
    base = Path(tempfile.gettempdir())
    return [base / _name(), *sorted(base.glob(_name() + "-*"))]


def _name() -> str:
    return f"eyehand-{os.getuid()}" if hasattr(os, "getuid") else "eyehand"


def _is_private(folder: Path) -> bool:
    """Whether this is a folder, not a link to one, that belongs to the user and that nobody else may enter."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o077)
