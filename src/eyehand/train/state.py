"""The state of a training run on disk: everything that the next step depends on, replaced atomically.

A file is written beside the old one, flushed to the disk and renamed over it, so that there is a whole one at every
moment. It is read with `weights_only=True`: tensors and plain values, no code. All randomness of a step is drawn from
(seed, step), so no generator's state is in it. Knows nothing about what playable checkpoints look like.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eyehand.errors import UserError
from eyehand.foreign import check_zip
from eyehand.replaced import replaced

__all__ = ["STATE_FILE", "TrainingState", "load_state", "save_state"]

STATE_FILE = "training_state.pt"

_VERSION = 1


@dataclass(frozen=True)
class TrainingState:
    """The state from which a run resumes.

    Attributes:
        step: optimiser steps done; also the number of the next batch.
        elapsed_s: seconds trained so far.
        model, ema, optimizer: state dicts.
        meter: sums of the unfinished log interval.
    """

    step: int
    elapsed_s: float
    model: dict[str, Any]
    ema: dict[str, Any]
    optimizer: dict[str, Any]
    meter: dict[str, Any]


def save_state(run: Path, state: TrainingState) -> None:
    """Write the state of a run, replacing the last one.

    Raises:
        UserError: the disk is full or the folder cannot be written; the last state is untouched.
    """
    advice = "make space, then resume with --resume"
    with replaced(run / STATE_FILE, advice, (RuntimeError,)) as partial, partial.open("wb") as file:
        torch.save({"version": _VERSION, **vars(state)}, file)  # a full disk is a RuntimeError of torch


def load_state(run: Path) -> TrainingState:
    """Read the state of a run, on the CPU.

    Raises:
        UserError: there is none yet, or it is damaged.
    """
    path = run / STATE_FILE
    if not path.is_file():
        raise UserError(
            f"The run in {run} was stopped before its first checkpoint: remove the folder and start it again."
        )
    try:
        check_zip(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
        if values.pop("version") != _VERSION:
            raise UserError(f"{path} was written by another version of eyehand: start a new run in another --out.")
        return TrainingState(**values)
    except UserError:
        raise
    except Exception as error:  # PyTorch and zipfile report damage in a dozen ways
        raise UserError(f"{path} is damaged: start a new run, with --init-from the newest checkpoint.") from error
