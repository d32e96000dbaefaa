"""Recordings made by playing many episodes at once: one process per core, one folder per episode.

    for each game: episodes with seeds seed, seed + 1, ...; `minutes` of play are cut into pieces whose
    seeds begin far apart

The seeds of an episode decide everything in it (start, instruction, noise), so a data set can be made again
from its options; only the names of its folders differ.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from eyehand.checkpoint_files import checkpoint_name
from eyehand.collect.dagger import Dagger
from eyehand.collect.record_options import CollectOptions
from eyehand.collect.self_imitation import SelfImitation
from eyehand.folder_lock import alone_in
from eyehand.jobs.engine import results_of
from eyehand.jobs.local import LocalEngine
from eyehand.player import Player
from eyehand.players.demonstrators.noise_injection import NoiseInjection
from eyehand.players.kinds import open_player, player_kind

if TYPE_CHECKING:
    from eyehand.players.batched_rollout import RolloutPlayer

__all__ = ["EpisodeRecord", "collect"]

_BATCH = 4
"""Games that one process plays side by side when a policy plays."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished episode: the game, its seed, score, ticks and folder."""

    game: str
    seed: int
    score: float
    num_ticks: int
    folder: str


def collect(options: CollectOptions) -> Iterator[EpisodeRecord]:
    """Record, yielding every episode as it is finished.

    Raises:
        UserError: the folder cannot be written, a game or player does not exist, or a worker was killed.
    """
    from eyehand.games.families import runs_alone

    if any(map(runs_alone, options.games)):
        options = replace(options, workers=1)
    jobs = _jobs(options)
    with alone_in(options.out, "record"):
        if options.workers <= 1:
            for job in jobs:
                yield from _run(options, job)
            return
        # Tried once: what a job has recorded stays, and would be recorded again.
        engine = LocalEngine(options.workers, num_tries=1)
        for episodes in results_of(engine.run(functools.partial(_run_all, options), jobs)):
            yield from episodes


@dataclass(frozen=True)
class _Job:
    """A stretch of episodes of one game, so many, or as many as the minutes need.

    Episode number n begins at seed n, or with several tries each at seed n // tries.
    """

    game: str
    first_seed: int
    minutes: float
    episodes: int | None

    def __str__(self) -> str:
        return f"{self.game} from seed {self.first_seed} on"

    def split(self, num: int, apart: int) -> list[_Job]:
        """The same amount in at most `num` jobs.

        Episodes keep their seeds, however many play them. How many episodes some minutes take is not known before: the
        seeds of these jobs begin `apart` from one another.
        """
        if self.episodes is None:
            return [_Job(self.game, self.first_seed + apart * i, self.minutes / num, None) for i in range(num)]
        edges = [self.episodes * i // num for i in range(num + 1)]
        return [
            _Job(self.game, self.first_seed + start, 0.0, end - start) for start, end in pairwise(edges) if start < end
        ]


def _jobs(options: CollectOptions) -> list[_Job]:
    """Cut the work into pieces of about four minutes of play, so that all cores finish at about the same time; into
    more, of a minute at least, where some workers would have none."""
    num = options.workers
    if options.episodes is None:
        num = max(1, round(options.minutes / 4), min(math.ceil(num / len(options.games)), int(options.minutes)))
    first = options.seed * options.tries
    games = [_Job(game, first, options.minutes, options.episodes) for game in options.games]
    return [job for pieces in zip(*(game.split(num, 100_000) for game in games), strict=True) for job in pieces]


def _run_all(options: CollectOptions, job: _Job) -> list[EpisodeRecord]:
    return list(_run(options, job))


def _run(options: CollectOptions, job: _Job) -> Iterator[EpisodeRecord]:
    """Record a job: a policy plays several games side by side, in one batch, unless the game runs alone."""
    from eyehand.games.families import runs_alone

    if not player_kind(options.player).is_checkpoint or runs_alone(job.game):
        yield from _record(options, job, None)
        return

    from eyehand.players.batched_rollout import rollout_of

    def part(job: _Job) -> Callable[[RolloutPlayer], list[EpisodeRecord]]:
        return lambda batched: list(_record(options, job, batched))

    for episodes in rollout_of(options.player, _BATCH).play([part(job) for job in job.split(_BATCH, 10_000)]):
        yield from episodes


def _record(options: CollectOptions, job: _Job, batched: RolloutPlayer | None) -> Iterator[EpisodeRecord]:
    """Record episodes one after the other, played by this player of a batch or by the player of the options."""
    from eyehand.games.families import open_scored
    from eyehand.play.scored import scored_episodes
    from eyehand.recording.recorder import Recorder

    kind = player_kind(options.player)
    with contextlib.ExitStack() as stack:
        game = stack.enter_context(
            contextlib.closing(open_scored(job.game, with_state=options.dagger or kind.needs_state))
        )
        calm: Player = open_player(options.player, game) if batched is None else batched.at(game)
        if options.dagger:
            calm = Dagger(calm, open_player("demonstrator", game), options.learner_share, fps=game.fps)
        episodes = stack.enter_context(scored_episodes(game, calm))
        disturbed = NoiseInjection(calm) if kind.is_expert and not options.dagger else calm
        number, ticks_left = job.first_seed, job.minutes * 60 * game.fps
        while ticks_left > 0 if job.episodes is None else number < job.first_seed + job.episodes:
            seed, attempt = (number, 0) if options.tries == 1 else divmod(number, options.tries)
            recorder = Recorder(options.out, user=checkpoint_name(options.player), take_events=episodes.take_events)
            rng = np.random.default_rng([seed, 0x434F4C4C])
            instruction = str(rng.choice(game.task.instructions)) if rng.random() < options.instructed else None
            player = disturbed if rng.random() < options.noise_injection else calm
            if options.learns_itself:
                player = SelfImitation(player, attempt)
            end = episodes.play(player, seed, [recorder], instruction)
            yield EpisodeRecord(job.game, seed, end.outcome.score, end.num_ticks, str(recorder.recordings[-1]))
            ticks_left -= end.num_ticks
            number += 1
