"""Sources of recordings: folders, trees of folders, and tar archives, on this machine or behind a URL.

`find_recordings_at(SRC)` lists what is there without reading it: `Located` recordings in folders, and `Archive`s, which
`archives.py` reads. A source is a local path or any URL that fsspec understands. What looks like a recording and cannot
be one (a name that is no text) is located too, with its problem, so that nothing is dropped in silence.
"""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eyehand.errors import UserError
from eyehand.recording.file_range import FileRange, file_system_of
from eyehand.recording.format import ANNOTATION_FILE, CAPTURED_FILE, SMALL_FILE
from eyehand.recording.reader import RecordingFiles, is_hidden

__all__ = ["RECORDING_FILES", "Archive", "Located", "Source", "find_recordings_at", "is_archive", "name_problem"]
__all__ += ["place_of", "printable"]

COMPRESSED_ENDINGS = (".tar.gz", ".tgz")
ARCHIVE_ENDINGS = (".tar", *COMPRESSED_ENDINGS)

RECORDING_FILES = (ANNOTATION_FILE, SMALL_FILE, CAPTURED_FILE)


@dataclass(frozen=True)
class Located:
    """A recording found in a source, not yet read.

    Attributes:
        name: its folder in its source, for people.
        files: where its files are; None where it cannot be used.
        problem: one sentence on why not.
    """

    name: str
    files: RecordingFiles | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Archive:
    """A tar archive of recordings.

    Attributes:
        url: where it is.
        size: in bytes.
    """

    url: str
    size: int

    @property
    def is_compressed(self) -> bool:
        """Whether it is compressed, so that it can be read only from its beginning."""
        return self.url.lower().endswith(COMPRESSED_ENDINGS)


@dataclass(frozen=True)
class Source:
    """The recordings and archives at one path or URL.

    Attributes:
        url: the place, as it was given.
        is_remote: whether it is not on this machine's own file system.
        recordings: those in folders, in the order of their names.
        archives: in the order of their names.
    """

    url: str
    is_remote: bool
    recordings: tuple[Located, ...]
    archives: tuple[Archive, ...]


def place_of(located: Located, url: str) -> str:
    """The unique `source` of a recording in a folder of the source `url`: its path or URL."""
    if located.files is None:
        return f"{url}!{located.name}"
    annotation = located.files.annotation
    return posixpath.dirname(annotation.url if isinstance(annotation, FileRange) else str(annotation))


def is_archive(name: str) -> bool:
    """Whether a file of this name is a tar archive."""
    return name.lower().endswith(ARCHIVE_ENDINGS)


def find_recordings_at(url: str) -> Source:
    """List the recordings and archives at a path or URL, at any depth.

    Raises:
        UserError: nothing is there, it cannot be reached, or it holds neither recordings nor archives.
    """
    if printable(url) != url:
        raise UserError(f"The name {printable(url)} is not UTF-8: rename it.")
    file_system, root = file_system_of(url)
    is_remote = isinstance(file_system.protocol, str) or "file" not in file_system.protocol
    try:
        if file_system.isfile(root):
            if not is_archive(root):
                raise UserError(f"{url} is neither a folder nor a .tar or .tar.gz archive: give one of these.")
            sizes = {root: int(file_system.size(root))}
        elif file_system.isdir(root):
            sizes = _sizes_far(file_system, root) if is_remote else _sizes_here(root)
        else:
            raise UserError(f"There is nothing at {url}: give a folder of recordings, an archive, or the URL of one.")
    except OSError as error:
        raise UserError(
            f"{url} cannot be listed ({error.strerror or error}): check address and permissions."
        ) from error
    except UserError:
        raise
    except Exception as error:  # every remote file system has exceptions of its own: no network, no such bucket
        raise UserError(f"{url} cannot be listed ({error}): check address and credentials.") from error

    def address(path: str) -> str:
        return str(file_system.unstrip_protocol(path)) if is_remote else path

    recordings = _in_folders(sizes, root, address)
    archives = []
    for path in sorted(filter(is_archive, sizes)):
        if is_hidden(posixpath.relpath(path, root)):
            continue
        problem = name_problem(posixpath.relpath(path, root))
        if problem is None:
            archives.append(Archive(address(path), sizes[path]))
        else:
            recordings.append(Located(printable(posixpath.basename(path)), problem=problem))
    if not recordings and not archives:
        raise UserError(f"{url} holds no recordings: make some with `eyehand record`, or give another place.")
    return Source(url, is_remote, tuple(recordings), tuple(archives))


def _sizes_far(file_system: Any, root: str) -> dict[str, int]:
    return {path: int(facts["size"] or 0) for path, facts in file_system.find(root, detail=True).items()}


def _sizes_here(root: str) -> dict[str, int]:
    """The files under a folder and their sizes. A folder that cannot be read is an OSError: fsspec passes it over."""
    sizes = {}

    def give_up(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(root, onerror=give_up):
        for name in names:
            path = os.path.join(folder, name)
            sizes[path] = (os.stat(path) if os.path.exists(path) else os.lstat(path)).st_size
    return sizes


def _in_folders(sizes: dict[str, int], root: str, address: Any) -> list[Located]:
    """Every folder that has a file of a recording, complete or not: opening it says what is missing."""
    folders: dict[str, set[str]] = defaultdict(set)
    for path in sizes:
        folder, name = posixpath.split(path)
        if name in RECORDING_FILES and not is_hidden(posixpath.relpath(folder, root)):
            folders[folder].add(name)
    located = []
    for folder in sorted(folders):
        name = posixpath.relpath(folder, root) if folder != root else posixpath.basename(folder)
        problem = name_problem(name)
        if problem is not None:
            located.append(Located(printable(name), problem=problem))
            continue

        def file(kind: str, folder: str = folder) -> FileRange:
            path = f"{folder}/{kind}"
            return FileRange(address(path), 0, sizes.get(path))

        captured = file(CAPTURED_FILE) if CAPTURED_FILE in folders[folder] else None
        files = RecordingFiles(Path(folder), file(ANNOTATION_FILE), file(SMALL_FILE), captured)
        located.append(Located(name, files))
    return located


def name_problem(name: str) -> str | None:
    """Why a recording of this name, from outside, is not used; None: it may be."""
    if printable(name) != name:
        return "Its name is not UTF-8: rename it."
    if name.startswith("/") or ".." in name.split("/"):
        return "Its name points out of the archive: make the archive anew, with plain names."
    return None


def printable(name: str) -> str:
    """The name with bytes that are no UTF-8 as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()
