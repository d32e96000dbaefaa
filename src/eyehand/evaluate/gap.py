"""The gap between recorded and live pictures for a policy: `measure_gap`, the KL divergence of its outputs in nats.

A policy trains on pictures that went through a codec and plays on pictures that did not. Both kinds of the same
moments go through the policy, with the same history; the Kullback-Leibler divergence between its two outputs is the
effect of the codec on it. Pixels that differ a lot may mean nothing to it, and the other way round. As a yardstick the
same is measured for pictures that come one tick late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyehand.console import Console, Table
from eyehand.errors import UserError
from eyehand.evaluate.clips import PolicyClip, log_probabilities
from eyehand.model.policy import Policy
from eyehand.progress import Progress, no_progress
from eyehand.recording.recompress import Coding, recompress

__all__ = ["Gap", "Quantiles", "Variant", "late_pictures", "measure_gap", "print_gaps", "recompressed"]

Variant = Callable[[PolicyClip], NDArray[np.uint8]]
"""From a clip to other pictures of the same moments, uint8 (T, S, S, 3)."""

Outputs = tuple[NDArray[np.float64], ...]
"""Of one clip: the logarithms of each head's distributions, (T, slots, choices)."""


@dataclass(frozen=True)
class Quantiles:
    """Mean and quantiles of a figure over the frames."""

    mean: float
    sd: float
    p95: float
    max: float

    @staticmethod
    def of(values_N: NDArray[np.float64]) -> Quantiles:
        return Quantiles(*map(float, (values_N.mean(), values_N.std(), np.quantile(values_N, 0.95), values_N.max())))


@dataclass(frozen=True)
class Gap:
    """Differences in a policy's outputs and in pixels between two kinds of pictures of the same frames.

    Attributes:
        name: of the variant.
        num_frames: compared.
        heads: KL in nats of each head, summed over its slots.
        total: KL in nats of the whole action, summed over the heads.
        same: share of the frames whose likeliest token is the same in every slot.
        psnr_db: of the pixels; infinite where they are the same.
        brightness: difference of the mean pixel, of 255.
    """

    name: str
    num_frames: int
    heads: dict[str, Quantiles]
    total: Quantiles
    same: float
    psnr_db: float
    brightness: float


def measure_gap(
    policy: Policy, live: Sequence[PolicyClip], variants: dict[str, Variant], progress: Progress = no_progress
) -> list[Gap]:
    """Compare each variant's pictures with those of the clips, one clip length after the other.

    Args:
        policy: in evaluation mode, on the CPU.
        live: clips with the pictures to compare with.
        variants: other pictures of the same frames, by name.
        progress: see `progress.py`.

    Raises:
        UserError: there is no clip.
    """
    if not live:
        raise UserError("There is no frame to compare: give recordings of at least two frames.")
    progress("comparing", 0, 1 + len(variants))
    outputs = _outputs(policy, live)
    gaps: list[Gap] = []
    for name, variant in variants.items():
        progress("comparing", 1 + len(gaps), 1 + len(variants))
        gaps.append(_gap(policy, name, live, outputs, variant))
    return gaps


def recompressed(coding: Coding) -> Variant:
    """A variant: the pictures of the clip, encoded and decoded once."""
    return lambda clip: recompress(clip.frames_THWC, coding)


def late_pictures(clip: PolicyClip) -> NDArray[np.uint8]:
    """A variant: the pictures of the clip, each one tick late, as on a slow screen."""
    return np.concatenate([clip.frames_THWC[:1], clip.frames_THWC[:-1]])


def _gap(policy: Policy, name: str, live: Sequence[PolicyClip], outputs: Sequence[Outputs], variant: Variant) -> Gap:
    others = [clip.with_frames(variant(clip)) for clip in live]
    divergences, same = [], []
    for truth, ours in zip(outputs, _outputs(policy, others), strict=True):
        divergences.append(
            np.stack([(np.exp(p) * (p - q)).sum(axis=(1, 2)) for p, q in zip(truth, ours, strict=True)], axis=1).clip(
                min=0
            )
        )
        agree = [(p.argmax(-1) == q.argmax(-1)).all(axis=1) for p, q in zip(truth, ours, strict=True)]
        same.append(np.all(agree, axis=0))
    kl_NH = np.concatenate(divergences)
    pairs = [(clip.frames_THWC, other.frames_THWC) for clip, other in zip(live, others, strict=True)]
    return Gap(
        name=name,
        num_frames=len(kl_NH),
        heads={head.name: Quantiles.of(kl_NH[:, index]) for index, head in enumerate(policy.space.heads)},
        total=Quantiles.of(kl_NH.sum(axis=1)),
        same=float(np.concatenate(same).mean()),
        psnr_db=_psnr_db(pairs),
        brightness=float(np.mean([other.mean(dtype=np.float64) - one.mean(dtype=np.float64) for one, other in pairs])),
    )


def _outputs(policy: Policy, clips: Sequence[PolicyClip]) -> list[Outputs]:
    """The policy's outputs for every clip, in order; clips of one length are batched."""
    found: dict[int, Outputs] = {}
    for length in sorted({len(clip.known_T) for clip in clips}):
        places = [place for place, clip in enumerate(clips) if len(clip.known_T) == length]
        logs = log_probabilities(policy, [clips[place] for place in places])
        found.update(
            (place, tuple(head.double().numpy() for head in each)) for place, each in zip(places, logs, strict=True)
        )
    return [found[place] for place in range(len(clips))]


def _psnr_db(pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> float:
    squares = [np.square(one.astype(np.float32) - other).mean(dtype=np.float64) for one, other in pairs]
    error = float(np.mean(squares))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def print_gaps(gaps: Sequence[Gap], title: str, console: Console) -> None:
    """Print a row per variant: KL of each head and of the whole action, agreement of likeliest tokens, and pixels."""
    table = Table(title=title, box=None, padding=(0, 0, 0, 2), pad_edge=False)
    table.add_column("pictures", no_wrap=True)
    for heading in (*gaps[0].heads, "action", "sd", "95%", "same", "dB"):
        table.add_column(heading, justify="right")
    for gap in gaps:
        table.add_row(
            *(gap.name, *(f"{spread.mean:.3f}" for spread in gap.heads.values())),
            *(f"{gap.total.mean:.4f}", f"{gap.total.sd:.3f}", f"{gap.total.p95:.3f}"),
            *(f"{gap.same:.0%}", f"{gap.psnr_db:.0f}"),
        )
    console.print(table)
    console.print(
        f"KL in nats, means of {gaps[0].num_frames} frames; action: all heads together, with standard deviation and "
        "95% quantile; same: frames with the same likeliest action; dB: PSNR of the pixels.",
    )
