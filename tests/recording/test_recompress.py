"""Recompression does to pictures what recording does, and no more; the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import moving_block
from eyehand.recording.reader import Recording
from eyehand.recording.recompress import Coding, draw_coding, recompress

FRAMES = np.stack([moving_block.picture(index % 3, index) for index in range(40)])


def error(coding: Coding) -> float:
    return float(np.abs(recompress(FRAMES, coding).astype(int) - FRAMES).mean())


def test_quality_and_chroma_do_what_they_say() -> None:
    assert np.array_equal(recompress(FRAMES, Coding(0, "rgb")), FRAMES)
    for chroma in ("420", "444", "rgb"):
        assert error(Coding(6, chroma)) < error(Coding(40, chroma)) < 20
    edges = error(Coding(1, "420"))  # colour at half the resolution loses what no quality brings back
    assert edges > 2 * error(Coding(1, "444"))


def test_it_is_what_the_recorder_does(tmp_path: Path) -> None:
    path = moving_block.record(tmp_path, seed=1)
    pictures = [moving_block.picture(int(p), i) for i, p in enumerate(moving_block.places(40, 1))]
    with Recording.open(path) as recording:
        assert np.array_equal(recompress(np.stack(pictures), Coding(18, "420")), recording.decode_clip(0, 40))


@pytest.mark.parametrize("length", [1, 2, 21])
def test_every_picture_comes_back_in_its_place(length: int) -> None:
    coded = recompress(FRAMES[:length], Coding(12, "444"))
    assert coded.shape == FRAMES[:length].shape
    assert all(
        np.abs(coded[i].astype(int) - FRAMES[i]).mean() < np.abs(coded[i].astype(int) - FRAMES[i - 1]).mean()
        for i in range(1, length)
    )
    assert np.array_equal(coded, recompress(FRAMES[:length], Coding(12, "444")))


def test_draws_cover_the_range() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_coding(rng) for _ in range(300)]
    assert {coding.crf for coding in drawn} == set(range(6, 19))
    assert {coding.chroma for coding in drawn} == {"420", "444", "rgb"}
    assert str(Coding(18)) == "CRF 18, 4:2:0"
