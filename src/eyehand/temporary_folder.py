"""`TemporaryFolder`: a private folder in /tmp; one whose process was killed is removed by the next process."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from pathlib import Path

from eyehand.folder_lock import locked, open_lockable

__all__ = ["TemporaryFolder"]

_LOCK = ".lock"


class TemporaryFolder:
    """A new folder that only this user may enter. A context manager.

    Args:
        purpose: a part of its name. Folders for the same purpose whose processes have ended are removed.

    Attributes:
        path: of the folder.

    Raises:
        OSError: there is no space for it.
    """

    def __init__(self, purpose: str) -> None:
        prefix = f"eyehand-{purpose}-"
        for left in Path(tempfile.gettempdir()).glob(f"{glob.escape(prefix)}*/{_LOCK}"):
            with contextlib.suppress(OSError), open_lockable(left) as file:
                if locked(file, otherwise=False):
                    shutil.rmtree(left.parent)
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            self._lock = open_lockable(self.path / f"{_LOCK}.new")
            locked(self._lock)
            with contextlib.suppress(PermissionError):  # Windows renames no open file, and has no such locks either
                os.replace(self.path / f"{_LOCK}.new", self.path / _LOCK)  # nobody ever sees it there unlocked
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Remove it. May be called twice."""
        self._lock.close()  # Windows removes no open file
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        self.remove()
