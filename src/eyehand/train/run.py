"""`Run`: what a training run begins with, resolved from its options before anything expensive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from eyehand.checkpoint import load_checkpoint
from eyehand.clock import FPS
from eyehand.data.loader import default_workers
from eyehand.errors import UserError
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.presets import preset
from eyehand.model.text import text_encoder
from eyehand.model.vision_weights import read_vision_weights
from eyehand.train.device import choose_device
from eyehand.train.log import LOG_FILE
from eyehand.train.state import STATE_FILE, TrainingState, load_state
from eyehand.train.train_config import CONFIG_FILE, TrainConfig, check_resumable, read_config

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """Device, network and saved state of a run.

    Attributes:
        device: to train on.
        workers: data workers.
        clip_steps: frames of a clip.
        policy_config: of the network.
        initial: the network to start from; None: random weights.
        playing: how its checkpoint is played, which those of the run take over.
        vision: weights of the image trunk; None: those of `initial`, or random ones.
        state: to resume from.
    """

    device: torch.device
    workers: int
    clip_steps: int
    policy_config: PolicyConfig
    initial: Policy | None
    playing: dict[str, Any]
    vision: Mapping[str, Tensor] | None
    state: TrainingState | None

    @staticmethod
    def open(config: TrainConfig) -> Run:
        """Create or reopen the run's folder.

        Raises:
            UserError: see `train`.
        """
        device = choose_device(config.device)
        begun = None if config.init_from is None else load_checkpoint(config.init_from)
        initial = None if begun is None else begun.policy
        policy_config = Run._network(config) if initial is None else initial.config
        vision: Mapping[str, Tensor] | None = None
        if config.trunk is not None:
            trunk = load_checkpoint(config.trunk).policy
            seen = {name: getattr(trunk.config, name) for name in ("vision", "vision_widths", "frame_size")}
            if initial is not None and replace(policy_config, **seen) != policy_config:
                raise UserError(
                    f"The image trunk of {config.trunk} does not fit into {config.init_from}: take its own."
                )
            policy_config, vision = replace(policy_config, **seen), trunk.image_encoder.trunk.state_dict()
        if config.vision_weights is not None and not config.resume:
            vision = read_vision_weights(config.vision_weights)
        state = None
        if config.resume:
            check_resumable(config, read_config(config.out))
            state = load_state(config.out)
        elif any((config.out / name).exists() for name in (CONFIG_FILE, STATE_FILE, LOG_FILE)):
            raise UserError(f"{config.out} already holds a run: go on with --resume, or give another --out.")
        workers = default_workers() if config.workers is None else config.workers
        clip_steps = min(config.clip_steps or policy_config.history_steps, policy_config.history_steps)
        playing = {} if begun is None else {**begun.playing, "fps": FPS}
        return Run(device, workers, clip_steps, policy_config, initial, playing, vision, state)

    @staticmethod
    def _network(config: TrainConfig) -> PolicyConfig:
        """The PolicyConfig of the preset, with the text encoder of the options."""
        network = preset(config.preset)
        if config.vision_weights is not None and network.vision != "p2p":
            raise UserError("--vision-weights are for the p2p vision trunk: leave them out, or choose a p2p preset.")
        if config.text_encoder is None:
            return network
        encoder = text_encoder(config.text_encoder)
        return replace(network, text_encoder=encoder.name, num_text_tokens=encoder.num_tokens, text_dim=encoder.dim)
