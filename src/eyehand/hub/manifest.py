"""What belongs to a data set that was pushed: `eyehand-manifest.json`, with size and SHA-256 of every file.

It is uploaded last, so a push that was interrupted changes nothing for those who pull.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from eyehand.errors import UserError
from eyehand.recording.reader import is_hidden
from eyehand.safe_path import SafePath

__all__ = ["MANIFEST_FILE", "MOST_MANIFEST_BYTES", "FileFacts", "parse_manifest", "serialise_manifest"]

MANIFEST_FILE = "eyehand-manifest.json"
MOST_MANIFEST_BYTES = 256 << 20
"""Of a million and a half files."""

_VERSION = 1


@dataclass(frozen=True)
class FileFacts:
    """What a file is to be: its size in bytes and its SHA-256 in hex, empty where nobody knows it."""

    size: int
    sha256: str


def serialise_manifest(files: Mapping[str, FileFacts]) -> bytes:
    """The content of the manifest of these files, by path."""
    content = {"version": _VERSION, "files": {name: asdict(files[name]) for name in sorted(files)}}
    return json.dumps(content, indent=1).encode()


def parse_manifest(data: bytes, url: str) -> dict[str, FileFacts]:
    """Read a manifest, which comes from outside: no path in it leads out of the folder that it is pulled into, and
    none is hidden (`.git/hooks`, `.bashrc`), as nothing is that push sends.

    Raises:
        UserError: it is damaged, of another version, or names such a path.
    """
    try:
        content: Any = json.loads(data)
        version = content["version"]
        files = {str(name): FileFacts(int(of["size"]), str(of["sha256"])) for name, of in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"{url}/{MANIFEST_FILE} is damaged: push the data set again.") from error
    if version != _VERSION:
        raise UserError(f"{url} was pushed by a newer eyehand (manifest version {version}): update this one.")
    of_files = {*files, MANIFEST_FILE}
    for name, facts in files.items():
        SafePath(name, f"{url}/{MANIFEST_FILE}")
        if is_hidden(name):
            raise UserError(
                f"{url}/{MANIFEST_FILE} names {name}, a hidden file: no push sends such, trust none of this."
            )
        is_below_file = any(str(parent) in of_files for parent in PurePosixPath(name).parents)
        if name == MANIFEST_FILE or is_below_file or facts.size < 0 or not re.fullmatch("[0-9a-f]{64}", facts.sha256):
            raise UserError(f"{url}/{MANIFEST_FILE} is damaged: push the data set again.")
    return files
