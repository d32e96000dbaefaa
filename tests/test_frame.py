"""The one resize."""

import numpy as np
import pytest
import torch

from eyehand.frame import Frame, resize


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_resize_is_torch_uint8_bilinear_with_antialiasing() -> None:
    pixels = _picture(240, 320)
    small = resize(pixels)
    exact = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].double(), size=(192, 192), mode="bilinear", antialias=True
    )
    assert small.shape == (192, 192, 3)
    assert small.dtype == np.uint8
    assert small.flags["C_CONTIGUOUS"]
    assert np.abs(small.astype(float) - exact[0].permute(1, 2, 0).numpy()).max() < 1.01


def test_resize_leaves_the_models_size_alone() -> None:
    pixels = _picture(192, 192)
    assert resize(pixels) is pixels


def test_resize_does_not_depend_on_memory_layout() -> None:
    pixels = _picture(480, 640)
    mirrored = pixels[:, ::-1]
    assert np.array_equal(resize(mirrored), resize(np.ascontiguousarray(mirrored)))
    assert np.array_equal(resize(np.asfortranarray(pixels)), resize(pixels))


@pytest.mark.parametrize("shape", [(480, 640), (240, 320), (720, 1280), (1080, 1920), (333, 777), (100, 130), (1, 1)])
def test_version_1_is_what_torch_makes_of_planes(shape: tuple[int, int]) -> None:
    """Checkpoints carry `RESIZE_VERSION`: these bytes must not change with the layout that torch is given."""
    pixels = _picture(*shape)
    planes_1CHW = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()[None]
    expected = torch.nn.functional.interpolate(planes_1CHW, size=(192, 192), mode="bilinear", antialias=True)
    assert np.array_equal(resize(pixels), expected[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("shape", [(480, 640), (720, 1280), (333, 777), (192, 192), (100, 130), (1, 1)])
def test_bgrx_of_a_screen_gives_what_its_rgb_gives(shape: tuple[int, int]) -> None:
    """The fourth channel is noise here, and must not be seen."""
    bgrx = np.random.default_rng(1).integers(0, 256, (*shape, 4), dtype=np.uint8)
    rgb = np.ascontiguousarray(bgrx[..., 2::-1])
    frame = Frame(bgrx, 0)
    assert np.array_equal(frame.small(), resize(rgb))
    assert np.array_equal(frame.small(32), resize(rgb, 32))
    assert np.array_equal(frame.pixels, rgb)
    assert frame.pixels is frame.pixels, "made once"
    assert frame.small() is frame.small(), "made once"


def test_a_frame_of_rgb_hands_it_out_as_it_is() -> None:
    pixels = _picture(48, 64)
    frame = Frame(pixels, 0)
    assert frame.pixels is pixels
    assert np.array_equal(frame.small(), resize(pixels))
