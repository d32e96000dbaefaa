"""The stream of clips: reproducible from a number, even over frames, fair to tasks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyehand.data.sampler import ClipKey, ClipSampler, covering_clips


def sampler(num_steps: list[int], clip_steps: int = 8, seed: int = 0, balance: float = 1.0) -> ClipSampler:
    return ClipSampler(num_steps, ["t"] * len(num_steps), clip_steps, seed=seed, task_balance=balance)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 20), st.integers(0, 99))
@settings(max_examples=50)
def test_clips_lie_inside_their_episodes(num_steps: list[int], clip_steps: int, seed: int) -> None:
    stream = sampler(num_steps, clip_steps, seed)
    for position in range(stream.clips_per_epoch):
        clip = stream.clip(position)
        assert 0 <= clip.start <= max(0, num_steps[clip.episode] - clip_steps)


def test_the_stream_can_be_entered_anywhere() -> None:
    whole = list(itertools.islice(sampler([50, 31]).batches(3), 12))
    late = list(itertools.islice(sampler([50, 31]).batches(3, first_batch=7), 5))
    assert late == whole[7:]


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_ranks_have_even_shares_of_one_stream(world_size: int) -> None:
    whole = list(itertools.islice(sampler([50, 31]).batches(2 * world_size), 9))
    shares = [
        list(itertools.islice(sampler([50, 31]).batches(2, rank=rank, world_size=world_size), 9))
        for rank in range(world_size)
    ]
    assert [list(itertools.chain(*parts)) for parts in zip(*shares, strict=True)] == whole
    late = itertools.islice(sampler([50, 31]).batches(2, 5, rank=world_size - 1, world_size=world_size), 4)
    assert list(late) == shares[-1][5:]
    with pytest.raises(ValueError, match="is not one of"):
        next(sampler([50]).batches(2, rank=world_size, world_size=world_size))


def test_the_order_is_the_one_it_always_was() -> None:
    """A run that is resumed by a later version goes on in the same order."""
    stream = ClipSampler([50, 31, 9], ["a", "b", "b"], 8, seed=5)
    assert [(key.episode, key.start) for key in next(stream.batches(6))] == [
        (0, 16),
        (0, 29),
        (1, 0),
        (2, 1),
        (0, 40),
        (2, 0),
    ]


def test_seeds_and_epochs_differ() -> None:
    one, other = sampler([400], seed=1), sampler([400], seed=2)
    epochs = [
        [s.clip(e * s.clips_per_epoch + i) for i in range(s.clips_per_epoch)] for s in (one, other) for e in (0, 1)
    ]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    starts = [sorted(clip.start for clip in epoch) for epoch in epochs]
    assert starts[0] != starts[1]  # not the same clips in another order


def test_every_frame_is_seen_about_equally_often() -> None:
    stream, seen = sampler([100, 20], clip_steps=10), [np.zeros(100), np.zeros(20)]
    for position in range(400 * stream.clips_per_epoch):
        clip = stream.clip(position)
        seen[clip.episode][clip.start : clip.start + 10] += 1
    rates = np.concatenate(seen) / 400
    assert rates.mean() == pytest.approx(1.0, abs=0.01)
    assert rates.min() > 0.4  # also the first and the last frame
    assert rates.max() < 1.7


@pytest.mark.parametrize(("balance", "share"), [(1.0, 900 / 1000), (0.5, 30 / 40), (0.0, 0.5)])
def test_tasks_get_their_share(balance: float, share: float) -> None:
    stream = ClipSampler([450, 450, 100], ["big", "big", "small"], 2, seed=0, task_balance=balance)
    big = sum(stream.clip(i).episode < 2 for i in range(stream.clips_per_epoch))
    assert big / stream.clips_per_epoch == pytest.approx(share, abs=0.01)


def test_a_tiny_data_set_fills_any_batch() -> None:
    assert next(sampler([3], clip_steps=8).batches(5)) == [ClipKey(0, 0)] * 5


def test_covering_clips_lie_side_by_side_and_are_thinned_evenly() -> None:
    assert covering_clips([20, 5], 8, 99) == [ClipKey(0, 0), ClipKey(0, 8), ClipKey(0, 16), ClipKey(1, 0)]
    assert covering_clips([800], 8, 3) == [ClipKey(0, 0), ClipKey(0, 400), ClipKey(0, 792)]
    assert covering_clips([80], 8, 1) == [ClipKey(0, 0)]


def test_tasks_of_short_episodes_get_more_clips_for_their_share_of_the_frames() -> None:
    """400 frames each. In clips of 8, episodes of 4 fill half a clip, those of 1 an eighth (counted as a third)."""
    num_steps = [40] * 10 + [4] * 100 + [1] * 400
    stream = ClipSampler(num_steps, ["long"] * 10 + ["short"] * 100 + ["tiny"] * 400, 8, seed=0, task_balance=1.0)
    episodes = [stream.clip(position).episode for position in range(stream.clips_per_epoch)]
    long = sum(episode < 10 for episode in episodes)
    short = sum(10 <= episode < 110 for episode in episodes)
    tiny = sum(episode >= 110 for episode in episodes)
    assert (short / long, tiny / long) == pytest.approx((2.0, 3.0), rel=0.05)
