"""`Run`: what a training run begins with, resolved from its options before anything expensive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from eyehand.checkpoint import load_checkpoint
from eyehand.clock import FPS
from eyehand.data.loader import default_workers
from eyehand.errors import UserError
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.presets import preset
from eyehand.model.text import text_encoder
from eyehand.train.device import choose_device
from eyehand.train.log import LOG_FILE
from eyehand.train.state import STATE_FILE, TrainingState, load_state
from eyehand.train.train_config import CONFIG_FILE, TrainConfig, check_resumable, read_config
from eyehand.train.trunk import LoadedTrunk, load_trunk

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """Device, network and saved state of a run.

    Attributes:
        config: its options; those of a resumed run with what was chosen when it began.
        device: to train on.
        workers: data workers.
        policy_config: of the network.
        initial: the network to start from; None: random weights.
        playing: how its checkpoint is played, which those of the run take over.
        trunk: where the image trunk begins; None: that of `initial`, or with random weights.
        state: to resume from.
    """

    config: TrainConfig
    device: torch.device
    workers: int
    policy_config: PolicyConfig
    initial: Policy | None
    playing: dict[str, Any]
    trunk: LoadedTrunk | None
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
        trunk = None if config.trunk is None else load_trunk(config.trunk)
        if trunk is not None:
            if initial is not None and trunk.shape != policy_config.trunk_shape:
                raise UserError(
                    f"The image trunk of {config.trunk} does not fit into {config.init_from}: take its own."
                )
            policy_config = replace(policy_config, **trunk.shape)
        state = None
        if config.resume:
            config = check_resumable(config, read_config(config.out))
            state = load_state(config.out)
        elif any((config.out / name).exists() for name in (CONFIG_FILE, STATE_FILE, LOG_FILE)):
            raise UserError(f"{config.out} already holds a run: go on with --resume, or give another --out.")
        workers = default_workers() if config.workers is None else config.workers
        playing = {} if begun is None else {**begun.playing, "fps": FPS}
        return Run(config, device, workers, policy_config, initial, playing, trunk, state)

    @staticmethod
    def _network(config: TrainConfig) -> PolicyConfig:
        """The PolicyConfig of the preset, with the text encoder of the options."""
        network = preset(config.preset)
        if config.text_encoder is None:
            return network
        encoder = text_encoder(config.text_encoder)
        return replace(network, text_encoder=encoder.name, num_text_tokens=encoder.num_tokens, text_dim=encoder.dim)
