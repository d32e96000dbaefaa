"""Augmentation of clips: one draw for a whole clip, applied on the device that holds the frames.

The list and its ranges are those of Open Pixels2Play (arXiv 2601.04575, appendix): small rotation and horizontal
shift, colour jitter, Planckian jitter, ISO noise, blur, sharpness. All colour changes are folded into one 3x4 matrix
and all geometry into one resampling, so that a clip costs few passes over memory. uint8 in, uint8 out: the network's
own scaling stays the only one. Knows nothing about actions; a mirrored picture, say, would need other labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Draw", "augment", "augment_clip", "draw"]

_GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""

_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


@dataclass(frozen=True)
class Draw:
    """The augmentation parameters of one clip. The defaults change nothing.

    Attributes:
        rotation_rad: turn about the middle of the picture.
        shift: share of the width that the picture moves to the right.
        brightness, contrast, saturation, sharpness: factors.
        hue_rad: turn of the colour circle.
        kelvin: colour temperature of the light; None leaves it (6,600 K is neutral).
        noise_luma, noise_colour: standard deviation of sensor noise, in units of 0..255.
        blur: odd kernel, (k, k), sums to one; None: none.
    """

    rotation_rad: float = 0.0
    shift: float = 0.0
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue_rad: float = 0.0
    kelvin: float | None = None
    noise_luma: float = 0.0
    noise_colour: float = 0.0
    blur: NDArray[np.float64] | None = None
    sharpness: float = 1.0


def draw(rng: np.random.Generator, strength: float = 1.0) -> Draw:
    """Random parameters for one clip. `strength` scales every range; 1 is the reference's list."""
    if strength <= 0:
        return Draw()

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability)

    def around(centre: float, width: float) -> float:
        return float(rng.uniform(centre - width * strength, centre + width * strength))

    rotation_rad = math.radians(around(0, 3))
    brightness = contrast = saturation = 1.0
    hue_rad = 0.0
    if happens(0.25):
        brightness, contrast, saturation = around(1, 0.2), around(1, 0.2), around(1, 0.2)
        hue_rad = 2 * math.pi * around(0, 0.2)
    kelvin = None
    if happens(0.25):
        # Even steps in 1/T look even to the eye; 3,000 to 15,000 K is the reference's range about 6,600 K.
        neutral, lowest, highest = 1 / 6600, 1 / 15000, 1 / 3000
        mired = neutral + strength * (rng.uniform(lowest, highest) - neutral)
        kelvin = float(1 / max(mired, 1 / 40000))
    noise_luma = noise_colour = 0.0
    if happens(0.1):
        intensity = strength * float(rng.uniform(0.1, 0.6))
        # The reference draws brightness noise from Poisson(255 * spread * intensity), spread about 0.2 of the range.
        noise_luma = math.sqrt(255 * 0.2 * intensity)
        noise_colour = 255 * float(rng.uniform(0.01, 0.2)) * intensity * 0.5
    blur = _blur_kernel(rng) if happens(0.2 * min(strength, 1.0)) else None
    sharpness = around(1, 0.5) if happens(0.15) else 1.0
    shift = around(0, 0.03) if happens(0.25) else 0.0
    return Draw(
        *(rotation_rad, shift, brightness, contrast, saturation, hue_rad, kelvin),
        *(noise_luma, noise_colour, blur, sharpness),
    )


def augment(frames_BTCHW: Tensor, rng: np.random.Generator, strength: float = 1.0) -> Tensor:
    """Augment a batch of clips, each with its own draw.

    Args:
        frames_BTCHW: uint8 RGB; any memory format, on any device.
        rng: the only source of randomness: the same state gives the same picture on the same device.
        strength: 0 returns the frames untouched, 1 is the reference's list.

    Returns:
        A new uint8 tensor of the same shape, channels last in memory.
    """
    if strength <= 0:
        return frames_BTCHW
    b, t, c, h, w = frames_BTCHW.shape
    out_BTHWC = torch.empty((b, t, h, w, c), dtype=torch.uint8, device=frames_BTCHW.device)
    noise = torch.Generator(device=frames_BTCHW.device)
    for row in range(b):
        changes = draw(rng, strength)
        noise.manual_seed(int(rng.integers(2**62)))
        out_BTHWC[row] = augment_clip(frames_BTCHW[row], changes, noise).permute(0, 2, 3, 1)
    return out_BTHWC.permute(0, 1, 4, 2, 3)


def augment_clip(frames_TCHW: Tensor, changes: Draw, noise: torch.Generator) -> Tensor:
    """Apply one draw to every frame of a clip: uint8 (T, 3, H, W) in and out."""
    x_TCHW = frames_TCHW.to(torch.float32, memory_format=torch.contiguous_format)
    x_TCHW = _resample(x_TCHW, changes)
    x_TCHW = _recolour(x_TCHW, changes)
    if changes.noise_luma > 0 or changes.noise_colour > 0:
        x_TCHW = _add_noise(x_TCHW.clamp(0, 255), changes, noise)
    if changes.blur is not None:
        x_TCHW = _convolve(x_TCHW, changes.blur)
    if changes.sharpness != 1.0:
        x_TCHW = _convolve(x_TCHW.clamp(0, 255), _sharpness_kernel(changes.sharpness))
    return x_TCHW.round_().clamp_(0, 255).to(torch.uint8)


def _on(device: torch.device, numbers: NDArray[np.float64]) -> Tensor:
    """A few numbers as a float32 tensor on the device, copied without synchronisation."""
    values = torch.from_numpy(numbers.astype(np.float32))
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def _resample(x_TCHW: Tensor, changes: Draw) -> Tensor:
    """Rotate and shift: all T*C planes share one sampling grid, so the grid is looked up once for the clip."""
    if changes.rotation_rad == 0 and changes.shift == 0:
        return x_TCHW
    t, c, h, w = x_TCHW.shape
    cos, sin = math.cos(changes.rotation_rad), math.sin(changes.rotation_rad)
    # Coordinates run from -1 to 1, so a turn in pixels needs the aspect ratio, and a share of the width is doubled.
    theta = [[cos, -sin * h / w, -2 * changes.shift], [sin * w / h, cos, 0.0]]
    theta_123 = _on(x_TCHW.device, np.array([theta]))
    grid_1HW2 = F.affine_grid(theta_123, [1, 1, h, w], align_corners=False)
    planes_1NHW = x_TCHW.reshape(1, t * c, h, w)
    moved = F.grid_sample(planes_1NHW, grid_1HW2, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.view(t, c, h, w)


def _recolour(x_TCHW: Tensor, changes: Draw) -> Tensor:
    """Brightness, contrast (about the clip's mean grey), saturation, hue and light temperature in one matrix."""
    matrix = _colour_matrix(changes)
    if changes.contrast == 1.0 and np.array_equal(matrix, np.eye(3)):
        return x_TCHW
    weights_33 = _on(x_TCHW.device, matrix)
    x_TCHW = torch.einsum("dc,tchw->tdhw", weights_33, x_TCHW)
    if changes.contrast != 1.0:
        grey_3 = _on(x_TCHW.device, _GREY)
        # Every eighth pixel is enough for a mean.
        mean_grey = torch.dot(x_TCHW[:, :, ::8, ::8].mean((0, 2, 3)), grey_3)
        x_TCHW = torch.lerp(mean_grey.expand_as(x_TCHW), x_TCHW, changes.contrast)
    return x_TCHW


def _colour_matrix(changes: Draw) -> NDArray[np.float64]:
    matrix = np.eye(3)
    if changes.saturation != 1.0:
        matrix = changes.saturation * matrix + (1 - changes.saturation) * np.tile(_GREY, (3, 1))
    if changes.hue_rad != 0.0:
        cos, sin = math.cos(changes.hue_rad), math.sin(changes.hue_rad)
        turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        matrix = _YIQ_TO_RGB @ turn @ _RGB_TO_YIQ @ matrix
    if changes.kelvin is not None:
        matrix = np.diag(_light(changes.kelvin)) @ matrix
    return changes.brightness * matrix


def _light(kelvin: float) -> NDArray[np.float64]:
    """Gains of red, green and blue under black-body light of this temperature, relative to 6,600 K and to green.

    Planck's law at 600, 540 and 450 nm, the middles of the three sensitivities of a camera.
    """
    wavelengths_m = np.array([600e-9, 540e-9, 450e-9])
    planck = 1.438777e-2 / wavelengths_m  # h c / (lambda k)
    gains = np.expm1(planck / 6600) / np.expm1(planck / kelvin)
    light: NDArray[np.float64] = gains / gains[1]
    return light


def _add_noise(x_TCHW: Tensor, changes: Draw, generator: torch.Generator) -> Tensor:
    """Sensor noise at high ISO: fresh for every frame, stronger in the dark, partly common to the three colours."""
    t, _, h, w = x_TCHW.shape
    luma_T1HW = torch.randn((t, 1, h, w), generator=generator, device=x_TCHW.device)
    colour_TCHW = torch.randn(x_TCHW.shape, generator=generator, device=x_TCHW.device)
    darkness_TCHW = 1 - x_TCHW / 255
    return x_TCHW + changes.noise_luma * luma_T1HW * darkness_TCHW + changes.noise_colour * colour_TCHW


def _convolve(x_TCHW: Tensor, kernel: NDArray[np.float64]) -> Tensor:
    """Filter every plane with one odd (k, k) kernel; edges are repeated.

    A sum of shifted pictures: with one channel in and out that is five times faster than conv2d on a CPU, and it
    skips the zeros that motion kernels mostly consist of.
    """
    height, width = x_TCHW.shape[-2:]
    radius = kernel.shape[0] // 2
    padded_TCHW = F.pad(x_TCHW, (radius,) * 4, mode="replicate")
    total_TCHW = torch.zeros_like(x_TCHW)
    for row, column in np.argwhere(kernel):
        total_TCHW.add_(padded_TCHW[..., row : row + height, column : column + width], alpha=float(kernel[row, column]))
    return total_TCHW


def _sharpness_kernel(factor: float) -> NDArray[np.float64]:
    """The kernel that blurs below factor 1 and sharpens above 1 (Pillow's definition)."""
    soft = np.array([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13
    identity = np.zeros((3, 3))
    identity[1, 1] = 1
    return factor * identity + (1 - factor) * soft


def _blur_kernel(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random Gaussian or motion blur kernel of size 3 to 7."""
    size = int(rng.choice([3, 5, 7]))
    offsets = np.arange(size) - size // 2
    kernel: NDArray[np.float64]
    if rng.random() < 0.5:
        line = np.exp(-0.5 * (offsets / (0.15 * size + 0.35)) ** 2)
        kernel = np.outer(line, line)
    else:
        angle = rng.uniform(0, math.pi)
        along = np.cos(angle) * offsets[None, :] + np.sin(angle) * offsets[:, None]
        across = -np.sin(angle) * offsets[None, :] + np.cos(angle) * offsets[:, None]
        kernel = np.clip(1 - np.abs(across), 0, None) * (np.abs(along) <= size / 2)
    normalised: NDArray[np.float64] = kernel / kernel.sum()
    return normalised
