"""Augmentation: one draw for a clip, the ranges of the reference, and each change does what its name says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

import moving_block
from eyehand.data.augment import Draw, augment, augment_clip, draw


@pytest.fixture(scope="module", name="still_TCHW")
def still() -> Tensor:
    """A still picture, four times."""
    return torch.from_numpy(moving_block.picture(0, 3)).permute(2, 0, 1)[None].repeat(4, 1, 1, 1)


def apply(frames_TCHW: Tensor, **changes: object) -> Tensor:
    return augment_clip(frames_TCHW, Draw(**changes), torch.Generator().manual_seed(0))  # type: ignore[arg-type]


def mean_colour(frames_TCHW: Tensor) -> list[float]:
    return frames_TCHW.float().mean((0, 2, 3)).tolist()


def centre_of_block(frames_TCHW: Tensor) -> tuple[float, float]:
    """Row and column in pixels of the bright block's middle."""
    rows, columns = torch.nonzero(frames_TCHW[0, 0] > 128, as_tuple=True)
    return rows.float().mean().item(), columns.float().mean().item()


def test_shape_and_type_stay_and_the_input_is_not_written(still_TCHW: Tensor) -> None:
    clips_BTCHW = torch.stack([still_TCHW] * 3)
    before = clips_BTCHW.clone()
    out = augment(clips_BTCHW, np.random.default_rng(1))
    assert out.shape == clips_BTCHW.shape
    assert out.dtype == torch.uint8
    assert torch.equal(clips_BTCHW, before)
    assert out.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_all_frames_of_a_clip_change_alike_and_clips_differ(still_TCHW: Tensor) -> None:
    rng = np.random.default_rng(0)
    draws = [draw(rng) for _ in range(40)]
    changed = [augment_clip(still_TCHW, d, torch.Generator()) for d in draws if not d.noise_luma]
    assert len(changed) > 25
    for clip in changed:
        assert all(torch.equal(frame, clip[0]) for frame in clip[1:])
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(changed))


def test_noise_is_fresh_in_every_frame(still_TCHW: Tensor) -> None:
    noisy = apply(still_TCHW, noise_luma=5.0, noise_colour=2.0)
    assert not torch.equal(noisy[0], noisy[1])
    assert (noisy.float() - still_TCHW.float()).std().item() == pytest.approx(4.6, abs=0.5)


def test_the_same_generator_gives_the_same_picture(still_TCHW: Tensor) -> None:
    clips_BTCHW = still_TCHW[None].repeat(6, 1, 1, 1, 1)
    first, second = (augment(clips_BTCHW, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(clips_BTCHW, np.random.default_rng(4)))


def test_strength_zero_is_off(still_TCHW: Tensor) -> None:
    clips_BTCHW = still_TCHW[None]
    assert augment(clips_BTCHW, np.random.default_rng(0), 0.0) is clips_BTCHW
    assert draw(np.random.default_rng(0), 0.0) == Draw()
    assert torch.equal(apply(still_TCHW), still_TCHW)


def test_ranges_and_chances_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    draws = [draw(rng) for _ in range(4000)]
    angles = [math.degrees(d.rotation_rad) for d in draws]
    assert -3 <= min(angles) < -2.9
    assert 2.9 < max(angles) <= 3
    chances = {
        0.25: [d.brightness != 1 for d in draws],
        0.250001: [d.kelvin is not None for d in draws],
        0.1: [d.noise_luma > 0 for d in draws],
        0.2: [d.blur is not None for d in draws],
        0.15: [d.sharpness != 1 for d in draws],
        0.250002: [d.shift != 0 for d in draws],
    }
    for chance, happened in chances.items():
        assert np.mean(happened) == pytest.approx(chance, abs=0.02)
    assert max(abs(d.shift) for d in draws) <= 0.03
    assert {d.blur.shape[0] for d in draws if d.blur is not None} == {3, 5, 7}
    assert all(d.blur.sum() == pytest.approx(1) for d in draws if d.blur is not None)
    assert all(3000 <= d.kelvin <= 15000 for d in draws if d.kelvin is not None)


def test_a_shift_moves_right_by_its_share_of_the_width(still_TCHW: Tensor) -> None:
    row, column = centre_of_block(still_TCHW)
    assert centre_of_block(apply(still_TCHW, shift=0.125)) == pytest.approx((row, column + 24), abs=0.1)


def test_a_rotation_turns_about_the_middle(still_TCHW: Tensor) -> None:
    row, column = centre_of_block(still_TCHW)
    angle = math.radians(20)
    y, x = row - 95.5, column - 95.5
    moved = centre_of_block(apply(still_TCHW, rotation_rad=angle))
    # In picture coordinates (y down) the sampling grid turns one way, so the content turns the other.
    expected = 95.5 + y * math.cos(angle) - x * math.sin(angle), 95.5 + y * math.sin(angle) + x * math.cos(angle)
    assert moved == pytest.approx(expected, abs=0.5)


def test_colours(still_TCHW: Tensor) -> None:
    red, green, blue = mean_colour(still_TCHW)
    assert mean_colour(apply(still_TCHW, brightness=0.8)) == pytest.approx([0.8 * c for c in (red, green, blue)], abs=1)
    grey = apply(still_TCHW, saturation=0.0)
    assert (grey[:, 0] == grey[:, 1]).all()
    flat, strong = apply(still_TCHW, contrast=0.5), apply(still_TCHW, contrast=1.2)
    assert flat.float().std() < still_TCHW.float().std() < strong.float().std()
    assert flat.float().mean().item() == pytest.approx(still_TCHW.float().mean().item(), abs=4)
    warm, cold = mean_colour(apply(still_TCHW, kelvin=3500.0)), mean_colour(apply(still_TCHW, kelvin=12000.0))
    assert warm[0] / warm[2] > red / blue > cold[0] / cold[2]
    assert mean_colour(apply(still_TCHW, kelvin=6600.0)) == pytest.approx([red, green, blue], abs=0.6)
    # A whole turn of the colour circle changes nothing, half of one changes orange into blue.
    assert (apply(still_TCHW, hue_rad=2 * math.pi).float() - still_TCHW.float()).abs().max() <= 1
    turned = apply(still_TCHW, hue_rad=math.pi)[0, :, 50, 20].tolist()
    assert turned[2] > turned[0]


def test_blur_softens_and_sharpness_hardens_edges(still_TCHW: Tensor) -> None:
    def roughness(frames_TCHW: Tensor) -> float:
        return float(frames_TCHW.float().diff(dim=-1).square().mean())

    original = roughness(still_TCHW)
    assert roughness(apply(still_TCHW, blur=np.full((5, 5), 1 / 25))) < 0.5 * original
    assert roughness(apply(still_TCHW, sharpness=0.5)) < original < roughness(apply(still_TCHW, sharpness=1.5))
