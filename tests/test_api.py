"""`import eyehand`: the names that it promises, what they load, and the one program that documents them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import eyehand
from eyehand.cli import main

API = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")


def python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_every_name_is_there_and_documented() -> None:
    for name in eyehand.__all__:
        assert getattr(eyehand, name) is not None
        assert name in dir(eyehand)
        assert name == "__version__" or re.search(rf"\b{name}\b", API), f"{name} is not in docs/api.md"
    with pytest.raises(AttributeError, match="no attribute 'open_gate'"):
        eyehand.open_gate  # noqa: B018


def test_importing_it_loads_nothing_and_names_load_what_they_need() -> None:
    python(
        "import sys, eyehand; dir(eyehand); assert not {'numpy', 'torch', 'eyehand.errors'} & set(sys.modules)\n"
        "eyehand.Action, eyehand.open_game('doom/aim').close(); assert 'torch' not in sys.modules"
    )


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_a_function_that_is_called_like_its_package_is_both(name: str) -> None:
    python(
        f"import eyehand.{name}.{'loop' if name == 'train' else 'score'} as before\n"
        f"import eyehand; from eyehand import {name}; assert callable(eyehand.{name}) and callable({name})\n"
        f"from eyehand.{name} import {'meter' if name == 'train' else 'statistics'}"
    )


def test_the_program_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vizdoom")
    program = API.split("```python\n")[1].split("```")[0]
    assert len([line for line in program.splitlines() if line]) <= 15
    monkeypatch.chdir(tmp_path)
    assert main(["record", "--game", "doom/aim", "--player", "demonstrator", "--episodes", "2", "--out", "data"]) == 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "steps to learn" in done.stdout
    assert "Estimate(" in done.stdout
