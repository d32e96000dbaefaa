"""`eyehand checkpoint`: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Options:
    """Options of `eyehand checkpoint`.

    Attributes:
        checkpoint: a bundled checkpoint's name or a folder.
    """

    checkpoint: Annotated[str, tyro.conf.Positional] = "pocket-doom"


def run(options: Options) -> int:
    """Print sizes, vocabulary and training facts."""
    from rich.console import Console

    from eyehand.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(options.checkpoint)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{checkpoint.name}[/]  {checkpoint.policy.num_parameters:,} parameters, {checkpoint.fps:g} Hz")
    config = checkpoint.config
    seconds = config.history_steps / checkpoint.fps
    console.print(f"sees {config.frame_size}x{config.frame_size}, remembers {seconds:g} s, {config.text_encoder} text")
    console.print(f"acts in the {config.action_space} vocabulary, mouse {checkpoint.mouse_sampling}")
    for name, value in checkpoint.facts.items():
        console.print(f"{name}: {value}")
    return 0
