"""Names from outside that become paths: `SafePath` stays below its folder, `resolve_inside` finds a file in one.

Recording ids, members of archives, entries of manifests, references of foreign recordings: whoever makes a path of such
a name makes a SafePath (or a SafeName, of one component) of it first.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Self

from eyehand.errors import UserError, unreadable

__all__ = ["SafeName", "SafePath", "path_problem", "resolve_inside"]

_MAX_COMPONENT_BYTES = 255  # of ext4, NTFS, APFS
_MAX_BYTES = 1024  # of a key in S3
_DEVICES = frozenset(["CON", "PRN", "AUX", "NUL", *(f"{kind}{n}" for kind in ("COM", "LPT") for n in range(10))])
_NOT_ON_WINDOWS = frozenset('<>:"|?*')
_SHOWN = 100


def path_problem(name: str) -> str | None:
    """Why this name may not become a path below a folder, as what follows "which"; None: it may.

    What only Windows takes for a drive, a folder above or a device is refused everywhere: data sets travel.
    """
    try:
        num_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        return "holds control characters"
    there = PureWindowsPath(name)
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts or there.anchor or ".." in there.parts:
        return "leads out of its folder or is no plain path"
    is_device = any(part.partition(".")[0].strip().upper() in _DEVICES for part in there.parts)
    if is_device or (os.name == "nt" and not _NOT_ON_WINDOWS.isdisjoint(name)):
        return "is reserved by Windows"
    if num_bytes > _MAX_BYTES or any(len(part.encode()) > _MAX_COMPONENT_BYTES for part in parts):
        return f"is too long (a part of it has at most {_MAX_COMPONENT_BYTES} bytes, all of it {_MAX_BYTES:,})"
    return None


class SafePath(str):
    """A relative path with slashes, from outside, that leads to a place below any folder that it is joined to.

    UTF-8 without an empty component, `.` or `..`, NUL or another control character, a component above 255 bytes, or
    what Windows takes for a drive, a folder above or a device.

    Args:
        name: as it came.
        source: where it comes from, for the sentence.

    Raises:
        UserError: it is no such path.
    """

    __slots__ = ()

    def __new__(cls, name: str, source: object) -> Self:
        problem = cls._problem(name) if isinstance(name, str) else "is no text"
        if problem is not None:
            shown = repr(name)[:_SHOWN]
            raise UserError(
                f"{source} holds the name {shown}, which {problem}: rename it if it is yours, else trust none of this."
            )
        return super().__new__(cls, name)

    @staticmethod
    def _problem(name: str) -> str | None:
        return path_problem(name)


class SafeName(SafePath):
    """The name of one file or folder, from outside, that is not hidden; arguments and errors as of `SafePath`."""

    __slots__ = ()

    @staticmethod
    def _problem(name: str) -> str | None:
        is_one = name == PurePosixPath(name).name == PureWindowsPath(name).name and not name.startswith(".")
        return path_problem(name) or (None if is_one else "is no plain name of one visible file or folder")


def resolve_inside(root: Path, name: str) -> Path:
    """The path of the plain file `root`/`name`, where `name` comes from outside; it may be missing.

    Symbolic links may not lead out of the folder, except from a hub's cache, where snapshots/REVISION, and any folder
    in it, holds links to the blobs beside.

    Args:
        root: a folder; the way to it is trusted.
        name: a relative path with slashes.

    Raises:
        UserError: it leads out of the folder, or is no plain file (a folder, a device, a pipe).
    """
    path = root / SafePath(name, root)
    real_root = Path(os.path.realpath(root))
    real = Path(os.path.realpath(path))
    blobs = (above.parent / "blobs" for above in real_root.parents if above.name == "snapshots")
    roots = [real_root, *blobs]
    if not any(real.is_relative_to(each) for each in roots):
        raise UserError(f"{path} is a link out of {root}, to {real}: copy the file there if you want it.")
    try:
        if not stat.S_ISREG(real.stat().st_mode):
            raise UserError(f"{path} is no plain file: remove it.")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unreadable(path, error) from error
    return path
