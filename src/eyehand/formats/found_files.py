"""Files in what the user gave to import: by ending, within its folders only, and what they hold by its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from eyehand.errors import UserError, unreadable
from eyehand.foreign import open_regular
from eyehand.recording.reader import is_hidden
from eyehand.safe_path import resolve_inside

__all__ = ["as_on_disk", "file_digest", "files_named", "found_file"]


def files_named(paths: Iterable[Path], ending: str, what: str) -> list[str]:
    """The files with an ending, in capitals or not, among these paths and at any depth in the folders among them.

    Hidden files are left out: macOS puts a `._NAME` beside every NAME on a disk of another system.

    Args:
        paths: in the order of the result; what is in a folder is sorted.
        ending: such as `.mp4`.
        what: to give, for the sentence.

    Raises:
        UserError: a path is neither a folder nor such a file, or there are none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = (each for each in path.rglob("*") if each.suffix.lower() == ending)
            found += sorted(each for each in files if not is_hidden(each.relative_to(path).as_posix()))
        elif path.suffix.lower() == ending:
            found.append(path)
        else:
            raise UserError(f"{path} is neither a folder nor an {ending} file: give {what}.")
    if not found:
        raise UserError(f"{', '.join(map(str, paths)) or 'This'} holds no {ending} files: give {what}.")
    return [str(path) for path in found]


def found_file(path: Path, given: Iterable[Path]) -> Path:
    """The path of a plain file that was found in what the user gave, or is named there by its content.

    Links may not lead out of the folder that was given, or, where a file was given, out of that file's folder. What was
    given itself may be a link.

    Args:
        path: as it was found.
        given: folders and files.

    Raises:
        UserError: it leads out, or is no plain file.
    """
    roots = tuple(given)
    if path in roots:
        return path
    root = next((root for root in roots if path.is_relative_to(root)), path.parent)
    return resolve_inside(root, path.relative_to(root).as_posix())


def as_on_disk(path: Path) -> Path:
    """The file at this path, or the one beside whose name differs in capitals alone; the path itself where none is."""
    if path.exists() or not path.parent.is_dir():
        return path
    alike = sorted(each for each in path.parent.iterdir() if each.name.lower() == path.name.lower())
    return alike[0] if alike else path


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex.

    Raises:
        UserError: it is missing or cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error
