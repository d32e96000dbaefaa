"""Tar archives of recordings, read in place: `read_archive`.

In a plain .tar every file lies uncompressed at some offset: its headers are walked once, and from then on a recording
is two stretches of the archive. A .tar.gz cannot be entered in the middle, so it is read in one pass, in bounded
memory, and what training needs (annotation and 192x192 video, a small part of the bytes) is kept in a `Pack`: a plain
tar beside the index, read by offset like any other.

Nothing in an archive is trusted: names never become paths on this machine, links and sparse files are passed over,
names that point outside are refused, and an archive that grows a hundredfold (a bomb) is given up, with what was read
before it intact.
"""

from __future__ import annotations

import gzip
import io
import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from eyehand.data.sources import RECORDING_FILES, Archive, Located, name_problem, printable
from eyehand.errors import UserError, unwritable
from eyehand.folder_lock import locked
from eyehand.recording.file_range import FileRange, open_url
from eyehand.recording.format import ANNOTATION_FILE, CAPTURED_FILE, SMALL_FILE
from eyehand.recording.reader import RecordingFiles

__all__ = ["Pack", "read_archive"]

MAX_GROWTH = 100
"""Video does not compress: real archives grow by a few per cent when they are decompressed."""

_FREE_GROWTH_BYTES = 16 << 20
_MAX_HEADER_BYTES = 16 << 20
_CHUNK = 1 << 20
_MOST_SAID = 200  # characters of a library's message
_BLOCK = 512


class Pack:
    """An append-only plain tar. A context manager, locked by one process at a time.

    Attributes:
        files: its members by name. An incomplete last member is truncated on opening.
    """

    def __init__(self, path: Path) -> None:
        """Open the tar, made if missing; waits while another process has it locked.

        Raises:
            UserError: from any method, when it cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  # closed in __exit__
            locked(self._file, waits=True)
            self.files = _whole_files(path)
            ends = [_blocks(each.offset + (each.size or 0)) for each in self.files.values()]
            self._file.truncate(max(ends, default=0))
        except OSError as error:
            raise unwritable(self.path, error) from error

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, name: str, file: BinaryIO, size: int) -> FileRange:
        """Append a file and return its range; a member of this name and size is kept as it is.

        Raises:
            EOFError: `file` is shorter than `size`.
            OSError: `file` cannot be read.
        """
        known = self.files.get(name)
        if known is not None and known.size == size:
            return known
        begin = self._file.seek(0, os.SEEK_END)
        try:
            self._copy(name, file, size)
        except BaseException:
            self._file.truncate(begin)
            raise
        self.files[name] = FileRange(str(self.path), self._file.seek(0, os.SEEK_END) - _blocks(size), size)
        return self.files[name]

    def finish(self) -> None:
        """Write the mark that ends a tar."""
        self._write(bytes(2 * _BLOCK))

    def _copy(self, name: str, file: BinaryIO, size: int) -> None:
        header = tarfile.TarInfo(name)
        header.size = size
        self._write(header.tobuf(tarfile.PAX_FORMAT))
        left = size
        while left:
            data = file.read(min(left, _CHUNK))
            if not data:
                raise EOFError(f"{name} breaks off")
            self._write(data)
            left -= len(data)
        self._write(bytes(_blocks(size) - size))

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise unwritable(self.path, error) from error


def _whole_files(path: Path) -> dict[str, FileRange]:
    """The complete members of a pack by name."""
    files: dict[str, FileRange] = {}
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if _blocks(member.offset_data + member.size) <= size:
                    files[member.name] = FileRange(str(path), member.offset_data, member.size)
    except tarfile.TarError:  # it is empty, or its first header is cut off
        pass
    return files


def read_archive(archive: Archive, pack: Pack | None) -> Iterator[Located]:
    """The recordings of an archive, in its order.

    Args:
        archive: plain or compressed.
        pack: where annotation and small video are copied; None (plain archives only): they are read in place.

    Yields:
        recordings; and at the end one entry with a problem if the archive cannot be read further.

    Raises:
        UserError: the pack cannot be written, or the archive's URL needs a package that is not installed.
    """
    if pack is None and archive.is_compressed:
        raise ValueError("a compressed archive needs a pack")
    try:
        with open_url(archive.url) as raw:
            if not archive.is_compressed:
                yield from _walk(archive, _Stream(raw, raw, is_bounded=False), pack)
                return
            with gzip.GzipFile(fileobj=raw) as expanded:
                stream = _Stream(expanded, raw, is_bounded=True)
                yield from _walk(archive, stream, pack)
                stream.drain()
    except UserError:
        raise
    except Exception as error:  # tarfile raises whatever odd numbers in a header lead to
        what = (str(error) or type(error).__name__)[:_MOST_SAID].rstrip(".")
        problem = f"The archive cannot be read to its end ({what}): restore it; the recordings before that are used."
        yield Located(posixpath.basename(archive.url), problem=problem)


def _walk(archive: Archive, stream: _Stream, pack: Pack | None) -> Iterator[Located]:
    """The recordings of an open archive, each as soon as both of its files were read."""
    found: dict[str, dict[str, FileRange]] = {}
    done: set[str] = set()
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # or it grows without end
            if member.size < 0:  # or tarfile would walk backwards, for ever
                raise EOFError("a file of negative size")
            name = posixpath.normpath(member.name) if name_problem(member.name) is None else member.name
            folder, kind = posixpath.split(name)
            if kind not in RECORDING_FILES or folder in done:
                continue
            problem = name_problem(folder) or _kind_problem(member)
            if problem is not None:
                done.add(folder)
                yield Located(printable(folder), problem=problem)
                continue
            files = found.setdefault(folder, {})
            if kind != CAPTURED_FILE and kind not in files:
                files[kind] = _place(archive, tar, member, name, pack)
            if {ANNOTATION_FILE, SMALL_FILE} <= files.keys():
                done.add(folder)
                del found[folder]
                path = Path(f"{archive.url}!{folder}")
                yield Located(folder, RecordingFiles(path, files[ANNOTATION_FILE], files[SMALL_FILE], None))
        if stream.last != bytes(_BLOCK):
            raise EOFError("it breaks off")
    for folder, files in found.items():
        missing = " and ".join(kind for kind in (ANNOTATION_FILE, SMALL_FILE) if kind not in files)
        yield Located(folder, problem=f"Its {missing} is missing: the recording is incomplete.")


def _place(archive: Archive, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str, pack: Pack | None) -> FileRange:
    """The range of a member of the archive: inside it, or of its copy in the pack."""
    if pack is None:
        if member.offset_data + member.size > archive.size:
            raise EOFError("it breaks off within a file")
        return FileRange(archive.url, member.offset_data, member.size)
    content = tar.extractfile(member)
    assert content is not None  # a plain file
    return pack.add(name, cast(BinaryIO, content), member.size)


def _kind_problem(member: tarfile.TarInfo) -> str | None:
    if member.isreg() and not member.issparse():
        return None
    return f"Its {posixpath.basename(member.name)} is no plain file but a link or something special."


def _blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


class _BombError(Exception):
    """The archive expands more than a hundredfold."""


class _Stream(io.RawIOBase):
    """The bounded, forward-reading stream of a tar's bytes for tarfile; keeps its last read."""

    def __init__(self, expanded: BinaryIO | gzip.GzipFile, raw: BinaryIO, *, is_bounded: bool) -> None:
        self._expanded = expanded
        self._raw = raw
        self._is_bounded = is_bounded
        self.last = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._expanded.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise _BombError(f"a header of {size} bytes")
        self.last = self._expanded.read(size)
        self._check()
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if not self._is_bounded or whence != os.SEEK_SET:
            return self._expanded.seek(offset, whence)
        while (left := offset - self._expanded.tell()) > 0:
            if not self._expanded.read(min(left, _CHUNK)):
                break
            self._check()
        return self._expanded.seek(offset) if left < 0 else self._expanded.tell()

    def drain(self) -> None:
        """Read to the end of the compressed file, so that its checksum is verified."""
        while self._expanded.read(_CHUNK):
            self._check()

    def _check(self) -> None:
        grown = self._expanded.tell()
        if self._is_bounded and grown > _FREE_GROWTH_BYTES and grown > MAX_GROWTH * self._raw.tell():
            raise _BombError(f"it grows more than {MAX_GROWTH}-fold when decompressed")
