"""`FileRange`: a file, or a stretch of bytes inside one, on this machine or behind a URL.

A recording in a plain .tar is three stretches of one large file: it is read where it lies. Local files are opened by
the operating system, everything else by fsspec (`s3://`, `hf://`, `memory://`), which is imported only then. Knows
nothing about what the bytes mean.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from eyehand.errors import UserError
from eyehand.foreign import open_regular, read_at_most

__all__ = ["FileRange", "Window", "file_system_of", "open_file", "open_url", "read_file"]


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes `offset` to `offset + size - 1` of a file.

    Attributes:
        url: a local path, or a URL that fsspec understands.
        offset: of the first byte.
        size: number of bytes; None: all until the end of the file.
    """

    url: str
    offset: int = 0
    size: int | None = None

    def __str__(self) -> str:
        return self.url if not self.offset else f"{self.url} (from byte {self.offset})"

    def is_file(self) -> bool:
        """Whether there is such a file."""
        if _is_local(self.url):
            return Path(self.url).is_file()
        file_system, path = file_system_of(self.url)
        return bool(file_system.isfile(path))

    def open(self, block_bytes: int | None = None) -> BinaryIO:
        """A readable, seekable file that holds these bytes and no others; the caller closes it.

        Args:
            block_bytes: random access to a remote file in cached blocks of this size; None: sequential reading.

        Raises:
            OSError: it cannot be opened.
            UserError: the URL needs a package that is not installed, or names no file system.
        """
        whole = open_url(self.url, block_bytes)
        if not self.offset and self.size is None:
            return whole
        return io.BufferedReader(Window(whole, self.offset, self.size))


def open_file(file: Path | FileRange, block_bytes: int | None = None) -> BinaryIO:
    """Open a regular file or a range of one. Argument and errors as of `FileRange.open`."""
    return open_regular(file) if isinstance(file, Path) else file.open(block_bytes)


def read_file(file: Path | FileRange, most_bytes: int) -> bytes:
    """All bytes of a file or a range; of a remote file nothing else is transferred.

    Raises:
        OSError: it cannot be opened, or is larger than `most_bytes`.
        UserError: as of `FileRange.open`.
    """
    if isinstance(file, FileRange) and not _is_local(file.url) and file.size is not None and file.size <= most_bytes:
        file_system, path = file_system_of(file.url)
        return bytes(file_system.cat_file(path, start=file.offset, end=file.offset + file.size))
    with open_file(file) as opened:
        return read_at_most(opened, most_bytes, file)


def open_url(url: str, block_bytes: int | None = None) -> BinaryIO:
    """Open a local path or a URL for reading. Arguments and errors as of `FileRange.open`."""
    if _is_local(url):
        return open_regular(url)
    file_system, path = file_system_of(url)
    if block_bytes is None:
        return cast(BinaryIO, file_system.open(path, "rb"))
    return cast(BinaryIO, file_system.open(path, "rb", block_size=block_bytes, cache_type="blockcache"))


def file_system_of(url: str) -> tuple[Any, str]:
    """The fsspec file system of a local path or a URL, and the path in it.

    Raises:
        UserError: the URL needs a package that is not installed, or names no file system.
    """
    try:
        from fsspec.core import filesystem, url_to_fs
    except ImportError as error:
        raise UserError(f"{url} needs the package fsspec: run `pip install 'eyehand[data]'`.") from error
    try:
        file_system, path = (filesystem("file"), os.path.abspath(url)) if _is_local(url) else url_to_fs(url)
    except (ImportError, ValueError) as error:  # a package that is missing (s3fs), or an unknown protocol
        raise UserError(f"{url} cannot be opened: {str(error).rstrip('.')}.") from error
    return file_system, path


def _is_local(url: str) -> bool:
    """Whether it is a path of this machine, in which even `::` is a part of a name."""
    return "://" not in url


class Window(io.RawIOBase):
    """A read-only file object over a range of another file, which it closes. `size` None: until the end."""

    def __init__(self, whole: BinaryIO, offset: int, size: int | None) -> None:
        self._whole = whole
        self._offset = offset
        self._size = size if size is not None else max(0, whole.seek(0, os.SEEK_END) - offset)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}, before the start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(0, self._size - self._position))
        if not wanted:
            return 0
        self._whole.seek(self._offset + self._position)
        data = self._whole.read(wanted)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._whole.close()
        super().close()
