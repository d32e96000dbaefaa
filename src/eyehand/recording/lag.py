"""The lag between labels and pictures: `estimate_lag` correlates the motion of the picture with the mouse.

In a game that turns with the mouse, the picture moves from frame t to t + 1 by what the mouse did on frame t. The
motion is measured by phase correlation (Kuglin and Hines 1975): the cross-power spectrum of two pictures, each
frequency of the same weight, has its peak at their displacement. Then the lag is the shift of the labels at which mouse
and motion agree best. A label that is one tick off teaches a policy to be late for ever, and no other figure shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lag", "estimate_lag", "phase_shifts"]

MAX_LAG = 3
"""Ticks in either direction that are tried."""

CLEAR = 0.3
"""Rank correlation from which on the picture is said to follow the mouse."""

_BLOCK_FRAMES = 64
_MAX_BLOCKS = 16
_SIDE_PX = 96
_MARGIN = 0.1  # of a correlation: what is closer to another one is not clearly different
_MIN_SPEEDS = 5  # different motions of the mouse
_CHANCE = 3.5  # standard deviations of a correlation between things that have nothing to do with each other


@dataclass(frozen=True)
class Lag:
    """The estimated lag between labels and pictures.

    Attributes:
        ticks: by which the labels come too late (positive) or too early; None: no clear estimate.
        correlation: rank correlation of motion and mouse at that lag, 0 to 1.
    """

    ticks: int | None
    correlation: float


def estimate_lag(
    frames: Callable[[int, int], NDArray[np.uint8]], mouse_N2: NDArray[np.float64], num_frames: int
) -> Lag:
    """Estimate the lag of one recording.

    Args:
        frames: from start and length to pictures, uint8 (length, 192, 192, 3).
        mouse_N2: mouse motion in pixels, x and y, on each frame; 0 where it is unknown.
        num_frames: of the recording.
    """
    blocks = _liveliest_blocks(mouse_N2, num_frames)
    motions, ticks = [], []
    for start, length in blocks:
        motions.append(phase_shifts(_grey(frames(start, length))))
        ticks.append(np.arange(start, start + length - 1))
    if not blocks:
        return Lag(None, 0.0)
    motion_M2, tick_M = np.concatenate(motions), np.concatenate(ticks)
    return max((_best_lag(motion_M2[:, axis], mouse_N2[:, axis], tick_M) for axis in (0, 1)), key=_clarity)


def phase_shifts(grey_THW: NDArray[np.float32]) -> NDArray[np.float64]:
    """Displacement from each picture to the next by phase correlation, (T - 1, 2): x and y in pixels, sub-pixel."""
    moving_THW = grey_THW - grey_THW.mean(axis=0)  # what stands still (a weapon, a status bar) says nothing
    height, width = grey_THW.shape[1:]
    window_HW = np.outer(np.hanning(height), np.hanning(width))
    spectra = np.fft.rfft2(moving_THW * window_HW)
    cross = spectra[1:] * np.conj(spectra[:-1])
    surfaces_THW = np.fft.irfft2(cross / (np.abs(cross) + 1e-9), s=(height, width))
    peaks = surfaces_THW.reshape(len(surfaces_THW), -1).argmax(axis=1)
    rows, columns = np.unravel_index(peaks, (height, width))
    return np.stack([_refined(surfaces_THW, rows, columns, axis) for axis in (2, 1)], axis=1)


def _refined(
    surfaces_THW: NDArray[np.float64], rows: NDArray[np.intp], columns: NDArray[np.intp], axis: int
) -> NDArray[np.float64]:
    """Sub-pixel positions of the peaks along an axis, signed: the vertex of a parabola through peak and neighbours."""
    size = surfaces_THW.shape[axis]
    place = columns if axis == 2 else rows
    pictures = np.arange(len(place))

    def at(offset: int) -> NDArray[np.float64]:
        moved = (place + offset) % size
        index = (pictures, rows, moved) if axis == 2 else (pictures, moved, columns)
        values: NDArray[np.float64] = surfaces_THW[index]
        return values

    before, peak, after = at(-1), at(0), at(1)
    curve = before - 2 * peak + after
    offset = np.where(curve < 0, (before - after) / np.where(curve < 0, 2 * curve, 1), 0.0)
    signed = np.where(place > size // 2, place - size, place)
    refined: NDArray[np.float64] = signed + np.clip(offset, -0.5, 0.5)
    return refined


def _liveliest_blocks(mouse_N2: NDArray[np.float64], num_frames: int) -> list[tuple[int, int]]:
    """Start and length of the blocks in which the mouse moves on the most ticks, ascending."""
    starts = range(0, num_frames - _BLOCK_FRAMES // 2, _BLOCK_FRAMES)
    lively = {start: np.count_nonzero(mouse_N2[start : start + _BLOCK_FRAMES].any(axis=1)) for start in starts}
    chosen = sorted(sorted(lively, key=lambda start: -lively[start])[:_MAX_BLOCKS])
    return [(start, min(_BLOCK_FRAMES, num_frames - start)) for start in chosen if lively[start] >= 5]


def _grey(frames_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness at half the size, float32 (T, 96, 96)."""
    halves = frames_THWC.reshape(len(frames_THWC), _SIDE_PX, 2, _SIDE_PX, 2, 3)
    grey: NDArray[np.float32] = halves.mean(axis=(2, 4, 5), dtype=np.float32)
    return grey


def _best_lag(motion_M: NDArray[np.float64], mouse_N: NDArray[np.float64], tick_M: NDArray[np.int64]) -> Lag:
    """The lag along one axis; `ticks` is None where mouse and motion may agree by chance, or at several lags."""
    if len(np.unique(mouse_N[tick_M])) < _MIN_SPEEDS:
        return Lag(None, 0.0)
    by_lag = {lag: abs(_rank_correlation(motion_M, mouse_N, tick_M + lag)) for lag in range(-MAX_LAG, MAX_LAG + 1)}
    best = max(by_lag, key=lambda lag: by_lag[lag])
    strength = by_lag[best]
    if strength < max(CLEAR, _CHANCE / np.sqrt(len(tick_M))):
        return Lag(None, strength)
    # Even motion agrees nearly as well one tick off: another lag than 0 has to be clearly better.
    if strength - by_lag[0] < _MARGIN * strength:
        return Lag(0, by_lag[0])
    is_periodic = any(by_lag[lag] > (1 - _MARGIN) * strength for lag in by_lag if abs(lag - best) > 1)
    return Lag(None if is_periodic else best, strength)


def _rank_correlation(motion_M: NDArray[np.float64], mouse_N: NDArray[np.float64], tick_M: NDArray[np.int64]) -> float:
    """Spearman's rank correlation: a displacement too large to measure costs one rank and no more."""
    is_inside = (tick_M >= 0) & (tick_M < len(mouse_N))
    first, second = _ranks(motion_M[is_inside]), _ranks(mouse_N[tick_M[is_inside]])
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    ranks: NDArray[np.float64] = middle[inverse]
    return ranks


def _clarity(lag: Lag) -> tuple[bool, float]:
    return lag.ticks is not None, lag.correlation
