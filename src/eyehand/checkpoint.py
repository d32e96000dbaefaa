"""A checkpoint: a folder with all that playing needs, `weights.safetensors` and `checkpoint.json`, nothing executable.

The JSON holds the resolved network configuration (with the name of its ActionSpace, frame size and text encoder), tick
rate, resize version, sampling defaults, and the facts of its training. There is a whole one at every moment: a new
folder appears at once; where one is replaced, the new weights are written beside the old ones, named by their SHA-256;
the rename of the JSON, which holds it too, decides, and then they take the place of the old ones. Everything that does
not fit is an error with one sentence; see docs/checkpoints.md.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from eyehand.action_space import MouseSampling
from eyehand.checkpoint_files import (
    DESCRIPTION,
    FORMAT_VERSION,
    Description,
    ReplacedError,
    StoredTensors,
    checkpoint_name,
    file_sha256,
    read_description,
)
from eyehand.clock import FPS
from eyehand.errors import UserError
from eyehand.frame import RESIZE_VERSION
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.replaced import replaced, sync
from eyehand.version import __version__

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "BUNDLED",
    "Checkpoint",
    "StoredCheckpoint",
    "as_stored",
    "bundled_names",
    "checkpoint_digest",
    "find_checkpoint",
]
__all__ += ["load_checkpoint", "read_checkpoint", "save_checkpoint", "write_checkpoint"]

BUNDLED = Path(__file__).parent / "checkpoints"
"""Folder of the checkpoints that come with the package; each is found by its folder's name."""

_WEIGHTS = "weights.safetensors"
_NEW = ".new-weights-"
"""Before the SHA-256 of weights that have not taken the place of the old ones yet."""
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_STORED_FLOATS = ("F16", "BF16", "F32", "F64")
_STORED_NUMBERS = ("I64", "I32", *_STORED_FLOATS)
StoredDtype = Literal["float16", "bfloat16", "float32"]
_NUM_TRIES = 10
T = TypeVar("T")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: the policy and how to play with it.

    Attributes:
        policy: the network, float32, in evaluation mode, on the CPU.
        name: of its folder.
        fps: ticks per second that it was trained on.
        mouse_sampling, temperature: defaults of the sampling.
        facts: of its training (steps, data, losses, time), as the trainer wrote them.
        eyehand_version: which eyehand wrote it.
    """

    policy: Policy
    name: str
    fps: float = FPS
    mouse_sampling: MouseSampling = "truncated_normal"
    temperature: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    eyehand_version: str = __version__

    @property
    def config(self) -> PolicyConfig:
        return self.policy.config

    @property
    def playing(self) -> dict[str, Any]:
        """How to play with it, as `save_checkpoint` takes it."""
        return {name: getattr(self, name) for name in ("fps", "mouse_sampling", "temperature")}


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint on disk: its description, and its tensors mapped from the file.

    Attributes:
        folder: where it lies.
        description: of all but its weights.
        config: of the network.
        state: its tensors by name, in the dtypes that they are stored in; each is mapped from the file when it is asked
            for and only while it is used.
    """

    folder: Path
    description: Description
    config: PolicyConfig
    state: Mapping[str, Tensor]


def save_checkpoint(
    folder: Path | str,
    policy: Policy,
    facts: Mapping[str, Any] | None = None,
    *,
    dtype: StoredDtype = "float16",
    fps: float = FPS,
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
        UserError: the folder cannot be written, or holds something else.
    """
    state = as_stored(policy.state_dict(), dtype)
    return write_checkpoint(
        folder, policy.config, state, facts, fps=fps, mouse_sampling=mouse_sampling, temperature=temperature
    )


def write_checkpoint(
    folder: Path | str,
    config: PolicyConfig,
    state: Mapping[str, Tensor],
    facts: Mapping[str, Any] | None = None,
    *,
    fps: float = FPS,
    mouse_sampling: MouseSampling = "truncated_normal",
    temperature: float = 1.0,
) -> Path:
    """Write a checkpoint from tensors, each in the dtype that it has, without a copy of them in memory.

    Args:
        folder: where; its parents are made. A checkpoint of this name is replaced as a whole.
        config: of the network.
        state: contiguous CPU tensors, as `Policy.state_dict()` names them, none sharing memory with another.
        facts, fps, mouse_sampling, temperature: see `Checkpoint`.

    Raises:
        UserError: the folder cannot be written, or holds something else.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    is_there = (folder / DESCRIPTION).is_file()
    with _alone(folder), replaced(folder / DESCRIPTION if is_there else folder, also=(SafetensorError,)) as new:
        made, description = (folder, new) if is_there else (new, new / DESCRIPTION)
        made.mkdir(exist_ok=True)
        _settle(made)
        weights = made / f"{_NEW}{os.getpid()}"
        save_file(dict(state), weights)
        weights.chmod(0o644)  # safetensors makes its file private
        sync(weights)
        sha256 = file_sha256(weights)
        weights.replace(made / f"{_NEW}{sha256}")
        content = Description(
            format_version=FORMAT_VERSION,
            eyehand_version=__version__,
            resize_version=RESIZE_VERSION,
            fps=fps,
            mouse_sampling=mouse_sampling,
            temperature=temperature,
            weights_sha256=sha256,
            policy=config.to_json(),
            facts=dict(facts or {}),
        )
        description.write_text(json.dumps(vars(content), indent=1) + "\n", encoding="utf-8")
    return folder


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process writes a checkpoint here, where folders can be locked; settle it at the end."""
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            with contextlib.suppress(OSError):  # it is not there yet, or on NFS, which locks no folders
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                stack.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # also for processes forked meanwhile
        stack.callback(_settle, folder)
        yield


def _settle(folder: Path) -> None:
    """Give the weights that the description names their name, and remove what a writer that was killed left."""
    with contextlib.suppress(OSError, UserError):  # Windows refuses it while somebody reads the old ones: the next time
        new = folder / f"{_NEW}{read_description(folder / DESCRIPTION).weights_sha256}"
        for leftover in set(folder.glob(f"{_NEW}*")) - {new}:
            leftover.unlink()
        if new.is_file():
            os.replace(new, folder / _WEIGHTS)


def _check_replaceable(folder: Path) -> None:
    """Only a checkpoint, or an empty folder, may be replaced."""
    is_free = not (folder.exists() or folder.is_symlink())
    if not is_free and not (folder / DESCRIPTION).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} exists and is no checkpoint, so it is left alone: choose another folder.")


def load_checkpoint(name: Path | str) -> Checkpoint:
    """Read a checkpoint and build its network.

    Args:
        name: a folder, or the name of a bundled checkpoint.

    Raises:
        UserError: it is missing, damaged, from a newer eyehand, or for another resize.
    """
    return _while_replaced(lambda: _load(_read(name)))


def _load(stored: StoredCheckpoint) -> Checkpoint:
    policy = _without_weights(stored.config)
    _fill(policy, stored.state, stored.folder)
    return Checkpoint(
        policy=policy.eval(),
        name=checkpoint_name(stored.folder),
        fps=stored.description.fps,
        mouse_sampling=stored.description.mouse_sampling,
        temperature=stored.description.temperature,
        facts=stored.description.facts,
        eyehand_version=stored.description.eyehand_version,
    )


def read_checkpoint(name: Path | str) -> StoredCheckpoint:
    """Read a checkpoint's files without building its network; arguments and errors as of `load_checkpoint`."""
    return _while_replaced(lambda: _read(name))


def _while_replaced(read: Callable[[], T]) -> T:
    """The result of `read`, repeated when a training run, for example, replaces the checkpoint meanwhile."""
    for _ in range(_NUM_TRIES - 1):
        with contextlib.suppress(ReplacedError):
            return read()
    return read()


def _read(name: Path | str) -> StoredCheckpoint:
    folder = find_checkpoint(name)
    content = read_description(folder / DESCRIPTION)
    config = PolicyConfig.from_json(content.policy)
    sha256 = content.weights_sha256
    new = folder / f"{_NEW}{sha256}"
    weights = new if new.is_file() else folder / _WEIGHTS
    if not weights.is_file():
        raise UserError(f"Checkpoint {folder} has no {_WEIGHTS}: copy the whole folder again.")
    try:
        state = StoredTensors(weights)
        _check_header(config, state.header, folder)  # before anything of its size is read or made
        state.check(sha256)
    except UserError as error:
        is_same = read_description(folder / DESCRIPTION).weights_sha256 == sha256 and weights.is_file()
        raise error if is_same else ReplacedError(str(error)) from error
    return StoredCheckpoint(folder, content, config, state)


def _without_weights(config: PolicyConfig) -> Policy:
    with torch.device("meta"):  # shapes only: no memory, and no random weights that would be thrown away
        return Policy(config)


def _check_header(config: PolicyConfig, header: Mapping[str, tuple[tuple[int, ...], str]], folder: Path) -> None:
    """Compare what the weights' file says that it holds, shape and dtype by name, with what the network needs.

    Raises:
        UserError: they do not fit, naming the first.
    """
    if config.num_layers + config.decoder_layers > len(header):
        raise UserError(f"Checkpoint {folder} has too few weights for its {DESCRIPTION}: copy the whole folder again.")
    expected = _without_weights(config).state_dict()
    if missing := sorted(set(expected) - set(header)):
        raise UserError(f"Checkpoint {folder} lacks the weights {missing[0]!r}: copy the whole folder again.")
    if extra := sorted(set(header) - set(expected)):
        raise UserError(f"Checkpoint {folder} has weights {extra[0]!r} that its network lacks: update eyehand.")
    for name, place in expected.items():
        shape, dtype = header[name]
        if shape != tuple(place.shape):
            raise UserError(
                f"The weights {name!r} of checkpoint {folder} have the shape {shape} where its {DESCRIPTION} asks for "
                f"{tuple(place.shape)}: copy the whole folder again."
            )
        if dtype not in (_STORED_FLOATS if place.is_floating_point() else _STORED_NUMBERS):
            raise UserError(f"The weights {name!r} of checkpoint {folder} are stored as {dtype}: train it again.")


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 of checkpoint.json, which holds that of the weights: it identifies the checkpoint."""
    return file_sha256(folder / DESCRIPTION)


def bundled_names() -> list[str]:
    """Names of the checkpoints that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{DESCRIPTION}"))


def find_checkpoint(name: Path | str) -> Path:
    """The folder of a checkpoint: the one given, the bundled one of this name, or the newest of a training run.

    Raises:
        UserError: there is none.
    """
    folder = Path(name)
    if (folder / DESCRIPTION).is_file():
        return folder
    if str(name) in bundled_names():
        return BUNDLED / str(name)
    if (folder / "policy" / DESCRIPTION).is_file():
        return folder / "policy"
    if folder.is_dir():
        raise UserError(f"{folder} has no {DESCRIPTION}, so it is no checkpoint: give the folder that holds this file.")
    choices = f", or one of the bundled {', '.join(bundled_names())}" if bundled_names() else ""
    raise UserError(f"There is no checkpoint {str(name)!r}: give the folder of one{choices}.")


def as_stored(state: Mapping[str, Tensor], dtype: StoredDtype = "float16") -> dict[str, Tensor]:
    """Contiguous CPU copies: float matrices in `dtype` unless they overflow it, everything else as it is."""
    copies = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.is_floating_point() and tensor.ndim >= 2:
            smaller = tensor.to(_DTYPES[dtype])
            tensor = smaller if smaller.isfinite().all() else tensor
        copies[name] = tensor.clone()
    return copies


def _fill(policy: Policy, state: Mapping[str, Tensor], folder: Path) -> None:
    """Give a network without memory (on the meta device) its weights, each read exactly once."""
    weights = {}
    for name, place in policy.state_dict().items():
        tensor = state[name]
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f"The weights {name!r} of checkpoint {folder} are not finite: train it again.")
        weights[name] = tensor.to(place.dtype, copy=True)  # its own memory: the file may change later
    policy.load_state_dict(weights, assign=True)
