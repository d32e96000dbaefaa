"""`eyehand train`: behaviour cloning of recordings."""

from __future__ import annotations

from eyehand.train.train_config import TrainConfig as Options

__all__ = ["Options", "run"]


def run(options: Options) -> int:
    """Train, and say where the policy lies."""
    from eyehand.train.loop import train

    train(options)
    return 0
