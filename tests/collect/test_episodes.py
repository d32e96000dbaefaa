"""Recordings of many episodes: which seeds are played, and by how many processes."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_a_worker_that_is_killed_ends_the_recording_and_what_was_recorded_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in's player kills its process in its second episode."""
    (tmp_path / "killer.py").write_text(
        "import os, signal\n"
        "from eyehand.action import NOTHING\n"
        "from eyehand.player import Decision\n"
        "from eyehand.players.kinds import PlayerKind\n"
        "class Killer:\n"
        "    def reset(self, seed):\n"
        "        if seed % 2:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "    def act(self, observation):\n"
        "        return Decision(NOTHING)\n"
        "KILLER = PlayerKind(open=lambda name, game, options: Killer())\n"
    )
    info = tmp_path / "killer-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[eyehand.players]\nkiller = killer:KILLER\n")
    code = (
        "from pathlib import Path\n"
        "from eyehand.collect.episodes import collect\n"
        "from eyehand.collect.record_options import CollectOptions\n"
        "here = Path('data')\n"
        "options = CollectOptions(games=('doom/aim',), out=here, player='killer', episodes=4, seed=0, workers=2)\n"
        "if __name__ == '__main__':\n"
        "    list(collect(options))\n"
    )
    (tmp_path / "program.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert "A worker process died once over doom/aim from seed" in done.stderr, done.stderr
    assert 1 <= len(find_recordings(tmp_path / "data")) <= 2, "none was recorded twice"
