"""Latency of served play: `python benchmarks/serving.py [--checkpoint pocket-doom] [--clients 1 2 4 8] [--ticks 400]`.

Starts `eyehand serve` on a Unix socket of its own and plays pictures of 640x480 to it. First line: one client takes
turns with the same network in this process, picture by picture, so that what the socket costs is a difference of pairs
and a noisy machine is as noisy for both. Then a line for each number of clients, which ask 20 times a second each, at
evenly spread times, as clients that know nothing of each other do: picture to action, how long a picture waited for
other clients, how many answers took more than a tick, and the share of the machine's time that its host took away.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from eyehand.checkpoint import load_checkpoint
from eyehand.cli import exit_status
from eyehand.clock import SystemClock
from eyehand.frame import Frame
from eyehand.machine import MachineWatch
from eyehand.option_rules import count
from eyehand.play.latency import Spread
from eyehand.player import Observation
from eyehand.players.policy import PolicyPlayer
from eyehand.players.remote import RemotePlayer
from eyehand.wire.address import Address

TICK_S = 0.05
CLOCK = SystemClock()
START_S = 120.0
PATIENCE_S = 10.0
"""An answer that takes longer is a failure of the measurement."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="pocket-doom")
    parser.add_argument("--runtime", default="auto", choices=("auto", "torch", "openvino", "openvino-int8"))
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--clients", type=count, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--ticks", type=count, default=400)
    options = parser.parse_args()
    with serving(options.checkpoint, options.runtime, options.threads) as address:
        local = PolicyPlayer(
            load_checkpoint(options.checkpoint), runtime=options.runtime, threads=options.threads, temperature=1.0
        )
        local.warm_up()
        with watched() as steal:
            turns = in_turns(address, local, options.ticks)
        print(json.dumps({"clients": 1, **turns, "steal": steal[0]}), flush=True)
        for num_clients in options.clients:
            with watched() as steal:
                together = at_once(address, num_clients, options.ticks)
            print(json.dumps({"clients": num_clients, **together, "steal": steal[0]}), flush=True)


@contextmanager
def serving(checkpoint: str, runtime: str, threads: int) -> Iterator[Address]:
    """A server in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        address = Address(path=Path(folder) / "socket")
        command = [sys.executable, "-m", "eyehand", "serve", "--checkpoint", checkpoint, "--runtime", runtime]
        command += ["--threads", str(threads), "--temperature", "1", "--socket", str(address)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert server.stdout is not None
            if not server.stdout.readline():  # it says one line when clients can connect
                raise SystemExit(f"the server did not start: run {' '.join(command)}")
            yield address
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE_S)


@contextmanager
def watched() -> Iterator[list[float]]:
    """One number once the block has ended: the mean share of stolen time."""
    watch, steal = MachineWatch(), [0.0]
    watch.restart()
    yield steal
    watch.poll(is_last=True)
    steal[0] = round(statistics.fmean([window.steal for window in watch.windows] or [0.0]), 3)


class Player:
    """A client, or the network in this process, that is shown noise."""

    def __init__(self, player: RemotePlayer | PolicyPlayer, seed: int) -> None:
        self.player = player
        self.pictures = np.random.default_rng(seed).integers(0, 256, (8, 480, 640, 3), dtype=np.uint8)
        self.spent_ms: list[float] = []
        self.waited_ms: list[float] = []
        player.reset(seed)

    def act(self, tick: int) -> None:
        begin = time.perf_counter()
        self.player.act(Observation(Frame(self.pictures[tick % 8], time.monotonic_ns(), tick)))
        self.spent_ms.append(1e3 * (time.perf_counter() - begin))
        self.waited_ms.append(self.player.stage_ms.get("wait", 0.0))


@contextmanager
def connected(address: Address, num_clients: int) -> Iterator[list[Player]]:
    with ExitStack() as stack:
        players = []
        for seed in range(num_clients):
            remote = RemotePlayer(address, silence_s=PATIENCE_S, dead_after_s=PATIENCE_S)
            remote.connect(START_S)
            stack.callback(remote.close)
            players.append(Player(remote, seed))
            for tick in range(4):  # the server makes the episode's memory
                players[-1].act(tick)
            players[-1].spent_ms.clear()
            players[-1].waited_ms.clear()
        yield players
        if unanswered := sum(
            player.player.num_unanswered for player in players if isinstance(player.player, RemotePlayer)
        ):
            raise SystemExit(f"{unanswered} pictures were not answered within {PATIENCE_S:.0f} s: nothing was measured")


def in_turns(address: Address, local: PolicyPlayer, num_ticks: int) -> dict[str, object]:
    """One client, and the same network here, in turns."""
    here = Player(local, 0)
    with connected(address, 1) as (client,):
        for tick in range(num_ticks):
            client.act(tick)
            here.act(tick)
        differences = np.subtract(client.spent_ms, here.spent_ms)
        return {
            "served_ms": spread(client.spent_ms),
            "in_process_ms": spread(here.spent_ms),
            "difference_ms": round(float(np.median(differences)), 2),
        }


def at_once(address: Address, num_clients: int, num_ticks: int) -> dict[str, object]:
    """So many clients, each at 20 Hz, a thread each."""
    with connected(address, num_clients) as players:
        start_ns = CLOCK.now_ns() + 100_000_000
        threads = []
        for index, player in enumerate(players):
            offset_ns = int(1e9 * TICK_S * index / num_clients)
            threads.append(threading.Thread(target=keep_asking, args=(player, start_ns + offset_ns, num_ticks)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent_ms = [spent for player in players for spent in player.spent_ms]
        return {
            "served_ms": spread(spent_ms),
            "wait_ms": spread([waited for player in players for waited in player.waited_ms]),
            "late": round(float(np.mean(np.array(spent_ms) > 1e3 * TICK_S)), 4),
            "asked_per_s": round(len(spent_ms) / (num_ticks * TICK_S), 1),
        }


def keep_asking(player: Player, start_ns: int, num_ticks: int) -> None:
    """On absolute deadlines; ticks that a late answer has eaten are left out."""
    for tick in range(num_ticks):
        deadline_ns = start_ns + int(1e9 * TICK_S * tick)
        if CLOCK.now_ns() - deadline_ns > 1e9 * TICK_S:
            continue
        CLOCK.wait_until(deadline_ns)
        player.act(tick)


def spread(values_ms: Sequence[float]) -> dict[str, float]:
    found = Spread.of(values_ms)
    assert found is not None
    return {name: round(getattr(found, name), 2) for name in ("p50", "p95", "p99", "max")}


if __name__ == "__main__":
    sys.exit(exit_status(main))
