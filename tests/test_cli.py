"""The command line as a user meets it: help, documentation of every option, exit statuses, one sentence per mistake."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from eyehand.cli import COMMANDS, WRITTEN, exit_status, main, module_of

ROOT = Path(__file__).parent.parent


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from eyehand.cli import main; assert main(['--help']) == 0; "
        "heavy = {'torch', 'numpy', 'av', 'vizdoom', 'gymnasium', 'tyro', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for name, text in COMMANDS.items():
        assert f"{name} " in done.stdout
        assert text in done.stdout


def test_the_help_of_every_command_is_shown_without_what_is_heavy() -> None:
    code = (
        "import contextlib, sys; from eyehand.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    with contextlib.suppress(SystemExit): main([name, '--help'])\n"
        "    heavy = {'torch', 'numpy', 'av', 'pyarrow', 'vizdoom', 'gymnasium'} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    def check(options: type) -> None:
        documented = "".join(base.__doc__ or "" for base in options.__mro__)
        for field in dataclasses.fields(options):
            assert f"{field.name}:" in documented or f"{field.name}, " in documented, f"--{field.name} has no help"
            kind = typing.get_type_hints(options)[field.name]
            if dataclasses.is_dataclass(kind) and isinstance(kind, type):
                check(kind)

    check(importlib.import_module(module_of(name)).Options)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_stands_in_the_readme(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert COMMANDS[name] in capsys.readouterr().out
    assert f"eyehand {name}" in (ROOT / "README.md").read_text()


def test_python_m_eyehand_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eyehand", "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "eyehand 0.1.0\n")


@pytest.mark.parametrize("words", [["play", "--help"], ["--version"], ["games", "doom"]])
def test_a_reader_that_goes_away_is_no_fault_of_ours(words: list[str]) -> None:
    command = [sys.executable, "-m", "eyehand", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, told = process.communicate()
    assert process.returncode == 141
    assert told == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("words", [["play", "--help"], ["--version"], ["games", "doom"]])
def test_output_on_a_full_disk_is_one_sentence(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "eyehand", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [("--perturb=1", "--noise-injection"), ("--pupil_share=1", "--learner-share"), ("--no-taught", "--dagger")],
)
def test_an_option_that_changed_its_name_says_the_new_one(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--game", "doom/aim", "--out", "never", old]) == 2
    assert new in capsys.readouterr().err


READ = ["folder", "index", "source", "sources", "iwad", "files", "data", "baseline_data", "init_from", "token_file"]
READ += ["recordings", "baselines", "file", "config", "reference", "socket"]
"""Options for paths that are read; and for what is pushed, pulled or listened at, which say at once what is wrong."""


def _paths(options: type, found: dict[str, Any]) -> dict[str, Any]:
    """The options of a command whose values are paths."""
    for name, kind in typing.get_type_hints(options, include_extras=True).items():
        parts = [kind]
        for part in parts:
            parts += typing.get_args(part)
            if isinstance(part, type) and dataclasses.is_dataclass(part):
                _paths(part, found)
            if part is Path:
                found[name] = kind
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_is_known_to_be_written_or_read(name: str) -> None:
    """So that a new option that writes a file is checked before the work, too."""
    paths = _paths(importlib.import_module(module_of(name)).Options, {})
    assert set(paths) <= {*WRITTEN, *READ}


def test_too_little_memory_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: len(bytearray(1 << 62))) == 2
    assert capsys.readouterr().err.startswith("eyehand: This takes more memory than there is: give it less at once")
