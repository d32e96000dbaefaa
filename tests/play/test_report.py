"""The report of live play: JSON without surprises, a page that needs nothing from outside, charts that parse."""

from __future__ import annotations

import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from eyehand.pages import plots
from eyehand.play.latency import TickTiming, summarise
from eyehand.play.report import EpisodeReport, Machine, PlayReport, Second, print_report, write_report

STAGES = {"observe": 0.1, "vision": 4.0, "act": 0.1}
TICKS = tuple(
    TickTiming(
        i / 20, 0.1, None if i == 7 else 5.0 + i % 3, int(i == 9), 1.0, {} if i == 7 else STAGES, 0.05 * (i > 20)
    )
    for i in range(40)
)
REPORT = PlayReport(
    game="doom/aim",
    player="pocket-doom",
    instruction="shoot <b>the</b> monster",
    score_name="monsters killed",
    fps=20.0,
    episodes=(EpisodeReport(0, 3.0, 1.5, True, {"kills": 3.0}), EpisodeReport(1, 9.0, 0.5, False, {"health": 50.0})),
    timing=summarise(TICKS, 20.0),
    quiet=summarise(TICKS, 20.0, quiet_only=True),
    machine=Machine("a processor", 2, 0.03, 0.05, 0.6, 400.0),
    seconds=(Second(0.0, 1.0, 0.0, 0.5, 0.6, 380.0), Second(1.0, 2.0, 0.05, 0.5, 0.6, 400.0)),
    ticks=TICKS,
    video="play.mp4",
    frames_dropped=2,
    recordings=(),
    date="2026-01-02T03:04:05+00:00",
)
NOTHING_PLAYED = replace(
    REPORT,
    episodes=(),
    timing=summarise([], 20.0),
    quiet=summarise([], 20.0),
    seconds=(),
    ticks=(),
    end="Ctrl-C",
    is_interrupted=True,
)


class Links(HTMLParser):
    """Collects everything that a page would load, and checks that its tags are closed."""

    VOID = frozenset({"meta", "link", "img", "br", "source"})

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.bold = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_page(path: Path) -> Links:
    links = Links()
    links.feed(path.read_text(encoding="utf-8"))
    assert links.open == []
    return links


def test_score_is_that_of_finished_episodes() -> None:
    assert REPORT.mean_score == 3.0
    assert replace(REPORT, episodes=REPORT.episodes[1:]).mean_score == 9.0
    assert NOTHING_PLAYED.mean_score is None


@pytest.mark.parametrize("report", [REPORT, NOTHING_PLAYED])
def test_json_is_strict_and_keeps_every_tick(report: PlayReport, tmp_path: Path) -> None:
    unknown = replace(report, ticks=(*report.ticks, TickTiming(2.0, 0.0, 1.0, 0, steal=math.nan)))
    json_path, _ = write_report(unknown, tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    values = json.loads(json_path.read_text(), parse_constant=refuse)
    assert len(values["ticks"]["latency_ms"]) == len(unknown.ticks)
    assert values["ticks"]["steal"][-1] is None
    if report is REPORT:
        assert values["ticks"]["latency_ms"][7] is None
        assert values["ticks"]["stages_ms"]["vision"][:8] == [4.0] * 7 + [None]
        assert values["timing"]["on_time"] == pytest.approx(39 / 41)


def test_page_with_a_small_video_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "play.mp4").write_bytes(b"video")
    _, html_path = write_report(REPORT, tmp_path)
    links = read_page(html_path)
    assert [load[:22] for load in links.loads] == ["data:video/mp4;base64,"]
    text = html_path.read_text(encoding="utf-8")
    assert "shoot &lt;b&gt;the&lt;/b&gt; monster" in text
    assert "<b>the</b>" not in text
    assert "prefers-color-scheme: dark" in text


def test_page_with_a_large_video_links_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eyehand.play.report._EMBED_BYTES", 3)
    (tmp_path / "play.mp4").write_bytes(b"video")
    assert read_page(write_report(REPORT, tmp_path)[1]).loads == ["play.mp4"]


def test_page_without_anything_played(tmp_path: Path) -> None:
    _, html_path = write_report(NOTHING_PLAYED, tmp_path)
    assert read_page(html_path).loads == []
    assert "until its end: Ctrl-C" in html_path.read_text(encoding="utf-8")


def test_terminal_shows_score_and_timing() -> None:
    console = Console(file=io.StringIO(), width=120)
    print_report(REPORT, console)
    print_report(NOTHING_PLAYED, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3.00 monsters killed" in text
    assert "95.1%" in text
    assert "nothing played" in text


def numbers_of(svg: str) -> list[float]:
    """Every horizontal coordinate of a chart."""
    ElementTree.fromstring(svg)
    return [float(value) for value in re.findall(r'\b(?:x|x1|x2)="(-?[\d.]+)"', svg)]


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [1e-4, 2e-4], [3.0] * 50, [0.0, 1e6]])
def test_charts_parse_and_stay_inside_whatever_the_values(values: list[float]) -> None:
    times_s = [i / 20 for i in range(len(values))]
    charts = [
        plots.histogram(values, "ms", {"p50": values[0]} if values else {}, 50.0),
        plots.stacked_timeline(times_s, {"a": values, "b": values}, "ms", 50.0, times_s[:1]),
        plots.steps([*times_s, len(values) / 20] if values else [], {"a": values}, "share"),
        plots.intervals([plots.Bar("x", v, v - 1, v + 1, 0) for v in values], "score", {"floor": 0.0}),
    ]
    for chart in charts:
        assert all(-1 <= number <= 521 for number in numbers_of(chart))


def test_stacked_timeline_keeps_the_worst_tick() -> None:
    values = [1.0] * 10_000
    values[5_123] = 80.0
    svg = plots.stacked_timeline([i / 20 for i in range(10_000)], {"latency": values}, "ms")
    heights = [float(a) - float(b) for a, b in re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", svg)]
    assert len(heights) <= 240
    assert max(heights) > 60 * min(heights)
