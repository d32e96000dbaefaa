"""A checkpoint: a folder that suffices to play. `weights.safetensors` and `checkpoint.json`, nothing executable.

The JSON holds the resolved network configuration (with the name of its ActionSpace, frame size and text encoder), tick
rate, resize version, sampling defaults, and the facts of its training. Written beside the target and renamed, so that
a folder of this name is always whole. Everything that does not fit is an error with one sentence; see
docs/checkpoints.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from eyehand.action_space import MouseSampling
from eyehand.errors import UserError
from eyehand.frame import RESIZE_VERSION
from eyehand.model.config import PolicyConfig
from eyehand.model.policy import Policy

__all__ = ["BUNDLED", "FORMAT_VERSION", "Checkpoint", "bundled_names", "find_checkpoint", "load_checkpoint"]
__all__ += ["save_checkpoint"]

FORMAT_VERSION = 1
BUNDLED = Path(__file__).parent / "checkpoints"
"""Folder of the checkpoints that come with the package; each is found by its folder's name."""

_VERSION = version("eyehand")
_JSON = "checkpoint.json"
_WEIGHTS = "weights.safetensors"
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
StoredDtype = Literal["float16", "bfloat16", "float32"]


@dataclass(frozen=True)
class Checkpoint:
    """A policy with all that is needed to play with it.

    Attributes:
        policy: the network, float32, in evaluation mode, on the CPU.
        name: of its folder.
        fps: ticks per second that it was trained on.
        mouse_sampling, temperature: how it is meant to be sampled.
        facts: of its training (steps, data, losses, time), as the trainer wrote them.
        eyehand_version: which eyehand wrote it.
    """

    policy: Policy
    name: str
    fps: float = 20.0
    mouse_sampling: MouseSampling = "truncated_normal"
    temperature: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    eyehand_version: str = _VERSION

    @property
    def config(self) -> PolicyConfig:
        return self.policy.config


def save_checkpoint(
    folder: Path | str,
    policy: Policy,
    facts: Mapping[str, Any] | None = None,
    *,
    dtype: StoredDtype = "float16",
    fps: float = 20.0,
    mouse_sampling: MouseSampling = "truncated_normal",
    temperature: float = 1.0,
) -> Path:
    """Write a checkpoint, replacing one of this name as a whole.

    Args:
        folder: where; its parents are made.
        policy: the network (an average of weights, if one is trained).
        facts: of the training; JSON values.
        dtype: of the stored matrices. Vectors (norms, biases, BatchNorm statistics) stay float32: they are few.
        fps, mouse_sampling, temperature: see `Checkpoint`.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    replaced = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (temporary, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir()
        save_file(_stored(policy.state_dict(), _DTYPES[dtype]), temporary / _WEIGHTS)
        content = {
            "format_version": FORMAT_VERSION,
            "eyehand_version": _VERSION,
            "resize_version": RESIZE_VERSION,
            "fps": fps,
            "mouse_sampling": mouse_sampling,
            "temperature": temperature,
            "weights_sha256": _sha256(temporary / _WEIGHTS),
            "policy": policy.config.to_json(),
            "facts": dict(facts or {}),
        }
        (temporary / _JSON).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        for path in (temporary / _WEIGHTS, temporary / _JSON):
            path.chmod(0o644)  # safetensors makes its file private
            _sync(path)
        if folder.exists():
            folder.rename(replaced)
        temporary.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(
            f"Cannot write the checkpoint {folder} ({error}): free some space or choose another folder."
        ) from error
    return folder


def load_checkpoint(name: Path | str) -> Checkpoint:
    """Read a checkpoint.

    Args:
        name: a folder, or the name of a bundled checkpoint.

    Raises:
        UserError: it is missing, damaged, from a newer eyehand, or for another resize.
    """
    folder = find_checkpoint(name)
    content = _read_json(folder / _JSON)
    config = PolicyConfig.from_json(content["policy"])
    weights = folder / _WEIGHTS
    if not weights.is_file():
        raise UserError(f"Checkpoint {folder} has no {_WEIGHTS}: copy the whole folder again.")
    try:
        is_whole = _sha256(weights) == content["weights_sha256"]
        state = load_file(weights) if is_whole else {}
    except (OSError, SafetensorError, ValueError):
        is_whole = False
    if not is_whole:
        raise UserError(f"{weights} is damaged or not the one of its {_JSON}: copy the whole folder again.")
    # Building the network draws random weights that are thrown away: the caller's random numbers stay as they were.
    with torch.random.fork_rng(devices=[]):
        policy = Policy(config)
    _fill(policy, state, folder)
    return Checkpoint(
        policy=policy.eval(),
        name=folder.name,
        fps=float(content["fps"]),
        mouse_sampling=content["mouse_sampling"],
        temperature=float(content["temperature"]),
        facts=content["facts"],
        eyehand_version=content["eyehand_version"],
    )


def bundled_names() -> list[str]:
    """Names of the checkpoints that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{_JSON}"))


def find_checkpoint(name: Path | str) -> Path:
    """The folder of a checkpoint: the one given, or the bundled one of this name.

    Raises:
        UserError: there is none.
    """
    folder = Path(name)
    if (folder / _JSON).is_file():
        return folder
    if str(name) in bundled_names():
        return BUNDLED / str(name)
    if (folder / "policy" / _JSON).is_file():
        raise UserError(f"{folder} is a training run, not a checkpoint: its newest checkpoint is {folder / 'policy'}.")
    if folder.is_dir():
        raise UserError(f"{folder} has no {_JSON}, so it is no checkpoint: give the folder that holds this file.")
    choices = f", or one of the bundled {', '.join(bundled_names())}" if bundled_names() else ""
    raise UserError(f"There is no checkpoint {str(name)!r}: give the folder of one{choices}.")


def _stored(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Contiguous CPU copies: float matrices in `dtype` unless they overflow it, everything else as it is."""
    stored = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.is_floating_point() and tensor.ndim >= 2:
            smaller = tensor.to(dtype)
            tensor = smaller if smaller.isfinite().all() else tensor
        stored[name] = tensor.clone()
    return stored


def _fill(policy: Policy, state: Mapping[str, Tensor], folder: Path) -> None:
    """Copy the tensors into the network, each exactly once."""
    expected = policy.state_dict()
    if missing := sorted(set(expected) - set(state)):
        raise UserError(f"Checkpoint {folder} lacks the weights {missing[0]!r}: copy the whole folder again.")
    if extra := sorted(set(state) - set(expected)):
        raise UserError(f"Checkpoint {folder} has weights {extra[0]!r} that its network lacks: update eyehand.")
    for name, tensor in state.items():
        shape = tuple(expected[name].shape)
        if tuple(tensor.shape) != shape:
            raise UserError(
                f"The weights {name!r} of checkpoint {folder} have the shape {tuple(tensor.shape)} where its {_JSON} "
                f"asks for {shape}: copy the whole folder again."
            )
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"The weights {name!r} of checkpoint {folder} are not finite: train it again.")
    policy.load_state_dict(dict(state))


_TYPES: dict[str, tuple[type, ...]] = {
    "format_version": (int,),
    "eyehand_version": (str,),
    "resize_version": (int,),
    "fps": (int, float),
    "mouse_sampling": (str,),
    "temperature": (int, float),
    "weights_sha256": (str,),
    "policy": (dict,),
    "facts": (dict,),
}


def _read_json(path: Path) -> dict[str, Any]:
    """The content of checkpoint.json, every value of the right type."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): check the path and its permissions.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: copy the checkpoint again.") from error
    if not isinstance(content, dict) or type(content.get("format_version")) is not int:
        raise UserError(f"{path} is not a checkpoint's description: give the folder of an eyehand checkpoint.")
    if content["format_version"] > FORMAT_VERSION:
        raise UserError(
            f"{path.parent} was written by a newer eyehand (format {content['format_version']}): "
            f"this one reads up to format {FORMAT_VERSION}, so update eyehand."
        )
    for name, types in _TYPES.items():
        if not isinstance(content.get(name), types):
            raise UserError(f"{path} has no valid {name!r}: copy the checkpoint again.")
    if unknown := sorted(set(content) - set(_TYPES)):
        raise UserError(f"{path} has an unknown entry {unknown[0]!r}: remove it or update eyehand.")
    if content["mouse_sampling"] not in get_args(MouseSampling):
        raise UserError(f"{path} names the mouse sampling {content['mouse_sampling']!r}, which does not exist.")
    if content["resize_version"] != RESIZE_VERSION:
        raise UserError(
            f"{path.parent} was trained on pictures of resize version {content['resize_version']}, this eyehand makes "
            f"version {RESIZE_VERSION}: train it again, or use the eyehand {content['eyehand_version']} that wrote it."
        )
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have the bytes on the disk before the rename makes them visible."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
