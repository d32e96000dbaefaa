"""Tries again what a network refused: `retried`. A full disk and our own sentences are not tried again."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from eyehand.errors import UserError

__all__ = ["PAUSES_S", "Wait", "retried"]

PAUSES_S = (1.0, 2.0, 4.0, 8.0)
"""How long to wait before each further try."""

Wait = Callable[[float], None]

_Result = TypeVar("_Result")

_HOPELESS = (errno.EFBIG, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)

_PATIENCE_ASKED = (408, 409, 412, 423, 425, 429)  # of HTTP


def _is_hopeless(error: Exception) -> bool:
    """Whether time does not cure it: no space, no permission, or a server that understood and refused."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status not in _PATIENCE_ASKED
    return isinstance(error, OSError) and error.errno in _HOPELESS


def retried(do: Callable[[], _Result], what: str, wait: Wait = time.sleep) -> _Result:
    """Do it, up to five times.

    Args:
        do: what to do; every remote file system raises exceptions of its own, so all of them count.
        what: for the sentence, such as "s3://bucket/x cannot be read".
        wait: sleeps for some seconds.

    Raises:
        UserError: it failed every time, or for a reason that time does not cure.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            return do()
        except UserError:
            raise
        except Exception as error:
            if pause_s is None or _is_hopeless(error):
                reason = (
                    str(getattr(error, "strerror", None) or error or type(error).__name__).split("\n")[0].rstrip(".")
                )
                raise UserError(
                    f"{what} ({reason}): check space, address and credentials, and run the command again; it goes on "
                    "where it was."
                ) from error
            wait(pause_s)
    raise AssertionError("the last try returns or raises")
