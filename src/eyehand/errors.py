"""The one exception that is the user's to fix.

Raise `UserError` with a single sentence that says what is wrong and what to do. The command line prints it and exits
with status 2. Everything else that escapes is our own fault and exits with status 1.
"""

__all__ = ["UserError"]


class UserError(Exception):
    """Something that the user can fix: a wrong name, a missing or damaged file, a full disk."""
