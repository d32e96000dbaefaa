"""Speed of large indexes: `python benchmarks/index.py RECORDINGS [--hours 8300] [--recordings 1000] [--rounds 3]`.

First an index of so many hours is made up, of recordings of 2 to 5 minutes at 20 frames a second in 40 games, and read
with conditions: `read_s` is from the file to the rows that fit, `opened_s` is `load_dataset`, as training calls it.

Then RECORDINGS, a folder, is copied until there are so many recordings, with MOUSE_EVENTS raw events of a mouse besides
in every frame, as people's have. They are indexed, and what training waits for is timed: `opened_s`, and from there
`first_batch_s` to the first batch of 8 clips of 64 steps. `memory_mb` is the peak of the process so far. Medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from eyehand.action_space import P2P
from eyehand.cli import exit_status
from eyehand.data.dataset import load_dataset
from eyehand.data.index import IndexRow, read_index, write_index
from eyehand.data.indexing import build_index
from eyehand.data.loader import ClipLoader
from eyehand.data.sampler import ClipSampler
from eyehand.data.split import Selection
from eyehand.option_rules import amount, count
from eyehand.recording.annotation_pb2 import VideoAnnotation
from eyehand.recording.format import ANNOTATION_FILE, SMALL_FILE
from eyehand.recording.reader import find_recordings

FPS, GAMES = 20, 40

MOUSE_EVENTS = 20  # of a mouse that reports 400 times a second

CONDITIONS = (
    None,
    "env = 'game-07'",
    "env = 'game-07' and num_frames > 3000",
    "texts like '%door 7%' or user = 'person-11'",
    "env in ('game-01', 'game-02', 'game-03') and user_share > 0.9 and not is_cut_off",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--hours", type=amount, default=8300.0)
    parser.add_argument("--recordings", type=count, default=1000)
    parser.add_argument("--rounds", type=count, default=3)
    options = parser.parse_args()
    recordings = find_recordings(options.data)
    with tempfile.TemporaryDirectory() as folder:
        conditions(Path(folder), options.hours, options.rounds)
        first_batch(Path(folder), recordings, options.recordings, options.rounds)


def conditions(folder: Path, hours: float, rounds: int) -> None:
    """Print what reading a large index takes."""
    index = folder / "large.parquet"
    rows = made_up(hours)
    write_index(rows, index)
    size_mb = round(index.stat().st_size / 1e6, 1)
    print(json.dumps({"hours": hours, "rows": len(rows), "index_mb": size_mb}), flush=True)
    del rows
    for where in CONDITIONS:
        found, read_s = timed(rounds, lambda where=where: len(read_index(index, where)))
        print(json.dumps({"where": where, "rows": found, "read_s": read_s, "memory_mb": memory_mb()}), flush=True)
    where = CONDITIONS[2]
    found, opened_s = timed(
        rounds, lambda: load_dataset([index], P2P, selection=Selection(where, subset=50, held_out=0.05)).num_steps
    )
    print(json.dumps({"load_dataset": where, "frames": found, "opened_s": opened_s}), flush=True)


def made_up(hours: float) -> list[IndexRow]:
    """Rows of recordings that are nowhere."""
    rng = np.random.default_rng(0)
    rows, seconds = [], 0.0
    while seconds < hours * 3600:
        number, num_frames = len(rows), int(rng.integers(120 * FPS, 300 * FPS))
        env, key = f"game-{rng.integers(GAMES):02}", rng.bytes(16).hex()
        user_share, sha256 = float(rng.uniform(0.8, 1)), rng.bytes(64).hex()
        row = IndexRow(
            *(key, f"/data/batch_{number // 200:05}.tar!{key}", None, env, f"level-{rng.integers(5)}", "1.0"),
            *(f"person-{rng.integers(200)}", FPS, num_frames, num_frames / FPS, user_share, 1 - user_share),
            texts=tuple(f"go to door {rng.integers(1000)} and open it" for _ in range(rng.integers(8))),
            annotators=("gemini-2.5-flash",),
            is_cut_off=bool(rng.random() < 0.01),
        )
        files = {"annotation_url": f"/data/batch_{number // 200:05}.tar", "annotation_offset": number * 1_000_000}
        files |= {"annotation_size": 300_000, "annotation_sha256": sha256[:64], "video_sha256": sha256[64:]}
        files |= {"video_url": files["annotation_url"], "video_offset": number * 1_000_000 + 300_000}
        rows.append(replace(row, **files, video_size=9_000_000))
        seconds += row.seconds
    return rows


def first_batch(folder: Path, recordings: list[Path], num_recordings: int, rounds: int) -> None:
    """Print what training waits for before its first batch, of so many recordings."""
    index = folder / "copies.parquet"
    copies(recordings, folder / "copies", num_recordings)
    started = time.perf_counter()
    rows = build_index([str(folder / "copies")], index)
    indexed_s = round(time.perf_counter() - started, 1)
    print(json.dumps({"recordings": len(rows), "frames": sum(row.num_frames for row in rows), "indexed_s": indexed_s}))
    for workers in (1, 2):
        opened, waited = [], []
        for _ in range(rounds):
            started = time.perf_counter()
            dataset = load_dataset([index], P2P)
            opened.append(round(time.perf_counter() - started, 2))
            lengths, tasks = [each.num_steps for each in dataset.episodes], [each.task for each in dataset.episodes]
            started = time.perf_counter()
            sampler = ClipSampler(lengths, tasks, 64, seed=0)
            with ClipLoader(dataset, batch_size=8, clip_steps=64, workers=workers) as loader:
                next(loader.batches(sampler.batches(8)))
                waited.append(round(time.perf_counter() - started, 2))
        figures = {"opened_s": statistics.median(opened), "first_batch_s": statistics.median(waited)}
        print(json.dumps({"workers": workers, **figures, "memory_mb": memory_mb()}), flush=True)


def copies(recordings: list[Path], folder: Path, num_recordings: int) -> None:
    """Recordings with ids of their own; their videos are links."""
    messages = [VideoAnnotation.FromString((path / ANNOTATION_FILE).read_bytes()) for path in recordings]
    for annotation in itertools.chain.from_iterable(message.frame_annotations for message in messages):
        for _ in range(MOUSE_EVENTS):
            annotation.input_events.add(time=annotation.frame_time).mouse_delta_event.x = 3
    originals = itertools.cycle(zip(recordings, messages, strict=True))
    for number, (path, message) in enumerate(itertools.islice(originals, num_recordings)):
        copy = folder / f"{number:05}"
        copy.mkdir(parents=True)
        (copy / SMALL_FILE).symlink_to((path / SMALL_FILE).resolve())
        message.metadata.id = copy.name
        (copy / ANNOTATION_FILE).write_bytes(message.SerializeToString())


def timed(rounds: int, act: Callable[[], int]) -> tuple[int, float]:
    """What it returns, and the median of its seconds."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        result = act()
        seconds.append(time.perf_counter() - started)
    return result, round(statistics.median(seconds), 2)


def memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(exit_status(main))
