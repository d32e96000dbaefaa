"""Checkpoints of the reference, Open P2P, turned into ours and back.

`import_reference` keeps every tensor's dtype and maps the file, so that it needs no second copy of the weights in
memory; `export_reference` writes a `.ckpt` that the reference loads, with `model_config.yaml` beside it. Both write
whole files or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eyehand.checkpoint import read_checkpoint, write_checkpoint
from eyehand.errors import UserError
from eyehand.reference.model_config import (
    CONFIG_NAME,
    ReferenceConfig,
    config_from_shapes,
    config_text,
    read_reference_config,
)
from eyehand.reference.weights import policy_state_of, read_reference, reference_state_of
from eyehand.replaced import replaced

__all__ = ["Imported", "export_reference", "import_reference"]

_LIGHTNING_VERSION = "2.5.5"
"""Lightning migrates files of older versions than its own, so a file has to say which one's it is."""


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    Attributes:
        folder: the checkpoint written.
        config: from its model_config.yaml, or derived from the tensors.
        num_used: tensors of the file that are weights.
        num_repeated: tensors that only repeat another one (checked).
        ignored: entries of the file beside its weights: optimizer state and the like.
    """

    folder: Path
    config: ReferenceConfig
    num_used: int
    num_repeated: int
    ignored: tuple[str, ...]


def import_reference(
    source: Path,
    out: Path,
    config: Path | None = None,
    *,
    history_steps: int | None = None,
    num_q_heads: int | None = None,
) -> Imported:
    """Turn a `.ckpt` of the reference into a checkpoint.

    Args:
        source: the `.ckpt` file.
        out: folder to write; an older checkpoint there is replaced.
        config: its model_config.yaml. Default: the one beside the file; without any, it is derived from the shapes.
        history_steps, num_q_heads: not in the shapes; only without a model_config.yaml.

    Raises:
        UserError: a file that is missing, damaged, no Open P2P checkpoint, or does not fit its configuration.
    """
    content = read_reference(source)
    state = content["state_dict"]
    beside = source.with_name(CONFIG_NAME)
    if config is None and beside.is_file():
        config = beside
    if config is None:
        read = ReferenceConfig(config_from_shapes(state, source, history_steps, num_q_heads), "truncated_normal", 1.0)
    elif history_steps is not None or num_q_heads is not None:
        raise UserError(f"--history-steps and --q-heads are for a checkpoint without {CONFIG_NAME}: leave them out.")
    else:
        read = read_reference_config(config)
    own = _separate(policy_state_of(state, read.policy, str(source)))
    facts = {"imported_from": source.name, "step": _step(content)}
    folder = write_checkpoint(
        out, read.policy, own, facts, mouse_sampling=read.mouse_sampling, temperature=read.temperature
    )
    ignored = tuple(str(name) for name in content if name != "state_dict")
    return Imported(folder, read, len(own), len(state) - len(own), ignored)


def export_reference(name: Path | str, out: Path | None = None) -> Path:
    """Write a checkpoint as a `.ckpt` of the reference, with a `model_config.yaml` beside it.

    Matrices that training stored as float16 become float32; what the reference keeps in bfloat16 is rounded to it.

    Args:
        name: a checkpoint's folder.
        out: the file. Default: `checkpoint-step=N.ckpt` in a folder `NAME-p2p` beside the checkpoint.

    Returns:
        The file written.

    Raises:
        UserError: the reference has no such network, or there is a file already.
    """
    stored = read_checkpoint(name)
    text = config_text(stored.config, stored.description.mouse_sampling, stored.description.temperature)
    step = _step({"global_step": stored.description.facts.get("step")})
    if out is None:
        folder = stored.folder.resolve()
        out = folder.with_name(f"{folder.name}-p2p") / f"checkpoint-step={step:08d}.ckpt"
    beside = out.with_name(CONFIG_NAME)
    if out.suffix != ".ckpt":
        raise UserError(f"{out} is not the name of a .ckpt file: give one, such as {out / 'policy.ckpt'}.")
    for path in (out, beside):
        if path.exists():
            raise UserError(f"{path} exists and is left alone: give the name of a file in another folder.")
    content = {
        "epoch": 0,
        "global_step": step,
        "pytorch-lightning_version": _LIGHTNING_VERSION,
        "state_dict": reference_state_of(stored.state, stored.config),
        "loops": {},
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
    }
    with replaced(out, also=(RuntimeError,)) as partial:  # torch reports a full disk as RuntimeError
        torch.save(content, partial)
        with replaced(beside) as partial_text:  # first: a .ckpt of this name is always whole and has its configuration
            partial_text.write_text(text, encoding="utf-8")
    return out


def _separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors of which no two share memory. Those of a Lightning file are, so nothing is copied then."""
    separate: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in state.items():
        tensor = tensor.contiguous()
        place = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return separate


def _step(content: Mapping[str, Any]) -> int:
    """The number of training steps, if it is one."""
    step = content.get("global_step")
    return step if type(step) is int and 0 <= step < 10**12 else 0
