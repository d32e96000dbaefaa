"""`load_trunk`: an image trunk by the name that a person gives: a checkpoint's, or one that others have published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from eyehand.action_space import ActionSpace
from eyehand.checkpoint import as_stored, bundled_names, find_checkpoint, load_checkpoint
from eyehand.errors import UserError
from eyehand.model.presets import preset
from eyehand.model.trunk import TRUNKS, Trunk

__all__ = ["LoadedTrunk", "load_trunk"]


@dataclass(frozen=True)
class LoadedTrunk:
    """An image trunk with its weights.

    Attributes:
        module: in evaluation mode, on the CPU, its weights rounded as a checkpoint stores them: features are the same
            before and after a training.
        shape: the fields of PolicyConfig that shape it.
        space: of the actions of the checkpoint that it comes from, or the usual one.
        source: the name, absolute where it is a folder: for processes that run elsewhere.
    """

    module: Trunk
    shape: Mapping[str, Any]
    space: ActionSpace
    source: str

    @property
    def num_features(self) -> int:
        """Features of a picture."""
        return self.module.num_features(self.shape["frame_size"])


def load_trunk(name: Path | str) -> LoadedTrunk:
    """The trunk of this name.

    Args:
        name: a checkpoint, or KIND or KIND:SOURCE of a kind in TRUNKS whose weights are published.

    Raises:
        UserError: there is none, or a package that it needs is missing.
    """
    kind, _, source = str(name).partition(":")
    if kind in TRUNKS and not Path(name).exists():
        with TRUNKS.blame(kind):
            published = TRUNKS.load(kind).published
            if published is None:
                raise UserError(f"The trunk {kind} has no published weights: give a checkpoint that has one.")
            fields, state = published(source)
            config = replace(preset("pocket"), **fields)
            with torch.device("meta"):
                module = TRUNKS.load(kind).build(config)
            module.load_state_dict(as_stored(state), assign=True)
            return LoadedTrunk(module.float().eval(), config.trunk_shape, config.space, str(name))
    if not Path(name).exists() and str(name) not in bundled_names():
        raise UserError(f"There is no trunk {str(name)!r}: give a checkpoint, or a kind of {', '.join(TRUNKS.names)}.")
    folder = find_checkpoint(name).resolve()
    policy = load_checkpoint(folder).policy
    return LoadedTrunk(policy.image_encoder.trunk, policy.config.trunk_shape, policy.space, str(folder))
