"""The order of training clips: an endless stream that is a pure function of (seed, position).

A clip is `clip_steps` consecutive steps of one recording. Each epoch draws new clip starts (so that no frame always
has the same place in a clip) and a new order. Nothing is stored between draws, so a run resumes in the middle of an
epoch from one number, and the order does not depend on how many workers decode. Knows nothing about files or frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError

__all__ = ["ClipKey", "ClipSampler", "covering_clips", "weigh_tasks"]

MAX_EMPTINESS = 3.0
"""Clips with less than a third of their places filled are not taken oftener still: padding costs time too."""


@dataclass(frozen=True, slots=True)
class ClipKey:
    """One clip: the index of its episode in the data set, and its first step. Short episodes start at 0."""

    episode: int
    start: int


class ClipSampler:
    """An endless shuffled stream of clips.

    A task with F steps gets a share of the frames proportional to F ** `task_balance`: 1 takes every frame equally
    often, 0 every task. A task of very short episodes gets less, for its clips are mostly padding (MAX_EMPTINESS).
    Within a task the starts are stratified over all its frames, one random start in each of equally long stretches,
    so that an epoch covers the task evenly and another epoch covers it differently.
    """

    def __init__(
        self,
        num_steps: Sequence[int],
        tasks: Sequence[str],
        clip_steps: int,
        *,
        seed: int,
        task_balance: float = 0.5,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Args:
        num_steps, tasks: the length in steps and the task of every episode.
        clip_steps: length of a clip.
        seed: of starts and order.
        task_balance: see above.
        weights: factors above 0 on the shares of tasks; a task that is not named has 1.
        """
        if not num_steps or min(num_steps) < 1:
            raise ValueError("a sampler needs episodes of at least one step")
        self.clip_steps = clip_steps
        self.seed = seed
        self._num_steps = np.asarray(num_steps, dtype=np.int64)
        members: dict[str, list[int]] = {}
        for episode, task in enumerate(tasks):
            members.setdefault(task, []).append(episode)
        names = sorted(members)
        self._episodes_of = [np.array(members[name]) for name in names]
        steps = np.array([episode_steps.sum() for episode_steps in self._steps_of_tasks()], dtype=np.float64)
        shares = steps**task_balance * self._emptiness() * [(weights or {}).get(name, 1.0) for name in names]
        shares /= shares.sum()
        total = max(len(names), round(steps.sum() / clip_steps))
        self._clips_of = np.maximum(1, np.round(shares * total)).astype(np.int64)
        self._epoch = -1
        self._order_C2: NDArray[np.int64] = np.empty((0, 2), np.int64)

    def _emptiness(self) -> NDArray[np.float64]:
        """For each task, the number of its clips that hold as many frames as one full clip, at most MAX_EMPTINESS."""
        filled = np.array(
            [np.average(np.minimum(steps, self.clip_steps), weights=steps) for steps in self._steps_of_tasks()]
        )
        emptiness: NDArray[np.float64] = np.minimum(self.clip_steps / filled, MAX_EMPTINESS)
        return emptiness

    def _steps_of_tasks(self) -> list[NDArray[np.int64]]:
        return [self._num_steps[episodes] for episodes in self._episodes_of]

    @property
    def clips_per_epoch(self) -> int:
        return int(self._clips_of.sum())

    def clip(self, position: int) -> ClipKey:
        """The clip at this place of the stream, counted from 0 over all epochs."""
        epoch, offset = divmod(position, self.clips_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order_C2 = epoch, self._draw(epoch)
        episode, start = self._order_C2[offset].tolist()
        return ClipKey(episode, start)

    def batches(
        self, batch_size: int, first_batch: int = 0, *, rank: int = 0, world_size: int = 1
    ) -> Iterator[list[ClipKey]]:
        """Batches of clips without end, from batch number `first_batch` on.

        Of `world_size` processes each gets an equal share: together, batch k of all of them is one stretch of the
        stream, the one that a single process would get as batch k of `world_size` times the size.
        """
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not one of {world_size}")
        position = (first_batch * world_size + rank) * batch_size
        while True:
            yield [self.clip(position + row) for row in range(batch_size)]
            position += batch_size * world_size

    def _draw(self, epoch: int) -> NDArray[np.int64]:
        """The clips of an epoch, (clips, 2): episode and first step. 16 bytes a clip, whatever the recordings hold."""
        rng = np.random.default_rng((self.seed, epoch))
        keys: list[NDArray[np.int64]] = []
        for episodes, num_clips in zip(self._episodes_of, self._clips_of, strict=True):
            ends = np.cumsum(self._num_steps[episodes])
            places = ((np.arange(num_clips) + rng.random(num_clips)) * (ends[-1] / num_clips)).astype(np.int64)
            picked = np.searchsorted(ends, places, side="right")
            first = places - (ends[picked] - self._num_steps[episodes[picked]])
            keys.append(self._keys(episodes[picked], first))
        clips_C2 = np.concatenate(keys)
        order_C2: NDArray[np.int64] = clips_C2[rng.permutation(len(clips_C2))]
        return order_C2

    def _keys(self, episodes: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Clips centred on the given steps, moved inside their episode: both ends are seen as often as the middle."""
        last = np.maximum(self._num_steps[episodes] - self.clip_steps, 0)
        return np.stack([episodes, np.clip(places - self.clip_steps // 2, 0, last)], axis=1)


def covering_clips(num_steps: Sequence[int], clip_steps: int, limit: int) -> list[ClipKey]:
    """Clips that lie side by side over all episodes, thinned evenly to at most `limit`: for evaluation."""
    keys = [ClipKey(episode, start) for episode, steps in enumerate(num_steps) for start in range(0, steps, clip_steps)]
    if len(keys) <= limit:
        return keys
    return [keys[round(i * (len(keys) - 1) / max(limit - 1, 1))] for i in range(limit)]


def weigh_tasks(game_weights: Mapping[str, float], tasks: Sequence[str]) -> dict[str, float]:
    """The weight of every task, from weights of games (`doom`) and of single tasks (`doom/aim`, which go before).

    Raises:
        UserError: a name that none of the tasks has.
    """
    for name in game_weights:
        if not any(name in (task, task.partition("/")[0]) for task in tasks):
            raise UserError(f"There is no game {name!r} to weigh: the data are of {', '.join(sorted(set(tasks)))}.")
    return {task: game_weights.get(task, game_weights.get(task.partition("/")[0], 1.0)) for task in tasks}
