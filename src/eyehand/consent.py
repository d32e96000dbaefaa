"""`ask_once`: asks the person at the terminal about what only they can judge; a yes is remembered.

What is asked about comes from a file that may be somebody else's: to run its program, to contact the places that it
names. Where nobody can be asked the answer is no, unless the variable EYEHAND_YES is 1.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from eyehand.errors import UserError
from eyehand.terminal import announce

__all__ = ["ask_once", "remember"]


def ask_once(key: str, what: str) -> None:
    """Return if the user agrees or has agreed before.

    Args:
        key: what stands for exactly this: another program or place has another key.
        what: a clause that says what happens then, such as "game.toml starts the program /tmp/x".

    Raises:
        UserError: the answer is no, or nobody is there to be asked.
    """
    if os.environ.get("EYEHAND_YES") == "1" or _line(key) in _agreed():
        return
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(f"{what}: if you trust that, answer at a terminal once, or set EYEHAND_YES=1.")
    announce(f"{what}. Do you trust that? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("Nothing is done without a yes.")
    remember(key)


def remember(key: str) -> None:
    """Ask no more about this."""
    file = _file()
    if _line(key) not in _agreed() and file.is_absolute():
        with contextlib.suppress(OSError):  # then it is asked again
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(file, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as agreed:
                agreed.write(f"{_line(key)}\n")


def _line(key: str) -> str:
    """One line, whatever is in the key: a place that an index names may hold line breaks, and another key after one."""
    return key.encode("unicode_escape").decode()


def _agreed() -> list[str]:
    try:
        return _file().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _file() -> Path:
    """A line for each key; relative where nobody knows the user's home."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.local/state")) / "eyehand" / "agreed"
