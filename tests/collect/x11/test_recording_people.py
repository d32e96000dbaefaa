"""Our labels of a person's play against the engine's own, through the benchmark that says how exact they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "recording_people.py"
DEGREES_PER_PX = 0.1318359375
"""Of ViZDoom at its own mouse settings: 24 of 65536 parts of a turn."""


@pytest.mark.slow
@pytest.mark.needs("Xvfb")
def test_the_engine_agrees_with_our_labels(tmp_path: Path) -> None:
    """Exact in what was done; in when, as loose as a busy machine must be (docs/results.md has the true figures)."""
    out = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--seconds", "6", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert figures["events_sent"] > 50
    assert figures["events_recorded_as_sent"]
    assert figures["pixels_sent"] == figures["pixels_recorded"] == figures["pixels_in_labels"]
    assert figures["degrees_turned_in_game"] == pytest.approx(-DEGREES_PER_PX * figures["pixels_sent"], abs=0.02)
    engine = figures["engine"]
    assert engine["compared"] > 50
    assert engine["agreement"] > 0.8
    assert engine["misses_at_an_edge"] + engine["misses_in_a_stall"] + engine["misses_unexplained"] == round(
        (1 - engine["agreement"]) * engine["compared"]
    )
