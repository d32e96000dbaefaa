"""Speed of making recordings: `python benchmarks/collect.py [--game doom/center ...] [--ticks 600]`.

One process records a demonstrator on each game and reports game time over wall time (20 ticks are a second), with the
steal of that time: game with privileged state, demonstrator, resize and both videos together. Starting the engine and
loading the libraries are left out, new episodes are not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from eyehand.cli import exit_status
from eyehand.games.families import game_names, open_game
from eyehand.machine import MachineWatch
from eyehand.option_rules import count
from eyehand.players.kinds import open_player
from eyehand.recording.recorder import Recorder
from eyehand.session import Session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--game", default="doom")
    parser.add_argument("--ticks", type=count, default=600)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in game_names(options.game):
        print(json.dumps({"game": name, **measure(name, options.ticks)}), flush=True)


def measure(name: str, num_ticks: int) -> dict[str, float]:
    """Times real time and the share of steal, for so many ticks of one game."""
    game = open_game(name, with_state=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            session = Session(game, open_player("demonstrator", game), [Recorder(Path(folder), "demonstrator")])
            session.run_episode(0, max_seconds=2.0)
            watch = MachineWatch(period_s=1.0)
            watch.restart()
            done, seed, started = 0, 1, time.perf_counter()
            while done < num_ticks:
                done += session.run_episode(seed, max_seconds=(num_ticks - done) / game.fps).num_ticks
                seed += 1
                watch.poll()
            watch.poll(is_last=True)
            seconds = time.perf_counter() - started
    finally:
        game.close()
    steal = [window.steal for window in watch.windows]
    return {
        "times_real_time": round(done / game.fps / seconds, 1),
        "ticks_per_s": round(done / seconds, 1),
        "episodes": seed - 1,
        "steal": round(sum(steal) / max(1, len(steal)), 3),
    }


if __name__ == "__main__":
    sys.exit(exit_status(main))
