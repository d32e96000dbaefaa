"""Training speed of a preset: `python benchmarks/training.py RECORDINGS [--preset pocket] [--threads N]`.

Runs the real loop for some steps into a temporary folder and reports what its log says once it is warm: frames per
second, the share of time spent waiting for data, and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
from pathlib import Path

import torch

from eyehand.cli import exit_status
from eyehand.option_rules import count
from eyehand.train.log import read_log
from eyehand.train.loop import train
from eyehand.train.train_config import TrainConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--preset", default="pocket")
    parser.add_argument("--steps", type=count, default=12)
    parser.add_argument("--batch-size", type=count, default=8)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--threads", type=count, default=torch.get_num_threads())
    parser.add_argument("--augment", type=float, default=1.0)
    parser.add_argument("--cache-frames-gb", type=float, default=0.0)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            data=(options.data,),
            out=Path(folder) / "run",
            preset=options.preset,
            steps=options.steps,
            batch_size=options.batch_size,
            workers=options.workers,
            augment=options.augment,
            cache_frames_gb=options.cache_frames_gb,
            compile=options.compile,
            held_out=0.0,
            log_every=max(1, options.steps // 6),
            checkpoint_every=options.steps,
        )
        train(config)
        records = [record for record in read_log(config.out) if record["kind"] == "train"]
    warm = records[len(records) // 3 :]
    figures = {
        "preset": options.preset,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {options.threads} threads",
        "frames_per_s": round(statistics.median(record["frames_per_s"] for record in warm), 1),
        "data_wait_share": round(statistics.median(record["data_wait_share"] for record in warm), 4),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    if torch.cuda.is_available():
        figures["peak_gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(exit_status(main))
