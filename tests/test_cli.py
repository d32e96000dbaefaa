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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sing"], "Unknown command 'sing': choose one of games, record,"),
        (["play", "--game", "quake/dm6"], "Unknown game 'quake/dm6'"),
        (["play", "--game", "doom/aimm"], "did you mean doom/aim"),
        (["play", "--game", "doom"], "Unknown game 'doom'"),
        (["play", "--game", ""], "The argument behind --game is empty: is a variable of the shell unset?"),
        (["record", "--game", "doom/aim", "--out=", "--player", "random"], "The argument behind --out= is empty"),
        (["evaluate", "--game", "doom/aim,"], "Unknown game ''"),
        (["play", "--game", "doom/aim", "--checkpoint", "no/such"], "There is no checkpoint 'no/such'"),
        (["play", "--game", "doom/aim", "--seconds", "-1"], "--seconds must be more than 0"),
        (["play", "--game", "doom/aim", "--seconds", "nan"], "Option --seconds cannot be nan: give a number."),
        (["play", "--game", "doom/aim", "--player", ""], "The argument behind --player is empty"),
        (["inspect", ""], "The argument behind eyehand inspect is empty"),
        (
            ["record", "--game", "doom/aim", "--out", "OUT", "--noise-injection", "inf"],
            "--noise-injection cannot be inf",
        ),
        (["record", "--game", "doom/aim", "--out", "OUT", "--minutes", "inf"], "Option --minutes cannot be inf"),
        (["play", "--game", "doom/aim", "--seed", "-1"], "Option --seed must be 0 or more, not -1."),
        (["inspect", "OUT", "--max-mb", "inf"], "Option --max-mb cannot be inf"),
        (["games", "tetris"], "Unknown game 'tetris'"),
        (["record", "--game", "doom/aim", "--out", "OUT", "--player", "nobody", "--episodes", "1"], "nobody"),
        (["record", "--game", "doom/aim", "--out", "OUT", "--workers", "0"], "must be above 0"),
        (["train", "--data", "OUT", "--out", "OUT/run", "--preset", "giant"], "giant"),
        (["train", "--data", "OUT", "--out", "OUT/run"], "OUT"),
        (["evaluate", "--game", "doom/aim", "--checkpoint", "no/such"], "There is no checkpoint 'no/such'"),
        (["inspect", "OUT"], "OUT"),
        (["checkpoint", "info", "no/such"], "There is no checkpoint 'no/such'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_status_2(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    out = str(tmp_path / "empty")
    status = main([argument.replace("OUT", out) for argument in arguments])
    error = capsys.readouterr().err.strip()
    assert status == 2
    assert sentence.replace("OUT", out) in error
    assert len(error.splitlines()) == 1, error
    assert "Traceback" not in error


def test_an_unknown_option_is_a_mistake_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["play", "--game", "doom/aim", "--colour", "red"])
    assert stopped.value.code == 2
    assert "--colour" in capsys.readouterr().err


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
READ += ["baselines", "file", "config", "reference", "socket"]
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--game", "doom/aim", "--checkpoint", "no/such", "--json", "FILE/x.json"],
        ["evaluate", "--game", "doom/aim", "--checkpoint", "no/such", "--json", "OUT"],
        ["bench", "live", "--checkpoint", "no/such", "--json", "FILE/x.json"],
        ["data", "check", "no/such", "--out", "FILE/x.json"],
        ["inspect", "no/such", "--html", "OUT"],
        ["play", "--game", "doom/aim", "--checkpoint", "no/such", "--out", "FILE/x"],
        ["train", "--data", "no/such", "--out", "FILE/x"],
        ["checkpoint", "export", "no/such", "FILE/x.ckpt"],
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("old")
    given = [word.replace("FILE", str(tmp_path / "file")).replace("OUT", str(tmp_path)) for word in arguments]
    assert main(given) == 2
    assert f"Cannot write {given[-1]} (" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_too_little_memory_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: len(bytearray(1 << 62))) == 2
    assert capsys.readouterr().err.startswith("eyehand: This takes more memory than there is: give it less at once")
