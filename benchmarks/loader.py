"""Frames per second of the clip loader: `python benchmarks/loader.py RECORDINGS [--workers N ...]`.

Reports frames per second of wall time and per second of processor time of the decoding processes: the second figure is
what one core does, however busy the machine is. Random clips of 64 frames, as in training.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import time
from pathlib import Path

from eyehand.action_space import P2P
from eyehand.data.dataset import load_dataset
from eyehand.data.loader import ClipLoader
from eyehand.data.sampler import ClipSampler

CLIP_STEPS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--cache-frames-gb", type=float, default=0.0)
    options = parser.parse_args()
    started = time.perf_counter()
    dataset = load_dataset([options.data], P2P, max(options.workers))
    labels_s = time.perf_counter() - started
    print(
        json.dumps({"recordings": len(dataset.episodes), "frames": dataset.num_steps, "labels_s": round(labels_s, 2)})
    )
    for workers in options.workers:
        sampler = ClipSampler(
            [e.num_steps for e in dataset.episodes], [e.task for e in dataset.episodes], CLIP_STEPS, seed=0
        )
        before_s = _children_cpu_s()
        started = time.perf_counter()
        with ClipLoader(
            dataset,
            batch_size=options.batch_size,
            clip_steps=CLIP_STEPS,
            workers=workers,
            cache_frames_gb=options.cache_frames_gb,
        ) as loader:
            batches = loader.batches(itertools.islice(sampler.batches(options.batch_size), options.batches))
            frames = sum(int(batch.valid_BT.sum()) for batch in batches)
        wall_s, cpu_s = time.perf_counter() - started, _children_cpu_s() - before_s
        figures = {
            "workers": workers,
            "frames": frames,
            "frames_per_s": round(frames / wall_s),
            "frames_per_core_s": round(frames / cpu_s),
        }
        print(json.dumps(figures))


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
