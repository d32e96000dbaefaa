"""Held-out evaluation: cross-entropy of the policy on recordings that it was not trained on.

Teacher-forced, with the true action history, beside two baselines that see no picture: `marginal` predicts token
frequencies, `copy_last` repeats the last executed action. A policy that does not clearly beat `copy_last` has learnt to
repeat itself. None of these figures measures how well the policy plays; only play does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyehand.action import NOTHING
from eyehand.action_space import ActionSpace, Head
from eyehand.data.dataset import Dataset
from eyehand.data.loader import Batch, ClipLoader
from eyehand.data.sampler import ClipKey, covering_clips
from eyehand.model.policy import Policy
from eyehand.progress import Progress, no_progress
from eyehand.train.losses import behaviour_cloning_loss
from eyehand.train.prefetcher import to_device

__all__ = ["HeldOut", "Scores", "begin_at_frequencies", "copy_last_scores", "marginal_scores"]

_COUNTED_STEPS = 100_000
"""About so many steps are counted for a baseline: more would not change a frequency, and training waits for it."""

_NEVER = 1e-9
"""Probability of what the data do not have."""

_SHOWN_CLIPS = 3

_SMALL_STD = 0.02
"""Of output weights that begin beside the frequencies."""


@dataclass(frozen=True)
class Scores:
    """Mean cross-entropy in nats of each head, and the sum over heads divided by ln(choices)."""

    cross_entropy: dict[str, float]
    loss: float

    @property
    def perplexity(self) -> dict[str, float]:
        return {name: math.exp(min(value, 50.0)) for name, value in self.cross_entropy.items()}

    @staticmethod
    def of(cross_entropy_H: Sequence[float], heads: Sequence[Head]) -> Scores:
        loss = sum(value / math.log(head.num_choices) for value, head in zip(cross_entropy_H, heads, strict=True))
        return Scores({h.name: float(v) for h, v in zip(heads, cross_entropy_H, strict=True)}, float(loss))


class HeldOut:
    """The held-out clips, decoded when first needed and then kept in memory, or decoded anew for every evaluation.

    Attributes:
        keys: the clips.
        covered: the episodes that they are from; of no other episode anything is read.
        dataset: all of them.
        predicted: by their numbers, for some clips, the most probable tokens at the last evaluation, int64 (steps, A).
    """

    def __init__(
        self, dataset: Dataset, clip_steps: int, batch_size: int, num_clips: int, *, is_kept: bool = True
    ) -> None:
        """At most `num_clips` clips spread evenly over the data set's episodes."""
        lengths = [episode.num_steps for episode in dataset.episodes]
        self.dataset = dataset
        self._clip_steps = clip_steps
        self._batch_size = batch_size
        self._is_kept = is_kept
        self.keys: list[ClipKey] = covering_clips(lengths, clip_steps, num_clips) if lengths else []
        if dataset.features is not None:
            self.dataset = dataset = replace(dataset, features=replace(dataset.features, is_plain=True))
        numbers = sorted({key.episode for key in self.keys})
        self.covered: Dataset = replace(dataset, episodes=tuple(dataset.episodes[number] for number in numbers))
        self.predicted: dict[int, NDArray[np.int64]] = {}
        shown = np.linspace(0, len(self.keys) - 1, _SHOWN_CLIPS).round().astype(int) if self.keys else ()
        self._shown = {int(number) for number in shown}
        self._batches: list[Batch] = []

    def evaluate(
        self,
        policy: Policy,
        text_table_MND: Tensor,
        autocast: torch.autocast,
        progress: Progress = no_progress,
    ) -> Scores:
        """Scores of a policy, which is left in evaluation mode."""
        heads = policy.space.heads
        device = text_table_MND.device
        policy.eval()
        sums_H = torch.zeros(len(heads), device=device)
        num_steps = torch.zeros((), device=device)
        progress("held-out clips", 0, len(self.keys))
        with torch.no_grad(), autocast:
            for number, decoded in enumerate(self._decoded(), start=1):
                batch = to_device(decoded, text_table_MND, device)
                inputs = (batch.frames, batch.text_BTND, batch.executed_BTA, batch.target_BTA, batch.valid_BT)
                logits = policy(*inputs)
                losses = behaviour_cloning_loss(logits, batch.target_BTA, batch.learn_BT, heads)
                self._keep_predictions((number - 1) * self._batch_size, logits, decoded)
                sums_H += losses.cross_entropy_H * losses.num_steps
                num_steps += losses.num_steps
                progress("held-out clips", min(number * self._batch_size, len(self.keys)), len(self.keys))
        return Scores.of((sums_H / num_steps.clamp(min=1)).tolist(), heads)

    def _keep_predictions(self, first: int, logits: Sequence[Tensor], batch: Batch) -> None:
        for row, num_steps in enumerate(batch.valid_BT.sum(axis=1).tolist()):
            if first + row in self._shown:
                tokens = [head_BTSC[row, :num_steps].argmax(-1) for head_BTSC in logits]
                self.predicted[first + row] = torch.cat(tokens, dim=1).cpu().numpy()

    def rows(self) -> NDArray[np.int64]:
        """Rows of the data set's arrays that the clips cover and whose target is known."""
        covered = []
        for key in self.keys:
            episode = self.dataset.episodes[key.episode]
            first = episode.first_step + key.start
            last = min(first + self._clip_steps, episode.first_step + episode.num_steps)
            covered.append(np.arange(first, last))
        rows = np.concatenate(covered) if covered else np.empty(0, np.int64)
        counted: NDArray[np.int64] = rows[self.covered.loaded().learn_N[rows]]
        return counted

    def _decoded(self) -> Iterator[Batch]:
        if self._batches or not self.keys:
            yield from self._batches
            return
        size = min(self._batch_size, len(self.keys))
        groups = [self.keys[first : first + size] for first in range(0, len(self.keys), size)]
        num_slots = len(groups) + 3 if self._is_kept else 4
        with ClipLoader(self.dataset, batch_size=size, clip_steps=self._clip_steps, num_slots=num_slots) as loader:
            if not self._is_kept:
                yield from loader.batches(iter(groups))
                return
            self._batches = list(loader.batches(iter(groups)))
        yield from self._batches


def marginal_scores(train: Dataset, held_out: Dataset, rows: NDArray[np.int64]) -> Scores:
    """Scores on these rows of `held_out` of each token's frequency in its slot in the training data."""
    space = train.space
    tables = _marginals(_counted(train))
    target_NA = held_out.loaded().target_NA[rows]
    probabilities_NA = np.stack([tables[a][target_NA[:, a]] for a in range(space.num_slots)], axis=1)
    return _scores(probabilities_NA, space)


def copy_last_scores(train: Dataset, held_out: Dataset, rows: NDArray[np.int64]) -> Scores:
    """Scores of repeating the last executed action, with the training data's rate of changes spread as the marginal."""
    space = train.space
    train = _counted(train)
    tables = _marginals(train)
    train_rows = train.steps()[train.loaded().learn_N[train.steps()]]
    stays_A = (_previous(train, train_rows) == train.loaded().target_NA[train_rows]).mean(axis=0)
    # Part of the marginal's mass falls on the last token as well; for a baseline that is near enough.
    change_A = np.clip(1 - stays_A, 1e-3, 1.0)
    last_NA = _previous(held_out, rows)
    target_NA = held_out.loaded().target_NA[rows]
    marginal_NA = np.stack([tables[a][target_NA[:, a]] for a in range(space.num_slots)], axis=1)
    return _scores((1 - change_A) * (last_NA == target_NA) + change_A * marginal_NA, space)


@torch.no_grad()
def begin_at_frequencies(policy: Policy, dataset: Dataset) -> None:
    """Let the outputs of an independent decoder begin at the frequencies of the tokens in the data.

    A key that is never held gets a probability that training never raises, so that play never presses it.
    """
    dataset = _counted(dataset)
    rows = dataset.steps()
    target_NA = dataset.loaded().target_NA[rows[dataset.loaded().learn_N[rows]]]
    first = 0
    for index, head in enumerate(policy.space.heads):
        linear, counts = policy.head(index), []
        for slot in range(first, first + head.num_slots):
            counts.append(np.bincount(target_NA[:, slot], minlength=head.num_choices) / max(len(target_NA), 1))
        first += head.num_slots
        linear.weight.normal_(std=_SMALL_STD)
        linear.bias.copy_(torch.from_numpy(np.log(np.maximum(np.concatenate(counts), _NEVER))))


def _counted(train: Dataset) -> Dataset:
    """The episodes for the baselines' statistics: all of a small data set, some of a large one, to read less."""
    return replace(train, episodes=train.episodes[:: 1 + train.num_steps // _COUNTED_STEPS])


def _marginals(train: Dataset) -> list[NDArray[np.float64]]:
    """Per slot, the probability of every token, one added to each count."""
    rows = train.steps()
    target_NA = train.loaded().target_NA[rows[train.loaded().learn_N[rows]]]
    choices = [head.num_choices for head in train.space.heads for _ in range(head.num_slots)]
    counts = [np.bincount(target_NA[:, a], minlength=n) + 1.0 for a, n in enumerate(choices)]
    return [count / count.sum() for count in counts]


def _previous(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
    """Tokens executed one step before each row; the empty action before the first step of an episode."""
    before_NA: NDArray[np.unsignedinteger] = dataset.loaded().executed_NA[np.maximum(rows - 1, 0)]
    first = np.array([episode.first_step for episode in dataset.episodes])
    before_NA[np.isin(rows, first)] = dataset.space.encode(NOTHING)
    return before_NA


def _scores(probabilities_NA: NDArray[np.float64], space: ActionSpace) -> Scores:
    losses_A = -np.log(probabilities_NA).mean(axis=0) if len(probabilities_NA) else np.zeros(space.num_slots)
    starts = np.cumsum([0, *(head.num_slots for head in space.heads)])
    return Scores.of(
        [losses_A[a:b].mean() for a, b in pairwise(starts)],
        space.heads,
    )
