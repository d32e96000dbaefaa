"""Files that others made: the one way to open them, `open_regular`, and what to say when reading fails, `problem_of`.

Only regular files are opened: a pipe hangs its reader, and /dev/zero never ends. What a library says of damaged bytes
is of any kind (a struct too short, a number too large, a text that is none), so whoever reads many recordings turns
every exception of one of them into that one's sentence, and goes on with the others. Limits, see docs/security.md.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from eyehand.errors import UserError, unreadable

__all__ = ["check_zip", "open_regular", "parse_json", "problem_of", "read_at_most", "read_regular"]

_MOST_PICKLED_BYTES = 16 << 20  # of a checkpoint, without the tensors' numbers
_MOST_SAID = 200  # characters of a library's message, which may hold any amount of the file


def open_regular(path: Path | str) -> BufferedReader:
    """Open a regular file, or a link to one, for reading; never waits, whatever it is.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a device, a socket.
    """
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  # the caller closes it
    except ValueError as error:  # a NUL in its name
        raise OSError(errno.EINVAL, str(error).capitalize(), str(path)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return file


def read_regular(path: Path | str, most_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: as of `open_regular` and `read_at_most`.
    """
    with open_regular(path) as file:
        return read_at_most(file, most_bytes, path)


def read_at_most(file: BinaryIO, most_bytes: int, path: object) -> bytes:
    """The bytes of an open file.

    Raises:
        OSError: it is larger than `most_bytes`, by its size, before any of it is read.
    """
    size = file.seek(0, os.SEEK_END)
    if size > most_bytes:
        raise OSError(errno.EFBIG, f"It is larger than {most_bytes:,} bytes", str(path))
    file.seek(0)
    return file.read(size)


def parse_json(text: bytes | str) -> Any:
    """The values of a JSON text; numbers in it may be infinite or NaN.

    Raises:
        ValueError: it is none, or is nested more deeply than Python can follow.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def check_zip(path: Path | str, most_growth: int = 1) -> None:
    """Refuse a zip file that takes far more memory than it has bytes: a bomb.

    Args:
        path: of a regular file.
        most_growth: how many times its size its parts may take together. 1: as PyTorch writes it, uncompressed.

    Raises:
        OSError, zipfile.BadZipFile: it cannot be read.
        ValueError: its directory states more, or a pickle that is large of itself, which takes far more when loaded.
    """
    import zipfile

    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        parts, size = archive.infolist(), file.seek(0, os.SEEK_END)
    pickled = sum(part.file_size for part in parts if part.filename.endswith(".pkl"))
    if sum(part.file_size for part in parts) > most_growth * size or pickled > _MOST_PICKLED_BYTES:
        raise ValueError("its parts take more than a file of its size could hold")


def problem_of(source: object, error: Exception) -> UserError:
    """The sentence for an exception, of any kind, of reading `source`; a UserError is its own."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError):
        return unreadable(source, error)
    said = " ".join(str(error).split()).rstrip(".")[:_MOST_SAID]
    what = "it takes more memory than there is" if isinstance(error, MemoryError) else said or type(error).__name__
    return UserError(f"{source} cannot be read ({what}): remove it or restore it.")


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
