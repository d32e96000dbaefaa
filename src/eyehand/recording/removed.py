"""Recordings that were thrown away: they lie whole in `.removed`, beside where they were, until a person deletes them.

Nothing that reads recordings looks into a folder whose name begins with a dot.
"""

from __future__ import annotations

from pathlib import Path

from eyehand.errors import UserError

__all__ = ["REMOVED", "set_aside"]

REMOVED = ".removed"


def set_aside(path: Path) -> Path:
    """Move a recording's folder there; returns its new place, which has a number where the name is taken.

    Raises:
        UserError: it cannot be moved, and is where it was.
    """
    folder = path.parent / REMOVED
    try:
        folder.mkdir(exist_ok=True)
        target, number = folder / path.name, 1
        while target.exists():
            number += 1
            target = folder / f"{path.name}.{number}"
        path.rename(target)
    except OSError as error:
        raise UserError(f"{path} cannot be thrown away ({error.strerror}): remove the folder yourself.") from error
    return target
