"""The one exception that is the user's to fix.

Raise `UserError` with a single sentence that says what is wrong and what to do. The command line prints it and exits
with status 2. Everything else that escapes is our own fault and exits with status 1.
"""

from __future__ import annotations

__all__ = ["GameEnded", "UserError", "unreadable", "unwritable"]


class UserError(Exception):
    """Something that the user can fix: a wrong name, a missing or damaged file, a full disk."""


class GameEnded(UserError):  # noqa: N818 - no error: the person is done
    """The person has quit the game or closed its window: nothing is wrong, but there is nothing left to play."""


def unreadable(file: object, error: OSError) -> UserError:
    """What to tell the user when a file that is there cannot be read."""
    return UserError(
        f"{file} cannot be read ({error.strerror or error}): check the path, the disk and the permissions."
    )


def unwritable(path: object, error: OSError) -> UserError:
    """What to tell the user when a file of a job cannot be written."""
    return UserError(
        f"Cannot write {path} ({error.strerror or error}): make space or choose another place, and run the command "
        "again; it goes on where it was."
    )
