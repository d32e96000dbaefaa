"""Closed-loop scores: `evaluate` plays many seeded episodes over all cores, or one after the other where a game runs in
real time, and compares the players.

Random, demonstrator and agent play the same seeds of the same games, so that scores are paired. Every episode is kept
with its score and a few measures of behaviour; the figures are made from these alone (`EvaluationReport`), so a file of
episodes is enough to make them again, or to reuse the baselines the next time.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyehand.checkpoint_files import checkpoint_name
from eyehand.errors import UserError, unreadable
from eyehand.evaluate.score_options import EvaluateOptions
from eyehand.evaluate.statistics import Estimate, Normalised, mean_estimate, normalised_scores
from eyehand.foreign import parse_json, read_regular
from eyehand.games.families import runs_alone, task_info
from eyehand.jobs.engine import results_of
from eyehand.jobs.local import LocalEngine
from eyehand.machine import cpu_name, num_cores
from eyehand.player import Player
from eyehand.players.kinds import open_player, player_kind
from eyehand.progress import Progress, no_progress
from eyehand.session import EpisodeEnd, EpisodeStart, Tick
from eyehand.typed import typed

if TYPE_CHECKING:
    from eyehand.players.batched_rollout import RolloutPlayer

__all__ = ["BASELINES", "EpisodeScore", "EvaluationReport", "evaluate", "play_agent", "read_report"]

BASELINES = ("random", "demonstrator")
"""Who an agent is measured against: the floor and the ceiling of the normalised score."""

_EPISODES_PER_JOB = 6
_MOST_BYTES = 256 << 20  # of a result
_WALKING_KEYS = frozenset("wasd")


@dataclass(frozen=True, slots=True)
class EpisodeScore:
    """Score and behaviour of a player in one episode.

    Attributes:
        game, player, seed, instruction: of the episode.
        told: the game whose instruction it was: the same, another one (a swap), or "custom".
        score: at the end of the episode. seconds: its length in game time.
        trigger_pulls: how often the left button went down.
        walking: share of the ticks in which W, A, S or D was held.
        turning: mean of |dx| in pixels per tick.
        facts: the game's further numbers at the end.
    """

    game: str
    player: str
    seed: int
    instruction: str | None
    told: str
    score: float
    seconds: float
    trigger_pulls: int
    walking: float
    turning: float
    facts: dict[str, float]


@dataclass(frozen=True)
class EvaluationReport:
    """All episodes of an evaluation, and the statistics of them.

    Attributes:
        agent: the checkpoint's name; None for baselines only.
        games: in order; score_names: what their scores count.
        episodes: of all players. date: ISO 8601. machine: processor and cores.
        is_interrupted: Ctrl-C ended it; what was played until then is here.
    """

    agent: str | None
    games: tuple[str, ...]
    score_names: dict[str, str]
    episodes: tuple[EpisodeScore, ...]
    date: str = ""
    machine: str = ""
    is_interrupted: bool = False

    @property
    def players(self) -> tuple[str, ...]:
        return (*BASELINES, *([self.agent] if self.agent else []))

    def scores(self, player: str) -> dict[str, list[float]]:
        """Scores of a player by game, without the swapped instructions."""
        found: dict[str, list[float]] = {}
        for episode in self.episodes:
            if episode.player == player and episode.game in self.games and episode.told in (episode.game, "custom"):
                found.setdefault(episode.game, []).append(episode.score)
        return {game: found[game] for game in self.games if game in found}

    def mean(self, player: str, game: str) -> Estimate | None:
        """Mean score with its 95% bootstrap interval; None if this player did not play the game."""
        scores = self.scores(player).get(game)
        return mean_estimate(scores) if scores else None

    def normalised(self) -> Normalised | None:
        """(agent - random) / (demonstrator - random); None without an agent."""
        if self.agent is None:
            return None
        floor, ceiling = (self.scores(player) for player in BASELINES)
        return normalised_scores(self.scores(self.agent), floor, ceiling)

    def swaps(self) -> dict[tuple[str, str], list[EpisodeScore]]:
        """The agent's episodes by (game, game of the instruction), for the swapped games."""
        swapped = {e.game for e in self.episodes if e.player == self.agent and e.told not in (e.game, "custom")}
        found: dict[tuple[str, str], list[EpisodeScore]] = {}
        for episode in self.episodes:
            if episode.player == self.agent and episode.game in swapped:
                found.setdefault((episode.game, episode.told), []).append(episode)
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON values: the figures, then every episode."""
        normalised = self.normalised()
        means = {
            game: {player: asdict(mean) for player in self.players if (mean := self.mean(player, game)) is not None}
            for game in self.games
        }
        figures = {"means": means, "normalised": None if normalised is None else asdict(normalised)}
        return {**asdict(self), "figures": figures, "episodes": [asdict(episode) for episode in self.episodes]}


def read_report(path: Path) -> EvaluationReport:
    """Read what `evaluate` wrote as JSON.

    Raises:
        UserError: no such file, or not one of ours.
    """
    try:
        values = parse_json(read_regular(path, _MOST_BYTES))
        values.pop("figures", None)  # follow from the rest
        return typed(EvaluationReport, values)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, AttributeError, TypeError, UserError) as error:
        raise UserError(f"{path} is no result of `eyehand evaluate` ({error}); make it again.") from error


def evaluate(options: EvaluateOptions, progress: Progress = no_progress) -> EvaluationReport:
    """Play all episodes that the options name and score them.

    Args:
        options: games, players and seeds.
        progress: see `progress.py`.

    Raises:
        UserError: an unknown game, an unusable checkpoint or baselines file, or workers that die.
    """
    from eyehand.games.families import scored_names

    for name in ("episodes", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}.")
    games = scored_names(options.game)
    swapped = _swapped(options)
    if options.checkpoint is not None:
        _check_checkpoint(options.checkpoint)
    known = _known_baselines(options, games)
    jobs = _jobs(options, games, swapped, {(e.player, e.game, e.seed) for e in known})
    total = len(known) + sum(len(job.seeds) for job in jobs)
    episodes, score_names = list(known), dict[str, str]()
    progress("playing episodes", len(episodes), total)
    is_interrupted = False
    try:
        for done in _played(jobs, options.workers or num_cores()):
            episodes += done.episodes
            score_names[done.game] = done.score_name
            progress("playing episodes", len(episodes), total)
    except KeyboardInterrupt:
        if not episodes:
            raise
        is_interrupted = True
    if options.baselines is not None:
        score_names = read_report(options.baselines).score_names | score_names
    order = {player: number for number, player in enumerate((*BASELINES, _agent_name(options)))}
    episodes.sort(key=lambda e: ((*games, *swapped).index(e.game), order[e.player], e.told != e.game, e.seed))
    return EvaluationReport(
        agent=_agent_name(options),
        games=tuple(games),
        score_names=score_names,
        episodes=tuple(episodes),
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=f"{cpu_name()}, {num_cores()} cores",
        is_interrupted=is_interrupted,
    )


def play_agent(
    checkpoint: str,
    games: Sequence[str],
    seeds: Sequence[int],
    workers: int,
    what: str = "playing episodes",
    progress: Progress = no_progress,
) -> list[EpisodeScore]:
    """Let an agent play these seeds of every game, told the game's own instructions; errors as of `evaluate`."""
    label = checkpoint_name(checkpoint)
    jobs = [job for game in games for job in _cut(_Job(game, checkpoint, label, tuple(seeds)))]
    episodes: list[EpisodeScore] = []
    progress(what, 0, len(games) * len(seeds))
    for done in _played(jobs, workers):
        episodes += done.episodes
        progress(what, len(episodes), len(games) * len(seeds))
    return episodes


@dataclass(frozen=True)
class _Job:
    """Episodes of one player in one game, for one worker. `player` is the name that opens it, `label` the one shown."""

    game: str
    player: str
    label: str
    seeds: tuple[int, ...]
    instruction: str | None = None
    told: str | None = None

    def __str__(self) -> str:
        return f"{self.game} played by {self.label}, seeds {self.seeds[0]} to {self.seeds[-1]}"


@dataclass(frozen=True)
class _Done:
    """The scored episodes of a job."""

    game: str
    player: str
    score_name: str
    episodes: tuple[EpisodeScore, ...]


def _played(jobs: Sequence[_Job], workers: int) -> Iterator[_Done]:
    """Play the jobs: those of games that run alone in this process, episode by episode, then the others by workers."""
    for job in (job for job in jobs if runs_alone(job.game)):
        for episode in _play(job, job.seeds, None):
            yield _Done(job.game, job.label, task_info(job.game).score, (episode,))
    others = [job for job in jobs if not runs_alone(job.game)]
    yield from results_of(LocalEngine(workers).run(_play_job, others))


def _agent_name(options: EvaluateOptions) -> str | None:
    """The checkpoint's name, changed if it is that of a baseline."""
    if options.checkpoint is None:
        return None
    name = checkpoint_name(options.checkpoint)
    return f"agent {name}" if name in BASELINES else name


def _check_checkpoint(name: str) -> None:
    """Raise UserError for an unusable checkpoint before the baselines have played for minutes."""
    from eyehand.checkpoint import load_checkpoint

    load_checkpoint(name)


def _swapped(options: EvaluateOptions) -> list[str]:
    if options.swap is None:
        return []
    from eyehand.games.families import game_names

    names = game_names(options.swap)
    if len(names) != 2 or options.checkpoint is None:
        raise UserError("--swap needs --checkpoint and two games with a comma between, e.g. doom/aim,doom/approach.")
    return names


def _known_baselines(options: EvaluateOptions, games: Sequence[str]) -> list[EpisodeScore]:
    """The baselines' episodes in the file of an earlier run that are among those to be played."""
    if options.baselines is None:
        return []
    seeds = range(options.seed, options.seed + options.episodes)
    return [
        episode
        for episode in read_report(options.baselines).episodes
        if episode.player in BASELINES and episode.game in games and episode.seed in seeds
    ]


def _jobs(
    options: EvaluateOptions, games: Sequence[str], swapped: Sequence[str], known: set[tuple[str, str, int]]
) -> list[_Job]:
    """The jobs of all episodes, the slowest player first, so that no long job is left for the end."""
    seeds = range(options.seed, options.seed + options.episodes)
    jobs: list[_Job] = []
    label = _agent_name(options)
    if options.checkpoint is not None and label is not None:
        told = None if options.instruction is None else "custom"
        for game in games:
            jobs += _cut(_Job(game, options.checkpoint, label, tuple(seeds), options.instruction, told))
        for game in swapped:
            # With its own instruction only where the scores do not ask for it anyway.
            tellers = [teller for teller in swapped if teller != game or game not in games or told is not None]
            for teller in tellers:
                jobs += _cut(_Job(game, options.checkpoint, label, tuple(seeds), None, teller))
    for player in reversed(BASELINES):
        for game in games:
            if player_kind(player).can_play(task_info(game)):
                left = tuple(seed for seed in seeds if (player, game, seed) not in known)
                jobs += _cut(_Job(game, player, player, left))
    return jobs


def _cut(job: _Job) -> Iterable[_Job]:
    step = len(job.seeds) if runs_alone(job.game) else _EPISODES_PER_JOB
    for first in range(0, len(job.seeds), max(1, step)):
        seeds = job.seeds[first : first + step]
        yield _Job(job.game, job.player, job.label, seeds, job.instruction, job.told)


def _play_job(job: _Job) -> _Done:
    """Play the episodes of one job; runs in a worker. An agent plays them side by side, in one batch."""
    if not player_kind(job.player).is_checkpoint:
        episodes = list(_play(job, job.seeds, None))
    else:
        from eyehand.players.batched_rollout import rollout_of

        parts = [functools.partial(_play_list, job, (seed,)) for seed in job.seeds]
        episodes = [episode for part in rollout_of(job.player, _EPISODES_PER_JOB).play(parts) for episode in part]
    return _Done(job.game, job.label, task_info(job.game).score, tuple(episodes))


def _play_list(job: _Job, seeds: Sequence[int], batched: RolloutPlayer) -> list[EpisodeScore]:
    return list(_play(job, seeds, batched))


def _play(job: _Job, seeds: Sequence[int], batched: RolloutPlayer | None) -> Iterator[EpisodeScore]:
    """Play the episodes of these seeds one after the other, a baseline by itself, an agent as one player of a batch."""
    from eyehand.games.families import open_scored
    from eyehand.play.scored import scored_episodes

    with contextlib.closing(open_scored(job.game, with_state=player_kind(job.player).needs_state)) as game:
        player: Player = open_player(job.player, game) if batched is None else batched.at(game)
        sayings = _sayings(job)
        with scored_episodes(game, player) as scored:
            for seed in seeds:
                instruction = sayings[seed % len(sayings)]
                observer = _EpisodeObserver()
                end = scored.play(player, seed, [observer], instruction)
                yield observer.episode(job, instruction, end)


def _sayings(job: _Job) -> Sequence[str]:
    """The player's instructions, used in turn by seed."""
    if job.told == "custom":
        return (job.instruction or "",)
    return task_info(job.told or job.game).instructions


class _EpisodeObserver:
    """An observer that measures trigger pulls, walking and turning in one episode."""

    def __init__(self) -> None:
        self._seed = 0
        self._num_ticks = self._num_pulls = self._num_walking = self._turned_px = 0
        self._is_down = False

    def on_start(self, start: EpisodeStart) -> None:
        self._seed = start.seed

    def on_tick(self, tick: Tick) -> None:
        is_down = "0" in tick.executed.buttons
        self._num_ticks += 1
        self._num_pulls += is_down and not self._is_down
        self._num_walking += bool(tick.executed.keys & _WALKING_KEYS)
        self._turned_px += abs(tick.executed.dx)
        self._is_down = is_down

    def on_end(self, end: EpisodeEnd) -> None:
        pass

    def episode(self, job: _Job, instruction: str | None, end: EpisodeEnd) -> EpisodeScore:
        num_ticks = max(1, self._num_ticks)
        return EpisodeScore(
            game=job.game,
            player=job.label,
            seed=self._seed,
            instruction=instruction,
            told=job.told or job.game,
            score=end.outcome.score,
            seconds=end.seconds,
            trigger_pulls=self._num_pulls,
            walking=self._num_walking / num_ticks,
            turning=self._turned_px / num_ticks,
            facts=dict(end.outcome.facts),
        )
