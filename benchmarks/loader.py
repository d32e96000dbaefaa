"""Frames per second of the clip loader: `python benchmarks/loader.py RECORDINGS [--workers N ...]`.

Ours beside a bare PyAV and, where it is installed, torchcodec, in one run and on the same random clips, as training
draws them. `frames_per_core_s` counts the processor time of whoever decodes: it is what one core does, however busy the
machine is. The bare decoders give a clip's RGB pictures and nothing else; ours makes batches with labels of them.
RECORDINGS is a folder of recordings or an index. Several rounds, in turn; their medians are printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from eyehand.action_space import P2P
from eyehand.cli import exit_status
from eyehand.data.dataset import Dataset, load_dataset
from eyehand.data.loader import ClipLoader
from eyehand.data.sampler import ClipKey, ClipSampler
from eyehand.option_rules import count

CLIP_STEPS = 64
FPS = 20

Clips = Sequence[Sequence[ClipKey]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workers", type=count, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=count, default=16)
    parser.add_argument("--batch-size", type=count, default=8)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--cache-frames-gb", type=float, default=0.0)
    options = parser.parse_args()
    started = time.perf_counter()
    dataset = load_dataset([options.data], P2P, max(options.workers))
    opened_s = time.perf_counter() - started
    print(
        json.dumps({"recordings": len(dataset.episodes), "frames": dataset.num_steps, "opened_s": round(opened_s, 2)})
    )
    lengths, tasks = [e.num_steps for e in dataset.episodes], [e.task for e in dataset.episodes]
    sampler = ClipSampler(lengths, tasks, CLIP_STEPS, seed=0)
    clips = list(itertools.islice(sampler.batches(options.batch_size), options.batches))
    measured: dict[str, list[dict[str, float]]] = {}
    decoders = {"bare PyAV": _pyav, "torchcodec": _torchcodec()}
    for _ in range(options.rounds):  # in turn: what disturbs the machine disturbs all of them
        for name, decode in decoders.items():
            if decode is not None:
                measured.setdefault(name, []).append(_bare(decode, dataset, clips))
        for workers in options.workers:
            ours = _loader(dataset, clips, options.batch_size, workers, options.cache_frames_gb)
            measured.setdefault(f"ours, {workers} workers", []).append(ours)
    rate = statistics.median(each["frames_per_core_s"] for each in measured["bare PyAV"])
    for name, rounds in measured.items():
        figures = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        share = round(figures["frames_per_core_s"] / rate, 2)
        print(json.dumps({"decoder": name, **figures, "of_bare_pyav": share}))


def _loader(dataset: Dataset, clips: Clips, batch_size: int, workers: int, cache_gb: float) -> dict[str, float]:
    before_s, started = _cpu_s(), time.perf_counter()
    options = {"batch_size": batch_size, "clip_steps": CLIP_STEPS, "workers": workers, "cache_frames_gb": cache_gb}
    with ClipLoader(dataset, **options) as loader:
        batches = loader.batches(iter(clips))
        frames = int(next(batches).valid_BT.sum())
        first_s = time.perf_counter() - started
        frames += sum(int(batch.valid_BT.sum()) for batch in batches)
    return _figures(frames, before_s, started) | {"first_batch_s": round(first_s, 2)}


def _bare(decode: Callable[[Path, int, int], int], dataset: Dataset, clips: Clips) -> dict[str, float]:
    """Decode every clip, one after another, in this process."""
    before_s, started, frames = _cpu_s(), time.perf_counter(), 0
    for key in itertools.chain.from_iterable(clips):
        episode = dataset.episodes[key.episode]
        length = min(CLIP_STEPS, episode.num_steps - key.start)
        frames += decode(_local(episode.video), key.start, length)
    return _figures(frames, before_s, started)


def _local(video: object) -> Path:
    if isinstance(video, Path):
        return video
    path = Path(getattr(video, "url", ""))
    if getattr(video, "offset", 0) or not path.is_file():
        raise SystemExit("The bare decoders need videos in folders on this machine: give a folder of recordings.")
    return path


def _pyav(path: Path, start: int, length: int) -> int:
    to_rgb = VideoReformatter()
    clip_THWC = np.empty((length, 192, 192, 3), np.uint8)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        first_pts = round(start / FPS / stream.time_base) + (stream.start_time or 0)
        container.seek(first_pts, stream=stream)
        for row, frame in enumerate(itertools.islice(_from(container, first_pts), length)):
            clip_THWC[row] = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
    return length


def _from(container: av.container.InputContainer, first_pts: int) -> Iterator[av.VideoFrame]:
    return itertools.dropwhile(lambda frame: frame.pts < first_pts, container.decode(video=0))


def _torchcodec() -> Callable[[Path, int, int], int] | None:
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError) as error:  # not installed, or it finds no FFmpeg
        print(json.dumps({"decoder": "torchcodec", "not measured": str(error).strip().splitlines()[0]}))
        return None

    def decode(path: Path, start: int, length: int) -> int:
        decoder = VideoDecoder(str(path), num_ffmpeg_threads=1, seek_mode="approximate", dimension_order="NHWC")
        return int(decoder.get_frames_in_range(start, start + length).data.shape[0])

    return decode


def _figures(frames: int, before_s: float, started: float) -> dict[str, float]:
    wall_s, cpu_s = time.perf_counter() - started, _cpu_s() - before_s
    return {
        "frames": frames,
        "frames_per_s": round(frames / wall_s),
        "frames_per_core_s": round(frames / cpu_s),
    }


def _cpu_s() -> float:
    """Of this process and those that it has waited for."""
    usages = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    sys.exit(exit_status(main))
