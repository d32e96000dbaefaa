"""Advisory locks: `alone_in` lets one process at a time write into a folder, `locked` locks an open file (flock).

The kernel releases a lock however its process ends, so that what lies half-made in a locked folder is of a dead one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO

from eyehand.errors import UserError
from eyehand.terminal import announce

try:
    import fcntl
except ImportError:  # Windows has no such locks: there two runs at once are not noticed
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone_in", "locked", "open_lockable"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of file systems without locks (NFS, Lustre, FUSE)."""

_held: set[IO[bytes]] = set()


@contextlib.contextmanager
def alone_in(folder: Path, what: str, *, beside: bool = False) -> Iterator[None]:
    """Lock a folder, made if missing, against other processes that write into it; removed at the end if new and empty.

    Args:
        folder: holds the file `.lock` meanwhile, which says who has it.
        what: the command that writes, for the message to others.
        beside: the folder itself is not there yet: the file is `.NAME.lock` beside it.

    Raises:
        UserError: another process has it, or it cannot be made or written.
    """
    home = folder.absolute().parent if beside else folder
    with contextlib.ExitStack() as stack:
        try:
            for made in reversed([each for each in (home, *home.parents) if not each.exists()]):
                stack.callback(_remove_empty, made)
            home.mkdir(parents=True, exist_ok=True)
            if fcntl is not None:
                stack.enter_context(_lock(home / (f".{folder.name}.lock" if beside else ".lock"), folder, what))
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"Cannot write to {folder} ({reason}): make space or choose another folder.") from error
        yield


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def _lock(path: Path, folder: Path, what: str) -> Iterator[None]:
    while True:
        file = open_lockable(path)
        if not locked(file):
            said = os.pread(file.fileno(), 200, 0).decode(errors="replace")
            file.close()
            holder = "".join(filter(str.isprintable, said)) or "another process"
            raise UserError(f"{folder} is being written by {holder}: wait for its end, or choose another folder.")
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), os.lstat(path)):
                break
        file.close()  # who had it has just removed it
    with file:
        _held.add(file)
        try:
            with contextlib.suppress(OSError):  # a full disk: what is to be written will say so
                file.truncate(0)
                file.write(f"eyehand {what} (process {os.getpid()} on {platform.node()})".encode())
            yield
        finally:
            _held.discard(file)
            path.unlink(missing_ok=True)  # while it is locked


_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _forget_held() -> None:
    """In a forked worker: a lock is held until its last descriptor is closed, and workers may outlive their parent."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_held)


def open_lockable(path: Path) -> IO[bytes]:
    """Open a file to be locked, read and appended to, made if missing; the caller closes it.

    Raises:
        OSError: it cannot be opened, or is a link, which is not followed: others may have left it there.
    """
    return open(path, "a+b", buffering=0, opener=lambda name, flags: os.open(name, flags | _FLAGS, 0o644))


def locked(file: IO[bytes], waits: bool = False, otherwise: bool = True) -> bool:
    """Lock an open file until it is closed. Where the file system has no locks nothing is locked, and a line says so.

    Args:
        file: opened for writing.
        waits: while another process has it locked.
        otherwise: what to return where there are no locks.

    Returns:
        Whether no other process has it locked.

    Raises:
        OSError: it cannot be locked for another reason.
    """
    if fcntl is None:
        return otherwise
    try:
        fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _say_without_locks(Path(file.name).parent)
        return otherwise
    return True


@cache
def _say_without_locks(folder: Path) -> None:
    announce(f"{folder} cannot lock files: take care that no other run writes there.")
