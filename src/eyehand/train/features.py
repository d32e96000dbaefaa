"""Features of a data set's pictures by a frozen image trunk: `make_features`, a job per recording.

Each recording's file (see `data.features`) is written beside its place and renamed, so that a killed run goes on with
the recordings that are left. Training then reads features in place of pictures and spends nothing on vision.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from eyehand.data.augment import augment
from eyehand.data.dataset import Dataset
from eyehand.data.features import FeatureFiles, fingerprint
from eyehand.errors import UserError
from eyehand.foreign import problem_of
from eyehand.frame import RESIZE_VERSION
from eyehand.jobs.engine import Engine
from eyehand.jobs.job import Job, run_job
from eyehand.model.trunk import Trunk
from eyehand.progress import Progress, no_progress
from eyehand.recording.file_range import FileRange
from eyehand.recording.video import VideoReader
from eyehand.replaced import replaced
from eyehand.terminal import counted, print_line
from eyehand.train.trunk import LoadedTrunk, load_trunk

__all__ = ["feature_files", "make_features"]

_CHUNK_FRAMES = 64
_AUGMENT = 1.0
"""Strength of the augmentation of all views but the first: the reference's."""


@dataclass(frozen=True)
class _Item:
    trunk: str
    video: Path | FileRange
    files: FeatureFiles
    num_frames: int
    id: str

    def __str__(self) -> str:
        return str(self.video)


@dataclass(frozen=True)
class _Made:
    """`problem`: one sentence on why there are no features; None: they are there."""

    problem: str | None = None


def feature_files(trunk: LoadedTrunk, views: int = 1) -> FeatureFiles:
    """Where the features of this trunk lie."""
    shape, digest = trunk.shape, hashlib.sha256()
    digest.update(repr((RESIZE_VERSION, *shape.values())).encode())
    for name, tensor in sorted(trunk.module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    key = digest.hexdigest()[:16] + (f"-{views}" if views > 1 else "")
    return FeatureFiles(key, trunk.num_features, views)


def make_features(
    dataset: Dataset, trunk: LoadedTrunk, engine: Engine, *, views: int = 1, progress: Progress = no_progress
) -> Dataset:
    """The data set with features in place of pictures; those that are missing are computed.

    Args:
        dataset: recordings on this machine, or on file systems that all workers see.
        trunk: what looks at them.
        engine: runs the job; the files do not depend on it.
        views: of every picture.
        progress: see `progress.py`.

    Raises:
        UserError: unusable checkpoint, recording or disk.
    """
    if not 1 <= views <= 64:
        raise UserError(f"--views is the number of views of every picture, 1 to 64, not {views}.")
    files = feature_files(trunk, views)
    items = {
        episode.id: _Item(trunk.source, episode.video, files, episode.num_steps, episode.id)
        for episode in dataset.episodes
        if not files.has(episode.video, episode.num_steps)
    }
    size = 2 * files.views * files.size * sum(item.num_frames for item in items.values())
    if items:
        print_line(f"features of {counted(len(items), 'recording')} to be made: {size / 1e9:.2f} GB beside them")
    _check_space(files, list(items.values()))
    for done in run_job(_FEATURES, items, engine, progress=progress).values():
        if done.problem is not None:
            raise UserError(done.problem)
    return replace(dataset, features=files)


def _check_space(files: FeatureFiles, items: list[_Item]) -> None:
    """Raises UserError if a disk is too small for the features of these recordings."""
    needed: dict[Path, int] = {}
    for item in items:
        beside = next(path for path in files.path(item.video).parents if path.exists())
        needed[beside] = needed.get(beside, 0) + 2 * files.views * item.num_frames * files.size
    for folder, size in needed.items():
        free = shutil.disk_usage(folder).free
        if size > 0.95 * free:
            raise UserError(
                f"The features take {size / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free: make space, or "
                "train without --trunk."
            )


def _make(item: _Item) -> _Made:
    """Compute and write the features of one recording."""
    trunk = _trunk(item.trunk, item.files.key)
    target = item.files.path(item.video)
    shape = (item.files.views, item.num_frames, item.files.size)
    seed = int.from_bytes(hashlib.sha256(item.id.encode()).digest()[:8])
    reader = VideoReader(item.video)
    try:
        with replaced(target, "make space, or train without --trunk") as partial, partial.open("wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for view in range(item.files.views):
                for start in range(0, item.num_frames, _CHUNK_FRAMES):
                    frames_THWC = reader.clip(start, min(_CHUNK_FRAMES, item.num_frames - start))
                    frames_TCHW = torch.from_numpy(frames_THWC).permute(0, 3, 1, 2)
                    if view:
                        rng = np.random.default_rng((seed, view))  # the same draw for the whole recording
                        frames_TCHW = augment(frames_TCHW[None], rng, _AUGMENT)[0]
                    with torch.inference_mode():
                        features_TF = trunk.features(frames_TCHW, torch.float32).half()
                    if not features_TF.isfinite().all():
                        raise UserError(f"The trunk's features of {item} exceed 16 bits: take another --trunk.")
                    file.write(features_TF.numpy().tobytes())
            file.write(fingerprint(item.video))
    except Exception as error:
        return _Made(str(problem_of(item, error)))
    finally:
        reader.close()
    return _Made()


def _given_up(item: _Item, problem: str) -> _Made:
    return _Made(problem)


@lru_cache(maxsize=1)
def _trunk(source: str, key: str) -> Trunk:
    """The trunk of this key, loaded once per process, on one thread in a worker."""
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)
    return load_trunk(source).module


_FEATURES: Job[_Item, _Made] = Job(
    name="features", function=_make, given_up=_given_up, is_final=lambda made: made.problem is None, kind=_Made
)
