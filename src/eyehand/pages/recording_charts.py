"""Histograms and tables of one or several recordings: keys held, lengths of presses, mouse motion.

Knows timelines and reports, no video and no page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eyehand.action_space import P2P, Axis
from eyehand.pages.page import card, facts, table
from eyehand.pages.plots import columns, shares
from eyehand.recording.inspect import RecordingReport
from eyehand.recording.timeline import Hold, Timeline

__all__ = ["recording_charts", "recording_facts"]

_HOLD_EDGES = (1, 2, 3, 4, 6, 9, 13, 21, 41, 81)
_BUTTON_NAMES = {"0": "left button", "1": "right button", "2": "middle button"}


def recording_charts(timelines: Sequence[Timeline]) -> str:
    """Histograms of held keys, presses and mouse motion, and a table of keys, of all these recordings together."""
    num_frames = sum(int(timeline.is_known_N.sum()) for timeline in timelines)
    presses = [hold for timeline in timelines for hold in timeline.holds]
    lengths = [hold.num_frames for hold in presses]
    held: Counter[str] = Counter()
    for hold in presses:
        held[hold.name] += hold.num_frames
    dx_N = np.concatenate([timeline.dx_N[timeline.is_known_N] for timeline in timelines])
    dy_N = np.concatenate([timeline.dy_N[timeline.is_known_N] for timeline in timelines])
    share_of = {_named(name): count / max(1, num_frames) for name, count in held.most_common(14)}
    hold_names, hold_counts = _hold_histogram(lengths)
    hold_note = f"1 frame is {1000 / timelines[0].fps:g} ms."
    hold_note += f" Half of the presses last {np.median(lengths):g} or less." if lengths else ""
    cards = (
        card("Held keys and buttons", shares(share_of, "share of frames"), "Of the frames with a known action."),
        card("How long a press lasts", columns(hold_names, hold_counts, "frames held", "presses"), hold_note),
        card("Mouse dx", columns(*_motion(dx_N, P2P.dx), "pixels per frame, right > 0", "frames"), _still(dx_N)),
        card("Mouse dy", columns(*_motion(dy_N, P2P.dy), "pixels per frame, down > 0", "frames"), _still(dy_N)),
        _presses(presses, held, num_frames),
    )
    return f'<div class="grid">{"".join(cards)}</div>'


def recording_facts(report: RecordingReport) -> str:
    """The row of large figures of one recording."""
    lag = "not told" if report.label_lag is None else f"{report.label_lag:+d} ticks" if report.label_lag else "agree"
    return facts(
        [
            (f"{report.user_share:.0%}", "frames with a user's action", "" if report.user_share else "bad"),
            (f"{report.system_share:.0%}", "frames on which a system acted", ""),
            (f"{report.measured_fps:.2f}", f"frames per second (stated {report.fps:g})", ""),
            (lag, "labels and pictures", "bad" if report.label_lag else "good" if report.label_lag == 0 else ""),
            (str(sum(bool(text) for text in report.instructions)), "different instructions", ""),
        ]
    )


def _presses(presses: Sequence[Hold], held: Counter[str], num_frames: int) -> str:
    lengths_of: dict[str, list[int]] = {}
    for hold in presses:
        lengths_of.setdefault(hold.name, []).append(hold.num_frames)
    rows = [
        (_named(name), f"{count / max(1, num_frames):.1%}", str(len(each)), f"{np.median(each):g}", str(max(each)))
        for name, count in held.most_common()
        for each in [lengths_of[name]]
    ]
    heads = ("key", "held", "presses", "median frames", "longest")
    return card("Presses", table(heads, rows), style="wide") if rows else ""


def _named(name: str) -> str:
    button = name.removeprefix("button ")
    return _BUTTON_NAMES.get(button, name) if button != name else name


def _hold_histogram(lengths: Sequence[int]) -> tuple[list[str], list[float]]:
    """Histogram of the lengths of presses in frames, in growing bins: names and counts."""
    names = [str(start) if after - start == 1 else f"{start}-{after - 1}" for start, after in pairwise(_HOLD_EDGES)]
    counts, _ = np.histogram(lengths, bins=[*_HOLD_EDGES, np.inf])
    return [*names, f"{_HOLD_EDGES[-1]}+"], counts.astype(float).tolist()


def _motion(values_N: NDArray[np.int64], axis: Axis) -> tuple[list[str], list[float]]:
    """Histogram of mouse motion over the vocabulary's bins. Frames without motion are left out: they would dwarf it."""
    moved = [axis.bin_of(int(value)) for value in values_N if value]
    counts = np.bincount(np.array(moved, np.int64), minlength=axis.num_bins)
    return [f"{centre:g}" for centre in axis.mean], counts.astype(float).tolist()


def _still(values_N: NDArray[np.int64]) -> str:
    return f"Without motion: {np.mean(values_N == 0):.0%} of the frames." if len(values_N) else ""
