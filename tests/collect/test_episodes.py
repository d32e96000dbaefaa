"""Recordings of many episodes: which seeds are played, and by how many processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyehand.checkpoint import save_checkpoint
from eyehand.collect.episodes import _jobs, collect
from eyehand.collect.record_options import CollectOptions
from eyehand.recording.reader import Recording, find_recordings
from tiny import tiny_policy


@pytest.mark.parametrize(("player", "episodes", "workers"), [("policy", 1, 1), ("random", 3, 2)])
def test_episodes_have_the_seeds_that_were_asked_for(player: str, episodes: int, workers: int, tmp_path: Path) -> None:
    if player == "policy":
        player = str(save_checkpoint(tmp_path / "policy", tiny_policy()))
    out = tmp_path / "data"
    options = CollectOptions(
        games=("doom/aim",), out=out, player=player, episodes=episodes, seed=42, workers=workers, instructed=0.0
    )
    seeds = list(range(42, 42 + episodes))
    assert sorted(episode.seed for episode in collect(options)) == seeds
    assert sorted(Recording.open(folder).info.seed for folder in find_recordings(out)) == seeds


@pytest.mark.parametrize(
    ("games", "minutes", "workers", "num_jobs"),
    [
        (1, 10, 8, 8),
        (1, 10, 1, 2),
        (3, 10, 8, 9),
        (1, 4, 8, 4),  # a piece is a minute at least
        (1, 0.5, 8, 1),
        (2, 240, 8, 120),
    ],
)
def test_minutes_are_cut_so_that_every_worker_has_some(games: int, minutes: float, workers: int, num_jobs: int) -> None:
    options = CollectOptions(games=tuple(map(str, range(games))), out=Path(), minutes=minutes, workers=workers)
    jobs = [part for job in _jobs(options) for part in job.split(4, 10_000)]
    assert len(_jobs(options)) == num_jobs
    assert sum(job.minutes for job in jobs) == pytest.approx(games * minutes)
    starts = {(job.game, job.first_seed) for job in jobs}
    assert len(starts) == len(jobs) == 4 * num_jobs, "no two play the same seeds"
