"""Accuracy of a runtime: KL divergence of its distributions from the trained network's, and agreement of actions.

Both step through the same recorded clips with the true history and the same uniforms. Torch in float32 is the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from eyehand.data.dataset import load_dataset
from eyehand.data.sampler import covering_clips
from eyehand.inference.engine import LiveEngine
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy import Policy
from eyehand.model.text import text_encoder

__all__ = ["Clip", "Quality", "ScoredEngine", "compare", "read_clips"]


@runtime_checkable
class ScoredEngine(LiveEngine, Protocol):
    """A runtime that returns logits under teacher forcing."""

    def score(self, out_BD: Tensor, target_BA: Tensor) -> list[Tensor]:
        """Logits (1, choices) of every slot, were the slots before it drawn as `target_BA`."""


@dataclass(frozen=True)
class Clip:
    """T steps of play: uint8 frames (T, 3, S, S), text embeddings (T, N, text_dim), executed tokens (T, A)."""

    frames_TCHW: Tensor
    text_TND: Tensor
    executed_TA: Tensor


@dataclass(frozen=True)
class Quality:
    """The accuracy of a runtime against the trained network.

    Attributes:
        kl: mean Kullback-Leibler divergence of a slot's distribution, in nats.
        max_kl: the largest of a single slot.
        agreement: share of ticks whose action is the same in every token.
        num_ticks: compared.
    """

    kl: float
    max_kl: float
    agreement: float
    num_ticks: int


def read_clips(folder: Path, policy: Policy, num_clips: int) -> list[Clip]:
    """Clips of a full history, spread evenly over the recordings in a folder.

    Raises:
        UserError: there are none, or one cannot be read.
    """
    dataset = load_dataset([folder], policy.space)
    encoder = text_encoder(policy.config.text_encoder)
    embedded = np.stack([encoder.embed(text) for text in dataset.instructions])
    lengths = [episode.num_steps for episode in dataset.episodes]
    clips = []
    for key in covering_clips(lengths, policy.config.history_steps, num_clips):
        length = min(policy.config.history_steps, lengths[key.episode] - key.start)
        labels = dataset.labels(key.episode, key.start, length)
        frames_THWC = dataset.decode(key.episode, key.start, length)
        clips.append(
            Clip(
                torch.from_numpy(frames_THWC).permute(0, 3, 1, 2),
                torch.from_numpy(embedded[labels.text_T]),
                torch.from_numpy(labels.executed_TA),
            )
        )
    return clips


@torch.no_grad()
def compare(policy: Policy, engine: ScoredEngine, clips: Sequence[Clip], temperature: float = 1.0) -> Quality:
    """Step a runtime and the trained network through the same clips."""
    exact = LivePolicy(policy)
    engines: tuple[LiveEngine, ...] = (exact, engine)
    divergences: list[float] = []
    same: list[bool] = []
    generator = torch.Generator().manual_seed(0)
    for clip in clips:
        states = exact.new_state(), engine.new_state()
        previous_1A = torch.zeros(1, policy.space.num_slots, dtype=torch.long)
        for step in range(len(clip.frames_TCHW)):
            frame_1CHW, text_1ND = clip.frames_TCHW[step : step + 1], clip.text_TND[step : step + 1]
            executed_1A = clip.executed_TA[step : step + 1].long()
            uniforms_1A = torch.rand(1, policy.space.num_slots, generator=generator)
            theirs, ours = (
                live.tick(state, frame_1CHW, live.embed_text(text_1ND), previous_1A, uniforms_1A, temperature)
                for live, state in zip(engines, states, strict=True)
            )
            expected = policy.action_logits(theirs.out_BD, executed_1A)
            truth = [slot_1C for head_1SC in expected for slot_1C in head_1SC.unbind(1)]
            for true_1C, ours_1C in zip(truth, engine.score(ours.out_BD, executed_1A), strict=True):
                divergences.append(_divergence(true_1C, ours_1C))
            same.append(torch.equal(ours.tokens_BA, theirs.tokens_BA))
            previous_1A = executed_1A
    return Quality(float(np.mean(divergences)), float(np.max(divergences)), float(np.mean(same)), len(same))


def _divergence(true_1C: Tensor, ours_1C: Tensor) -> float:
    """KL from the true distribution to ours, in nats."""
    true_log, ours_log = true_1C.double().log_softmax(-1), ours_1C.double().log_softmax(-1)
    return float((true_log.exp() * (true_log - ours_log)).sum())
