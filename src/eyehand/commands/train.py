"""`eyehand train`: behaviour cloning of recordings."""

from __future__ import annotations

from eyehand.train.train_config import TrainConfig as Options

__all__ = ["Options", "run"]


def run(options: Options) -> int:
    """Train, and say where the policy lies. What a signal has ended is saved, and ends with 128 and its number."""
    from eyehand.machine import wait_without_spinning

    wait_without_spinning()
    from eyehand.train.loop import train

    ended_by = train(options).ended_by
    return 0 if ended_by is None else 128 + ended_by
