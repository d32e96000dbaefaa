"""`eyehand checkpoint`: what a checkpoint holds, and checkpoints of the reference in and out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eyehand.terminal import output


@dataclass(frozen=True)
class Info:
    """Show what a checkpoint holds.

    Attributes:
        checkpoint: a bundled checkpoint's name or a folder.
    """

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")] = "pocket-doom"


@dataclass(frozen=True)
class Import:
    """Turn a .ckpt file of Open P2P into a checkpoint.

    Attributes:
        file: the .ckpt file.
        out: folder to write; a checkpoint that lies there is replaced, anything else is left alone.
        config: the model_config.yaml that belongs to it. Default: the one beside the file.
        history_steps: steps that it remembers; only where there is no model_config.yaml.
        q_heads: query heads of a layer; only where there is no model_config.yaml.
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    config: Path | None = None
    history_steps: int | None = None
    q_heads: int | None = None


@dataclass(frozen=True)
class Export:
    """Write a checkpoint as a file that the original of another project loads.

    Attributes:
        checkpoint: a folder.
        out: the .ckpt file to write; model_config.yaml is put beside it. Default: in a folder NAME-p2p beside the
            checkpoint.
        to: which project's format. p2p: Open P2P.
    """

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    out: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FILE]")] = None
    to: Literal["p2p"] = "p2p"


@dataclass(frozen=True)
class Verify:
    """Compare a checkpoint's numbers with those of the original's code; ends with 1 if they differ.

    Attributes:
        checkpoint: a folder.
        reference: a .npz file of inputs and of what the original computed from them.
    """

    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    reference: Path


@dataclass(frozen=True)
class Options:
    """Options of `eyehand checkpoint`.

    Attributes:
        action: what to do.
    """

    action: Info | Import | Export | Verify


def run(options: Options) -> int:
    """Do it. Ends with 1 if `verify` finds a difference."""
    match options.action:
        case Info(checkpoint):
            _info(checkpoint)
        case Import():
            _import(options.action)
        case Export(checkpoint, file):
            from eyehand.reference.convert import export_reference

            output(f"wrote {export_reference(checkpoint, file)} and model_config.yaml beside it")
        case Verify(checkpoint, reference):
            return _verify(checkpoint, reference)
    return 0


def _info(name: str) -> None:
    """Print sizes, vocabulary and training facts."""
    from eyehand.checkpoint import load_checkpoint
    from eyehand.console import Console
    from eyehand.train.train_config import TrainConfig

    checkpoint = load_checkpoint(name)
    console = Console(soft_wrap=True)
    console.print(checkpoint.name, style="bold", end="  ")
    console.print(f"{checkpoint.policy.num_parameters:,} parameters, {checkpoint.fps:g} Hz")
    config = checkpoint.config
    seconds = config.history_steps / checkpoint.fps
    console.print(f"sees {config.frame_size}x{config.frame_size}, remembers {seconds:g} s, {config.text_encoder} text")
    console.print(f"acts in the {config.action_space} vocabulary, mouse {checkpoint.mouse_sampling}")
    for fact, value in checkpoint.facts.items():
        if fact == "config" and isinstance(value, dict):
            usual = TrainConfig(data=(Path(),), out=Path()).to_json()
            value = {name: each for name, each in value.items() if each != usual.get(name)}
        console.print(f"{fact.replace('_', ' ')}: {_said(value)}")


def _said(value: object) -> str:
    """A fact in words: what is nested with commas between, without what is not set."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list | tuple):
        return " ".join(map(_said, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _import(options: Import) -> None:
    """Import, and print which entries of the file were used and which were not."""
    from eyehand.reference.convert import import_reference

    imported = import_reference(
        options.file,
        options.out,
        options.config,
        history_steps=options.history_steps,
        num_q_heads=options.q_heads,
    )
    config = imported.config
    policy = config.policy
    output(f"wrote {imported.folder}: {imported.num_used} tensors, each used once, in their own dtypes")
    output(
        f"{policy.num_layers} layers x {policy.width}, {policy.num_q_heads} heads, {policy.history_steps} steps of "
        f"history, {policy.num_step_tokens} tokens a step"
    )
    output(f"ignored: bc_transformer.image_tokenizer.* ({imported.num_repeated} tensors that repeat image_tokenizer.*)")
    for name in imported.ignored:
        output(f"ignored: {name}")
    if config.top_p is not None and config.top_p < 1:
        output(f"the original samples with top-p {config.top_p:g}, which a checkpoint does not carry")


def _verify(name: str, reference: Path) -> int:
    """Print the largest differences; 0 if there is none that counts, else 1."""
    from eyehand.checkpoint import load_checkpoint
    from eyehand.reference.outputs import TOLERANCE, differences, read_reference_outputs

    policy = load_checkpoint(name).policy
    found = differences(policy, read_reference_outputs(reference, policy.config))
    output(f"image tokens          largest difference {found.image:.2e}")
    for head, difference in found.logits.items():
        output(f"logits {head:<14} largest difference {difference:.2e}")
    output(f"live actions          {found.num_differing} of {found.num_actions} differ")
    output(f"{'exact' if found.is_exact else 'NOT exact'} (tolerance {TOLERANCE:g}, no action may differ)")
    return 0 if found.is_exact else 1
