"""Batches do not depend on how they are made: workers, cache and slots change the speed only."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

import moving_block
from eyehand.action_space import P2P
from eyehand.data.dataset import Dataset, load_dataset
from eyehand.data.loader import FRAME_BYTES, Batch, ClipLoader
from eyehand.data.sampler import ClipKey, ClipSampler
from eyehand.errors import UserError
from eyehand.recording.recompress import RandomRecompression


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("recordings")
    for seed, num_frames in enumerate((30, 6, 17)):
        moving_block.record(root, seed=seed, num_frames=num_frames)
    return load_dataset([root], P2P)


def read(dataset: Dataset, num_batches: int, first: int = 0, **options: object) -> list[Batch]:
    """Copies of some batches."""
    stream = ClipSampler([e.num_steps for e in dataset.episodes], ["t"] * 3, 8, seed=4)
    with ClipLoader(dataset, batch_size=3, clip_steps=8, **options) as loader:  # type: ignore[arg-type]
        batches = itertools.islice(loader.batches(stream.batches(3, first), first), num_batches)
        return [Batch(b.number, b.frames_BTX.copy(), *list(vars(b).values())[2:]) for b in batches]


def assert_equal(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def test_frames_and_labels_are_those_of_the_clip(dataset: Dataset) -> None:
    with ClipLoader(dataset, batch_size=2, clip_steps=8) as loader:
        (batch,) = loader.batches(iter([[ClipKey(0, 11), ClipKey(1, 0)]]))
    np.testing.assert_array_equal(batch.frames_BTX[0], dataset.decode(0, 11, 8))
    np.testing.assert_array_equal(batch.frames_BTX[1, :5], dataset.decode(1, 0, 5))
    assert not batch.frames_BTX[1, 5:].any()
    assert batch.valid_BT.sum(1).tolist() == batch.learn_BT.sum(1).tolist() == [8, 5]
    np.testing.assert_array_equal(batch.target_BTA[0], dataset.labels(0, 11, 8).target_TA)


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 3, "num_slots": 3}, {"workers": 2, "num_slots": 6}])
def test_workers_change_nothing(dataset: Dataset, options: dict[str, float]) -> None:
    assert_equal(read(dataset, 9, **options), read(dataset, 9))


@pytest.mark.parametrize("frames", [20, 1000])
def test_a_frame_cache_changes_nothing(dataset: Dataset, frames: int) -> None:
    gigabytes = frames * FRAME_BYTES / 1e9  # 20: only the short episodes fit
    assert_equal(read(dataset, 9, workers=2, cache_frames_gb=gigabytes), read(dataset, 9))


def test_a_cached_frame_is_decoded_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = Dataset.decode

    def counting(self: Dataset, episode: int, *where: object) -> object:
        decoded.append(episode)
        return real(self, episode, *where)

    monkeypatch.setattr(Dataset, "decode", counting)
    with ClipLoader(dataset, batch_size=1, clip_steps=8, cache_frames_gb=1) as loader:
        batches = [b.frames_BTX.copy() for b in loader.batches(iter([[ClipKey(0, 3)], [ClipKey(0, 3)]]))]
    assert decoded == [0]
    np.testing.assert_array_equal(batches[0], batches[1])


def test_the_stream_goes_on_where_it_was_left(dataset: Dataset) -> None:
    late = read(dataset, 3, first=5, workers=2)
    assert [batch.number for batch in late] == [5, 6, 7]
    assert_equal(late, read(dataset, 8)[5:])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_video_that_breaks_later_is_the_users_error(dataset: Dataset, tmp_path: Path, workers: int) -> None:
    moving_block.record(tmp_path, seed=0)
    broken = load_dataset([tmp_path], P2P)
    (broken.episodes[0].path / "192x192.mp4").write_bytes(b"")
    loader = ClipLoader(broken, batch_size=1, clip_steps=8, workers=workers)
    with loader, pytest.raises(UserError, match="block-000"):
        next(loader.batches(iter([[ClipKey(0, 0)]])))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are threads here")
def test_memory_stays_flat_over_three_epochs(dataset: Dataset) -> None:
    stream = ClipSampler([e.num_steps for e in dataset.episodes], ["t"] * 3, 8, seed=4)
    clips = itertools.cycle([stream.clip(position) for position in range(stream.clips_per_epoch)])
    with ClipLoader(dataset, batch_size=4, clip_steps=8, workers=1) as loader:
        processes = [psutil.Process(), psutil.Process(loader._workers[0].pid)]
        batches = loader.batches([next(clips) for _ in range(4)] for _ in itertools.count())
        used = []
        for _ in range(3):  # epochs of 240 clips: a leak of 12 kB at each is noticed
            for _ in range(60):
                next(batches)
            used.append([process.memory_info().rss for process in processes])
    assert max(late - early for early, late in zip(used[0], used[2], strict=True)) < 6e6


@pytest.mark.skipif(sys.platform != "linux", reason="workers are threads here")
def test_a_killed_worker_is_noticed(dataset: Dataset) -> None:
    with ClipLoader(dataset, batch_size=1, clip_steps=8, workers=1) as loader:
        os.kill(loader._workers[0].pid, signal.SIGKILL)
        loader._workers[0].join()
        with pytest.raises(RuntimeError, match="worker was killed"):
            next(loader.batches(iter([[ClipKey(0, 0)]])))


def test_recoding_follows_from_the_place_in_the_stream_alone(dataset: Dataset) -> None:
    recompression = RandomRecompression(0.5, seed=1)
    plain, coded = read(dataset, 6), read(dataset, 6, recompression=recompression)
    pairs = [(p.frames_BTX[r], c.frames_BTX[r]) for p, c in zip(plain, coded, strict=True) for r in range(3)]
    changed = [not np.array_equal(one, other) for one, other in pairs]
    assert 3 <= sum(changed) <= 15  # 9 are expected
    assert all(np.abs(one.astype(int) - other).mean() < 6 for one, other in pairs)
    assert all(
        not other[~valid].any()
        for (_, other), valid in zip(pairs, np.concatenate([b.valid_BT for b in coded]), strict=True)
    )
    for options in ({"workers": 2}, {"cache_frames_gb": 1.0}):
        assert_equal(read(dataset, 6, recompression=recompression, **options), coded)
    assert_equal(read(dataset, 2, first=4, recompression=recompression), coded[4:])
    assert_equal(read(dataset, 2, recompression=RandomRecompression(0.0, seed=1)), plain[:2])
