"""The two files of a checkpoint: `read_description` of `checkpoint.json`, and `StoredTensors` of the weights.

Both may come from anybody: only regular files are read, nothing larger than it may be, and each number is compared with
its limits. What they mean together is the business of `checkpoint.py`.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from eyehand.action_space import MouseSampling
from eyehand.errors import UserError, unreadable
from eyehand.foreign import open_regular, parse_json, read_regular
from eyehand.frame import RESIZE_VERSION
from eyehand.typed import typed

__all__ = ["DESCRIPTION", "FORMAT_VERSION", "Description", "ReplacedError", "StoredTensors", "file_sha256"]
__all__ += ["checkpoint_name", "read_description"]

FORMAT_VERSION = 1
DESCRIPTION = "checkpoint.json"

_MOST_JSON_BYTES = 16 << 20
_MOST_FPS = 1000.0
_MOST_TEMPERATURE = 1e6


def checkpoint_name(folder: Path | str) -> str:
    """What people call the checkpoint in a folder: RUN/policy and RUN/checkpoints/step-00000500 by their run."""
    folder = Path(folder)
    if folder.name == "policy":
        return folder.absolute().parent.name or folder.name
    if folder.parent.name == "checkpoints" and folder.name.startswith("step-"):
        step = folder.name.removeprefix("step-").lstrip("0")
        return f"{folder.absolute().parent.parent.name}, step {step}"
    return folder.name


@dataclass(frozen=True)
class Description:
    """The content of checkpoint.json, in the order in which it is written (see docs/checkpoints.md)."""

    format_version: int
    eyehand_version: str
    resize_version: int
    fps: float
    mouse_sampling: MouseSampling
    temperature: float
    weights_sha256: str
    policy: dict[str, Any]
    facts: dict[str, Any]


class ReplacedError(UserError):
    """Another checkpoint has taken the place of the one that was being read."""


class StoredTensors(Mapping[str, Tensor]):
    """The tensors of a safetensors file. Each is mapped on its own, so that its memory can be freed again.

    Where the system gives an open file a name (/dev/fd), it stays the same file, whatever takes the place of its path.

    Raises:
        UserError: the file is damaged or, on access, no longer what it was.

    Attributes:
        header: shape and dtype of each by name, as the file states them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            descriptor = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, descriptor)
            held = Path(f"/dev/fd/{descriptor}")
            self._held = held if held.exists() else path
            self._identity = _identity(self._held)
            with safe_open(self._held, framework="pt") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
                self.header = {name: (tuple(of.get_shape()), str(of.get_dtype())) for name, of in slices.items()}
        except Exception as error:  # SafetensorError, and what PyTorch raises where a file cannot be mapped
            raise self._damaged() from error

    def check(self, sha256: str) -> None:
        """Raises UserError where the file is not the one of this SHA-256."""
        try:
            is_same = file_sha256(self._held) == sha256
        except OSError as error:
            raise self._damaged() from error
        if not is_same:
            raise self._damaged()

    def _damaged(self) -> UserError:
        return UserError(f"{self._path} is damaged or not the one of its {DESCRIPTION}: copy the whole folder again.")

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.header:
            raise KeyError(name)
        try:
            with safe_open(self._held, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
            is_same = _identity(self._held) == self._identity
        except (OSError, SafetensorError):
            is_same = False
        if not is_same:
            raise ReplacedError(f"{self._path} was replaced while it was read: try again.")
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.header)

    def __len__(self) -> int:
        return len(self.header)


def read_description(path: Path) -> Description:
    """The content of a checkpoint.json.

    Raises:
        UserError: it is missing, damaged, from a newer eyehand, or for another resize.
    """
    try:
        content = parse_json(read_regular(path, _MOST_JSON_BYTES))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: copy the checkpoint again.") from error
    if not isinstance(content, dict) or type(content.get("format_version")) is not int:
        raise UserError(f"{path} is not a checkpoint's description: give the folder of an eyehand checkpoint.")
    if content["format_version"] > FORMAT_VERSION:
        raise UserError(
            f"{path.parent} was written by a newer eyehand (format {content['format_version']}): "
            f"this one reads up to format {FORMAT_VERSION}, so update eyehand."
        )
    try:
        description = typed(Description, content)
    except UserError as error:
        raise UserError(f"{path} does not fit ({error}): copy the checkpoint again or update eyehand.") from error
    if not (0 < description.fps <= _MOST_FPS and 0 <= description.temperature <= _MOST_TEMPERATURE):
        raise UserError(
            f"{path} does not fit (fps is {description.fps:g} and temperature {description.temperature:g}): copy the "
            "checkpoint again."
        )
    if description.resize_version != RESIZE_VERSION:
        raise UserError(
            f"{path.parent} was trained on pictures of resize version {description.resize_version}, this eyehand makes "
            f"version {RESIZE_VERSION}: train it again, or use the eyehand {description.eyehand_version} that wrote it."
        )
    return description


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex; errors as of `open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(path: Path) -> tuple[int, ...]:
    """Device, inode, size and time of a file: they change when it is replaced or written."""
    stat = path.stat()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
