"""`improve`: rounds of play, choice, training and validation, from top to bottom.

    play (each start several times) -> the best of a start, if above its mean -> train, near the policy before
         -> validate on seeds of its own, paired with the policy before -> accept, or go back

Self-imitation (Oh et al., arXiv 1806.05635) in the form of filtered behaviour cloning: it needs nothing but the score
at an episode's end. A run lives in one folder; whoever gives the same command again goes on with the step that was not
finished. Knows nothing about any game.

    OUT/improve.json             the options, and the result of every round
    OUT/round-N/play, dagger     recordings: of `play` only those that are learnt from
    OUT/round-N/train            the training run
    OUT/round-N/episodes.json    scores of all episodes played; validation.json: those of the new policy
    OUT/policy                   the best policy so far
    OUT/report.html              the scores round by round
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eyehand.checkpoint import checkpoint_digest, find_checkpoint, load_checkpoint, save_checkpoint
from eyehand.collect.episodes import EpisodeRecord, collect
from eyehand.collect.record_options import CollectOptions
from eyehand.errors import UserError
from eyehand.evaluate.score import EpisodeScore, play_agent
from eyehand.evaluate.statistics import paired_gain
from eyehand.folder_lock import alone_in
from eyehand.games.families import scored_names, task_info
from eyehand.improve.options import ImproveOptions
from eyehand.improve.report import write_report
from eyehand.improve.round import Round
from eyehand.machine import num_cores
from eyehand.players.kinds import player_kind
from eyehand.progress import shown_progress
from eyehand.replaced import replaced
from eyehand.train.loop import train
from eyehand.train.state import STATE_FILE
from eyehand.train.train_config import TrainConfig
from eyehand.typed import typed

__all__ = ["better_than_the_mean", "improve", "read_rounds"]

STATE = "improve.json"

_PLAY_SEED, _VALIDATION_SEED = 10_000_000, 20_000_000
"""First seeds: away from those of recordings (1,000,000 on) and of evaluations (0 on)."""

_LEFT = {"validation.json", "report.html", "policy"}
"""Of a run that was killed before its file was there."""

_ACCEPTED_FROM = 0.9
"""Least probability, by the bootstrap, that the score has risen."""


def improve(options: ImproveOptions) -> list[Round]:
    """Improve a policy, or go on with a run that was interrupted; returns all rounds, the policy before included.

    Raises:
        UserError: unusable options, games, checkpoint, data or disk.
    """
    with alone_in(options.out, "improve"):
        run = _Run.open(options)
        while len(run.rounds) <= options.rounds:
            run.play_round(len(run.rounds))
        return run.rounds


def better_than_the_mean(episodes: Sequence[EpisodeRecord]) -> list[EpisodeRecord]:
    """Of each game and start the best episode, if it scored above the mean of all from there."""
    starts: dict[tuple[str, int], list[EpisodeRecord]] = defaultdict(list)
    for episode in episodes:
        starts[episode.game, episode.seed].append(episode)
    kept = []
    for tries in starts.values():
        best = max(tries, key=lambda episode: episode.score)
        if best.score > sum(episode.score for episode in tries) / len(tries):
            kept.append(best)
    return kept


def read_rounds(out: Path) -> list[Round]:
    """The rounds of a run so far.

    Raises:
        UserError: there is no run, or its file is damaged.
    """
    return _read(out / STATE)[1]


def _read(path: Path) -> tuple[dict[str, Any], list[Round]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return dict(values["options"]), typed(list[Round], values["rounds"])
    except (OSError, ValueError, LookupError, TypeError, UserError) as error:
        raise UserError(f"{path} is missing or damaged ({error}): give another --out.") from error


class _Run:
    """A run in its folder, and the steps of a round, each of which is done once."""

    def __init__(self, options: ImproveOptions, rounds: list[Round]) -> None:
        self.options, self.rounds = options, rounds
        self.games = tuple(scored_names(options.game))
        self.workers = options.workers or num_cores()
        unlabelled = [game for game in self.games if not player_kind("demonstrator").can_play(task_info(game))]
        if options.dagger and unlabelled:
            raise UserError(f"There is no demonstrator for {', '.join(unlabelled)}: leave out --dagger.")

    @staticmethod
    def open(options: ImproveOptions) -> _Run:
        """Begin a run: the policy before is validated; or go on with one."""
        path = options.out / STATE
        if path.exists():
            before, rounds = _read(path)
            now = _plain(options)
            for name in sorted(set(now) - {"out", "rounds", "workers"}):
                if before.get(name) != now[name]:
                    raise UserError(
                        f"The run in {options.out} was started with {name} = {before.get(name)}, not {now[name]}: give "
                        "the same value to go on, or another --out."
                    )
            return _Run(options, rounds)
        there = {path.name for path in options.out.iterdir() if not path.name.startswith(".")}
        if there and not {"validation.json"} <= there <= _LEFT:
            raise UserError(f"{options.out} is not empty and holds no such run: give a new folder as --out.")
        run = _Run(options, [])
        checkpoint = find_checkpoint(options.checkpoint)
        scores = run._validated(checkpoint, "validating the policy before", options.out / "validation.json")
        run._copy(checkpoint)
        run._add(Round(0, scores))
        return run

    @property
    def policy(self) -> Path:
        """The best policy so far."""
        return self.options.out / "policy"

    def play_round(self, number: int) -> None:
        """Play, choose, train, validate, and accept or not."""
        options, folder = self.options, self.options.out / f"round-{number}"
        played, kept = self._played(number, folder)
        if options.dagger:
            self._recorded(number, folder / "dagger", dagger=True)
        data = [*options.data, *self._learnt_from(number)]
        if not data or not (kept or options.dagger):
            raise UserError(
                f"In round {number} no episode was better than the others from its start. Begin again in another "
                f"--out, with --dagger or more --tries; {self.policy} is the best policy so far."
            )
        trained = self._trained(number, folder / "train", data)
        scores = self._validated(trained, f"validating round {number}", folder / "validation.json")
        gain = paired_gain(self.best.scores, scores)
        is_accepted = gain.share_above_0 >= _ACCEPTED_FROM
        if is_accepted:
            self._copy(trained)
        self._add(Round(number, scores, len(played), kept, gain.estimate, is_accepted))

    @property
    def best(self) -> Round:
        """The last accepted round."""
        return next(each for each in reversed(self.rounds) if each.is_accepted)

    def _played(self, number: int, folder: Path) -> tuple[list[EpisodeRecord], int]:
        """All episodes of the round; of their recordings only the better ones are left."""
        path = folder / "episodes.json"
        if not path.exists():
            episodes = self._recorded(number, folder / "play", dagger=False)
            kept = {episode.folder for episode in better_than_the_mean(episodes)}
            for episode in episodes:
                if episode.folder not in kept:
                    shutil.rmtree(episode.folder)
            _write(path, [asdict(episode) | {"is_kept": episode.folder in kept} for episode in episodes])
        values = json.loads(path.read_text(encoding="utf-8"))
        num_kept = sum(each.pop("is_kept") for each in values)
        return typed(list[EpisodeRecord], values), num_kept

    def _recorded(self, number: int, out: Path, *, dagger: bool) -> list[EpisodeRecord]:
        """Record the round's episodes; what a killed run has recorded is recorded anew."""
        done = out.with_name(f"{out.name}.done")
        if done.exists():
            return []
        shutil.rmtree(out, ignore_errors=True)
        options = self.options
        wanted = CollectOptions(
            games=self.games,
            out=out,
            player=str(self.policy),
            dagger=dagger,
            learns_itself=not dagger,
            tries=1 if dagger else options.tries,
            episodes=options.starts * (1 if dagger else options.tries),
            noise_injection=0.0,
            seed=_PLAY_SEED + 1_000_000 * options.seed + 10_000 * number,
            workers=self.workers,
        )
        total = len(self.games) * (wanted.episodes or 0)
        episodes = []
        what = f"round {number}: the demonstrator labels" if dagger else f"round {number}: playing"
        with shown_progress() as progress:
            progress(what, 0, total)
            for episode in collect(wanted):
                episodes.append(episode)
                progress(what, len(episodes), total)
        if dagger:
            done.touch()
        return episodes

    def _learnt_from(self, number: int) -> Iterator[Path]:
        """Folders of recordings of this round and of the accepted ones."""
        accepted = {each.number for each in self.rounds if each.is_accepted}
        for each in (*sorted(accepted - {0}), number):
            for name in ("play", "dagger"):
                folder = self.options.out / f"round-{each}" / name
                if any(folder.glob("*/")):
                    yield folder

    def _trained(self, number: int, out: Path, data: Sequence[Path]) -> Path:
        """The new policy."""
        options = self.options
        config = TrainConfig(
            data=tuple(data),
            out=out,
            init_from=self.policy,
            trunk=str(self.policy),
            minutes=options.minutes,
            lr=options.lr,
            kl=options.kl,
            batch_size=16,
            seed=options.seed + number,
            resume=(out / STATE_FILE).exists(),
        )
        if not config.resume:
            shutil.rmtree(out, ignore_errors=True)  # of a run that was killed before its first state
        result = train(config)
        if result.ended_by is not None:
            signal.raise_signal(result.ended_by)  # it has ended training only
            raise KeyboardInterrupt
        return result.policy

    def _validated(self, checkpoint: Path, what: str, path: Path) -> dict[str, tuple[float, ...]]:
        """Scores of the validation episodes by game."""
        digest = checkpoint_digest(checkpoint)
        seeds = range(_VALIDATION_SEED, _VALIDATION_SEED + self.options.validation)
        with contextlib.suppress(OSError, ValueError, LookupError, UserError):
            values = json.loads(path.read_text(encoding="utf-8"))
            known = typed(list[EpisodeScore], values["episodes"])
            wanted = set(itertools.product(self.games, seeds))
            if values["checkpoint"] == digest and {(each.game, each.seed) for each in known} == wanted:
                return _by_game(known)
        with shown_progress() as progress:
            episodes = play_agent(str(checkpoint), self.games, seeds, self.workers, what, progress)
        _write(path, {"checkpoint": digest, "episodes": [asdict(episode) for episode in episodes]})
        return _by_game(episodes)

    def _copy(self, checkpoint: Path) -> None:
        """Let this be the best policy, at once or not at all."""
        loaded = load_checkpoint(checkpoint)
        save_checkpoint(self.policy, loaded.policy, loaded.facts, **loaded.playing)

    def _add(self, done: Round) -> None:
        self.rounds.append(done)
        write_report(self.options, self.rounds)
        _write(
            self.options.out / STATE,
            {"options": _plain(self.options), "rounds": [asdict(each) for each in self.rounds]},
        )


def _by_game(episodes: Sequence[EpisodeScore]) -> dict[str, tuple[float, ...]]:
    """Scores in the order of their seeds."""
    scores: dict[str, list[float]] = defaultdict(list)
    for episode in sorted(episodes, key=lambda episode: episode.seed):
        scores[episode.game].append(episode.score)
    return {game: tuple(values) for game, values in scores.items()}


def _plain(options: ImproveOptions) -> dict[str, Any]:
    values = asdict(options) | {"out": str(options.out), "data": [str(path) for path in options.data]}
    return dict(json.loads(json.dumps(values)))


def _write(path: Path, values: object) -> None:
    with replaced(path) as partial:
        partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
