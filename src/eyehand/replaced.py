"""`replaced`: a file is written beside the old one and takes its place, so that a whole one is there at any time."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from eyehand.errors import UserError

__all__ = ["check_writable", "replaced", "sync"]

_NO_SPACE = 1 << 20


@contextlib.contextmanager
def replaced(
    path: Path, advice: str = "make space or choose another place", also: tuple[type[Exception], ...] = ()
) -> Iterator[Path]:
    """Where to write what `path` is to be, a file or a folder; when the block ends it is on the disk and called `path`.

    Args:
        path: of a file, or of a folder that is not there yet or empty; its parents are made. Of a link, what it leads
            to is replaced. What is neither (a pipe, /dev/stdout) is written to as it is.
        advice: what to do when it cannot be written, for the message.
        also: what a library raises for an OSError.

    Raises:
        UserError: it cannot be written; what was there is untouched, and nothing is left of the new one.
    """
    errors: tuple[type[Exception], ...] = (OSError, *also)
    real = Path(os.path.realpath(path))
    new = _partial(real)
    try:
        is_stream = path.parent.as_posix() in ("/dev", "/dev/fd")  # /dev/stdout, even where it leads to a file
        if is_stream or (path.exists() and not path.is_file() and not path.is_dir()):
            yield path
            return
        real.parent.mkdir(parents=True, exist_ok=True)
        for left in real.parent.glob(f".{glob.escape(real.name)}.*.partial"):
            pid = left.name.removeprefix(f".{real.name}.").removesuffix(".partial")
            if pid.isdigit() and (left == new or not _is_running(int(pid))):
                _remove(left)  # a process that was killed left it
        yield new
        for each in (*new.rglob("*"), new):
            sync(each)
        if new.is_dir() and real.is_dir():
            real.rmdir()  # Windows replaces no folder, not even an empty one
        os.replace(new, real)
        sync(real.parent)  # the rename itself
    except errors as error:
        reason = getattr(error, "strerror", None) or error
        with contextlib.suppress(OSError):
            if not isinstance(error, OSError) and shutil.disk_usage(new.parent).free < _NO_SPACE:
                reason = os.strerror(errno.ENOSPC)  # a library says it in words of its own
        raise UserError(f"Cannot write {path} ({reason}): {advice}.") from error
    finally:
        with contextlib.suppress(OSError):
            _remove(new)


def check_writable(path: Path, as_file: bool = False) -> None:
    """Find out, before hours of work, whether a file or folder can be written at its end; leaves nothing behind.

    Args:
        path: as of `replaced`.
        as_file: it is to be a file, and may not be a folder.

    Raises:
        UserError: it cannot.
    """
    place = Path(os.path.realpath(path))
    try:
        if place.is_dir() and as_file:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if place.exists() and not place.is_file() and not place.is_dir():
            return  # a pipe, /dev/stdout: whoever reads it may not be there yet
        probe = _partial(place).name
        if not place.is_dir():
            place = place.parent
        while not place.exists():
            place = place.parent
        descriptor = os.open(place / probe, os.O_WRONLY | os.O_CREAT, 0o600)
        os.close(descriptor)
        (place / probe).unlink()
    except OSError as error:
        raise UserError(f"Cannot write {path} ({error.strerror or error}): choose another place.") from error


def _partial(real: Path) -> Path:
    """What a file or folder is called until it is whole."""
    return real.parent / f".{real.name}.{os.getpid()}.partial"


def _is_running(pid: int) -> bool:
    import psutil  # seldom needed

    return bool(psutil.pid_exists(pid))


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    is_posix = os.name == "posix"
    if not is_posix and path.is_dir():  # Windows opens no folders, and syncs only what is open for writing
        return
    descriptor = os.open(path, os.O_RDONLY if is_posix else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
