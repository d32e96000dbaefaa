"""Small charts as SVG text: histogram, curves, stacked timeline, steps, and means with intervals.

Drawn by hand rather than by a plotting library so that a report is one light file that reads well on a phone and
follows the reader's light or dark mode: all colours are CSS classes of `STYLE`. Knows numbers and names only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

__all__ = ["STYLE", "Bar", "columns", "curves", "histogram", "intervals", "shares", "stacked_timeline", "steps"]

STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 520, 44, 12, 24, 34
_NUM_COLOURS = 7


@dataclass(frozen=True)
class Bar:
    """A named value with its interval; `colour` counts from 0."""

    name: str
    value: float
    low: float
    high: float
    colour: int


@dataclass(frozen=True)
class _Axes:
    """Maps data to the drawing: x in [0, x_max] and y in [0, y_max] to pixels."""

    x_max: float
    y_max: float
    height: int = 220

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.x_max

    def y(self, value: float) -> float:
        return self.height - _BOTTOM - (self.height - _TOP - _BOTTOM) * min(value, self.y_max) / self.y_max

    def frame(self, x_label: str, y_label: str, y_percent: bool = False) -> list[str]:
        """Grid, ticks and labels."""
        parts = [_text(4, 12, y_label), _text(_WIDTH - _RIGHT, self.height - 4, x_label, "end")]
        for value in _round_values(self.y_max):
            y = self.y(value)
            label = f"{value:.0%}" if y_percent else f"{value:g}"
            parts += [_line("grid", _LEFT, y, _WIDTH - _RIGHT, y), _text(_LEFT - 6, y + 4, label, "end")]
        for value in _round_values(self.x_max):
            parts.append(_text(self.x(value), self.height - _BOTTOM + 15, f"{value:g}", "middle"))
        parts.append(_line("axis", _LEFT, self.y(0), _WIDTH - _RIGHT, self.y(0)))
        return parts


def histogram(values: Sequence[float], label: str, marks: Mapping[str, float], limit: float | None = None) -> str:
    """A histogram of values.

    Args:
        values: all >= 0.
        label: names the values with their unit.
        marks: vertical lines, e.g. {"p50": 8.1}.
        limit: a further line in the warning colour.
    """
    if not values:
        return _svg(60, [_text(_WIDTH / 2, 34, "nothing was measured", "middle")], label)
    x_max = _ceiling(max([*values, *marks.values(), *([limit] if limit and limit < 2.5 * max(values) else [])]))
    counts, edges = np.histogram(values, bins=48, range=(0, x_max))
    axes = _Axes(x_max, _ceiling(float(counts.max())))
    parts = axes.frame(label, "ticks")
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            parts.append(_rect("c0 flat", axes.x(left) + 0.5, axes.y(count), axes.x(right) - 0.5, axes.y(0)))
    if limit is not None and limit <= x_max:
        parts.append(_line("limit", axes.x(limit), _TOP, axes.x(limit), axes.y(0)))
    right = -1.0
    row = 0
    for name, value in sorted(marks.items(), key=lambda item: item[1]):
        x = axes.x(value)
        row = row + 1 if x < right else 0  # labels that would overlap go one line down
        right = x + 62
        side = "end" if x > _WIDTH - 70 else "start"
        parts.append(_line("mark", x, _TOP, x, axes.y(0)))
        parts.append(_text(x + (3 if side == "start" else -3), _TOP + 10 + 13 * row, f"{name} {value:.1f}", side, True))
    return _svg(axes.height, parts, label)


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]], levels: Mapping[str, float], x_label: str, y_label: str
) -> str:
    """Curves through points.

    Args:
        series: (x, y) of each curve, x ascending, both >= 0; what is far above the levels is cut off.
        levels: horizontal lines with a name.
        x_label, y_label: name the axes.
    """
    points = [point for each in series.values() for point in each]
    if not points:
        return _svg(60, [_text(_WIDTH / 2, 34, "nothing was measured yet", "middle")], y_label)
    highest = max([*(y for _, y in points), *levels.values()])
    ends = [each[-1][1] for each in series.values() if each]
    axes = _Axes(max(1.0, *(x for x, _ in points)), _ceiling(min(highest, 2.5 * max([*ends, *levels.values()]))))
    parts = axes.frame(x_label, y_label)
    for name, value in levels.items():
        y = axes.y(value)
        parts += [
            _line("mark", _LEFT, y, _WIDTH - _RIGHT, y),
            _text(_LEFT + 4, y - 3, f"{name} {value:.3g}", "start", True),
        ]
    colours = ("c0", "c3")
    for number, each in enumerate(series.values()):
        path = "L".join(f"{axes.x(x):.1f} {axes.y(y):.1f}" for x, y in each)
        colour = colours[number % len(colours)] if len(series) > 1 else "c3"
        if len(each) > 1:
            parts.append(f'<path class="{colour} thick" style="fill:none" d="M{path}"/>')
        for x, y in each[-1:] if len(each) > 40 else each:
            parts.append(f'<circle class="{colour} flat" cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="2.5"/>')
    return _svg(axes.height, parts + (_legend(list(series), colours) if len(series) > 1 else []), y_label)


def columns(names: Sequence[str], values: Sequence[float], x_label: str, y_label: str) -> str:
    """A column chart; names that would overlap are left out evenly."""
    if not any(values):
        return _svg(60, [_text(_WIDTH / 2, 34, "there is none", "middle")], x_label)
    axes = _Axes(float(len(names)), _ceiling(max(values)), height=190)
    parts = [_text(4, 12, y_label), _text(_WIDTH - _RIGHT, axes.height - 4, x_label, "end")]
    for value in _round_values(axes.y_max):
        parts += [_line("grid", _LEFT, axes.y(value), _WIDTH - _RIGHT, axes.y(value))]
        parts += [_text(_LEFT - 6, axes.y(value) + 4, f"{value:g}", "end")]
    every = math.ceil(len(names) * (max(map(len, names)) * 6.5 + 6) / (_WIDTH - _LEFT - _RIGHT))
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        if value:
            parts.append(_rect("c0 flat", axes.x(number) + 1, axes.y(value), axes.x(number + 1) - 1, axes.y(0)))
        if number % every == 0:
            parts.append(_text(axes.x(number + 0.5), axes.height - _BOTTOM + 15, name, "middle"))
    parts.append(_line("axis", _LEFT, axes.y(0), _WIDTH - _RIGHT, axes.y(0)))
    return _svg(axes.height, parts, x_label)


def shares(values: Mapping[str, float], label: str) -> str:
    """Horizontal bars for named shares between 0 and 1, in the order given."""
    if not values:
        return _svg(60, [_text(_WIDTH / 2, 34, "there is none", "middle")], label)
    name_px, bar_px = 110, 20
    parts: list[str] = []
    for number, (name, value) in enumerate(values.items()):
        top = 4 + number * bar_px
        right = name_px + (_WIDTH - name_px - 56) * value
        parts.append(_text(name_px - 8, top + 12, name, "end", True))
        parts.append(_rect("c3 flat", name_px, top + 2, max(right, name_px + 1), top + bar_px - 4))
        parts.append(_text(max(right, name_px + 1) + 6, top + 12, f"{value:.1%}"))
    return _svg(8 + len(values) * bar_px, parts, label)


def stacked_timeline(
    times_s: Sequence[float],
    layers: Mapping[str, Sequence[float]],
    label: str,
    limit: float | None = None,
    failures_s: Sequence[float] = (),
) -> str:
    """Stacked bars over time.

    Args:
        times_s: ascending; of long series the highest stack in each of at most 240 stretches is drawn.
        layers: values of each layer at these times.
        label: names the values with their unit.
        limit: a horizontal line in the warning colour.
        failures_s: times marked with a cross at the top.
    """
    if not times_s or not layers:
        return _svg(60, [_text(_WIDTH / 2, 34, "nothing was measured", "middle")], label)
    stack = np.array(list(layers.values()), dtype=float)
    duration_s = max(times_s[-1], *failures_s, 1.0) if failures_s else max(times_s[-1], 1.0)
    bucket = np.minimum((np.array(times_s) / duration_s * 240).astype(int), 239)
    total = stack.sum(axis=0)
    chosen = [int(np.flatnonzero(bucket == b)[np.argmax(total[bucket == b])]) for b in np.unique(bucket)]
    highest = float(total.max())
    axes = _Axes(duration_s, _ceiling(max(highest, limit if limit and limit < 2.5 * highest else 0.0)))
    parts = axes.frame("seconds of play", label)
    spacing_s = min(np.diff(times_s), default=duration_s)
    bar_px = min(24.0, max(1.0, axes.x(max(spacing_s, duration_s / 240)) - axes.x(0) - 0.3))
    for layer in range(len(stack)):
        below = stack[:layer].sum(axis=0)
        path = "".join(
            f"M{axes.x(times_s[i]):.1f} {axes.y(below[i]):.1f}V{axes.y(below[i] + stack[layer][i]):.1f}"
            for i in chosen
            if stack[layer][i] > 0
        )
        parts.append(f'<path class="c{layer % _NUM_COLOURS}" style="stroke-width:{bar_px:.1f}" d="{path}"/>')
    if limit is not None and limit <= axes.y_max:
        parts.append(_line("limit", _LEFT, axes.y(limit), _WIDTH - _RIGHT, axes.y(limit)))
    for time_s in failures_s:
        x = axes.x(time_s)
        parts.append(f'<path class="bad thick" d="M{x - 3:.1f} {_TOP - 3}l6 6m0 -6l-6 6"/>')
    return _svg(axes.height, parts + _legend(list(layers)), label)


def steps(
    edges_s: Sequence[float], layers: Mapping[str, Sequence[float]], label: str, y_max: float | None = None
) -> str:
    """Step curves: layer value i holds from `edges_s[i]` to `edges_s[i + 1]`. Values are shown as percentages."""
    if len(edges_s) < 2:
        return _svg(60, [_text(_WIDTH / 2, 34, "nothing was measured", "middle")], label)
    highest = max(max(values) for values in layers.values())
    axes = _Axes(edges_s[-1], y_max if y_max is not None else _ceiling(max(highest, 0.2)), height=170)
    parts = axes.frame("seconds of play", label, y_percent=True)
    for number, values in enumerate(layers.values()):
        points = [f"M{axes.x(edges_s[0]):.1f} {axes.y(0):.1f}"]
        for i, value in enumerate(values):
            points.append(f"V{axes.y(value):.1f}H{axes.x(edges_s[i + 1]):.1f}")
        colour = ("c6", "c3", "c4")[number % 3]
        parts.append(f'<path class="{colour} soft" style="stroke-width:1.5" d="{"".join(points)}V{axes.y(0):.1f}"/>')
    return _svg(axes.height, parts + _legend(list(layers), ("c6", "c3", "c4")), label)


def intervals(bars: Sequence[Bar], label: str, marks: Mapping[str, float]) -> str:
    """Horizontal bars from 0 with 95% whiskers.

    Args:
        bars: from top to bottom.
        label: names the axis.
        marks: vertical lines with a name, e.g. {"demonstrator": 1.0}.
    """
    ends = [end for bar in bars for end in (bar.low, bar.high, bar.value)] + [*marks.values(), 0.0]
    step = _step(max(ends) - min(ends) or 1.0)
    low, high = math.floor(min(ends) / step + 1e-9) * step, math.ceil(max(ends) / step - 1e-9) * step
    name_px, bar_px = 132, 22
    top = float(_TOP if marks else 6)
    bottom = top + len(bars) * bar_px + 6

    def x(value: float) -> float:
        return name_px + (_WIDTH - name_px - 54) * (value - low) / ((high - low) or 1.0)

    parts = [_text(_WIDTH - _RIGHT, bottom + 30, label, "end")]
    for value in (round(low + step * i, 10) for i in range(round((high - low) / step) + 1)):
        parts += [_line("grid", x(value), top, x(value), bottom), _text(x(value), bottom + 15, f"{value:g}", "middle")]
    for name, value in marks.items():
        parts += [_line("mark", x(value), top, x(value), bottom), _text(x(value), top - 6, name, "middle")]
    for number, bar in enumerate(bars):
        middle = top + 3 + (number + 0.5) * bar_px
        left, right = sorted((x(0.0), x(bar.value)))
        parts.append(_text(name_px - 8, middle + 4, bar.name, "end", True))
        parts.append(_rect(f"c{bar.colour} flat", left, middle - 7, max(right, left + 1), middle + 7))
        parts.append(_line("axis", x(bar.low), middle, x(bar.high), middle))
        parts += [_line("axis", x(end), middle - 4, x(end), middle + 4) for end in (bar.low, bar.high)]
        parts.append(
            _text(
                max(x(bar.high), right) + 6,
                middle + 4,
                f"{bar.value:.2f}" if abs(bar.value) < 10 else f"{bar.value:.1f}",
            )
        )
    return _svg(round(bottom + 36), parts, label)


def _legend(names: Sequence[str], colours: Sequence[str] | None = None) -> list[str]:
    """Colour names along the upper edge, right-aligned."""
    parts: list[str] = []
    right = float(_WIDTH - _RIGHT)
    for number in range(len(names) - 1, -1, -1):
        right -= 6.2 * len(names[number])
        colour = colours[number % len(colours)] if colours else f"c{number % _NUM_COLOURS}"
        parts.append(_text(right, 12, names[number]))
        parts.append(_rect(f"{colour} flat", right - 12, 4, right - 4, 12))
        right -= 20
    return parts


def _step(span: float) -> float:
    """A round distance for about four to six grid lines."""
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * 5 >= span)


def _round_values(maximum: float) -> list[float]:
    step = _step(maximum)
    return [round(step * i, 10) for i in range(int(maximum / step + 1e-9) + 1)]


def _ceiling(value: float) -> float:
    """The next round number at or above a value (1 for nothing)."""
    return math.ceil(value / (step := _step(value)) - 1e-9) * step if value > 0 else 1.0


def _svg(height: int, parts: Sequence[str], label: str) -> str:
    inner = "".join(parts)
    attributes = f'xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 {_WIDTH} {height}"'
    return f"<svg {attributes}><title>{escape(label)}</title>{inner}</svg>"


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(name: str, left: float, top: float, right: float, bottom: float) -> str:
    size = f'width="{max(right - left, 0.2):.1f}" height="{max(bottom - top, 0):.1f}"'
    return f'<rect class="{name}" x="{left:.1f}" y="{top:.1f}" {size}/>'


def _text(x: float, y: float, text: str, anchor: str = "start", is_strong: bool = False) -> str:
    strong = ' class="strong"' if is_strong else ""
    return f'<text{strong} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
