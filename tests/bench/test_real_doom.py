"""The benchmark of play in the real game: how it starts the game, and what it makes of its runs."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from doom_run import DoomRun

from eyehand.desktop.profile import load_profile
from eyehand.formats.doom.dsda import Wads
from programs import need_xcb


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    need_xcb()
    path = Path(__file__).parents[2] / "benchmarks" / "real_doom.py"
    spec = importlib.util.spec_from_file_location("real_doom", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["real_doom"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("game", ["crispy-doom", "chocolate-doom"])
@pytest.mark.parametrize(
    ("level", "warp"), [("E1M1", ["1", "1"]), ("E3M8", ["3", "8"]), ("MAP01", ["1"]), ("MAP30", ["30"])]
)
def test_the_game_plays_the_level_and_records(benchmark: ModuleType, game: str, level: str, warp: list[str]) -> None:
    wads = Wads(Path("/games/freedoom9.wad"))
    profile = benchmark.with_demo(load_profile(game), wads, level, 4, Path("/out/run.lmp"))
    command = list(profile.launch.command)
    at = command.index("-warp")
    assert command[at + 1 : at + 2 + len(warp)] == [*warp, "-record"]
    assert command[command.index("-iwad") + 1] == "/games/freedoom9.wad"
    assert command[command.index("-skill") + 1] == "4"
    assert command[command.index("-record") + 1] == "/out/run", "the game adds .lmp itself"
    assert "-longtics" in command
    assert profile.launch.files["extra.cfg"].endswith("key_demo_quit 27\n")
    assert load_profile(game).launch.files["default.cfg"] == profile.launch.files["default.cfg"]


def test_the_summary_is_of_each_player_in_each_level(benchmark: ModuleType) -> None:
    runs = [
        benchmark.Run(
            player, level, seed, DoomRun(120.0, 100.0 * seed, sectors, 1, 0, 0, 0, 9), 1.0, 2.0, 0.0, f"{seed}"
        )
        for player, level in (("a", "E1M1"), ("b", "E1M1"), ("a", "MAP01"))
        for seed, sectors in enumerate((5, 9, 7))
    ]
    rows = benchmark.summary(runs)
    assert [(row["player"], row["level"], row["runs"]) for row in rows] == [
        ("a", "E1M1", 3),
        ("b", "E1M1", 3),
        ("a", "MAP01", 3),
    ]
    assert rows[0]["sectors"]["mean"] == 7
    assert rows[0]["sectors"]["low"] < 7 < rows[0]["sectors"]["high"]
    assert (rows[0]["best"], rows[0]["median"]) == ("1", "2")


def test_benchmarks_of_one_player_each_are_put_together(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when several play at once, in processes of their own."""
    facts = DoomRun(120.0, 100.0, 5, 1, 0, 0, 0, 9)
    for player in ("a", "b<"):
        out = tmp_path / player
        out.mkdir()
        run = benchmark.Run(player, "E1M1", 0, facts, 1.0, 2.0, 0.0, str(out / "play.mp4"))
        options = argparse.Namespace(game="doom", seconds=7.0, skill=3, instruction="go", out=out)
        benchmark.write(options, [run], [f"{player} in MAP01: failed"])
    both = tmp_path / "both"
    parts = [str(tmp_path / player) for player in ("a", "b<")]
    monkeypatch.setattr(sys, "argv", ["real_doom.py", "--merge", *parts, "--out", str(both)])
    benchmark.main()
    result = json.loads((both / "real_doom.json").read_text())
    assert [run["player"] for run in result["runs"]] == ["a", "b<"]
    assert result["failures"] == ["a in MAP01: failed", "b< in MAP01: failed"]
    assert (result["seconds"], result["instruction"]) == (7.0, "go")
    page = (both / "report.html").read_text()
    assert 'src="../a/play.mp4"' in page
    assert "b&lt; in MAP01: failed" in page
