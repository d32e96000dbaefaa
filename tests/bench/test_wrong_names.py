"""A benchmark that is given a wrong name says one sentence, as a command does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from programs import need_xcb

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("loader.py nowhere", "nowhere is no folder"),
        ("index.py nowhere", "nowhere is no folder"),
        ("training.py nowhere", "nowhere is no folder"),
        ("collect.py --game doom/nope", "Unknown game 'doom/nope'"),
        ("real_doom.py no/such", "There is no checkpoint 'no/such'"),
        ("real_doom.py random --game nope", "Unknown game 'nope'"),
        ("real_doom.py random --levels XX", "There is no level 'XX'"),
        ("real_doom.py random --wads nowhere", "nowhere/freedoom1.wad is missing"),
        ("real_doom.py --merge nowhere", "nowhere/real_doom.json cannot be read (No such file or directory)"),
        ("recording_people.py --out /proc/x", "Cannot write /proc/x"),
    ],
)
def test_a_wrong_name_is_one_sentence(arguments: str, sentence: str, tmp_path: Path) -> None:
    script, *rest = arguments.split()
    if script in ("real_doom.py", "recording_people.py"):
        need_xcb()
    for name in ("freedoom1.wad", "freedoom2.wad"):
        (tmp_path / name).touch()
    command = [sys.executable, str(BENCHMARKS / script), *rest]
    if "--wads" not in rest and script == "real_doom.py":
        command += ["--wads", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("eyehand: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
