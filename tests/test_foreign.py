"""Only regular files are opened, never waiting, and any exception becomes a sentence that names its file."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from eyehand.errors import UserError
from eyehand.foreign import open_regular, parse_json, problem_of, read_regular


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/ptmx")


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("make", [fifo, device, terminal, bound_socket, folder])
def test_what_is_no_regular_file_is_an_error_at_once(tmp_path: Path, make) -> None:
    make(tmp_path / "x")
    with pytest.raises(OSError, match="x") as error:
        open_regular(tmp_path / "x")
    assert str(problem_of(tmp_path / "x", error.value)).startswith(f"{tmp_path / 'x'} cannot be read (")


def test_a_link_to_a_regular_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 3) == b"abc"


def test_a_large_file_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=r"It is larger than 1,000 bytes"):
        read_regular(tmp_path / "sparse", 1000)


def test_a_name_with_a_nul_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"[Nn]ull byte"):
        open_regular(f"{tmp_path}/a\0b")


def test_json_of_any_depth_is_json_or_a_value_error() -> None:
    assert parse_json('{"a": [1, null]}') == {"a": [1, None]}
    for text in ("[" * 1_000_000, "{", "1" * 5000, b"\xff\xfe"):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("As it is."), "As it is."),
        (PermissionError(13, "Permission denied"), "x cannot be read (Permission denied): check the path"),
        (OSError("odd"), "x cannot be read (odd): check the path"),
        (KeyError("key"), "x cannot be read ('key'): remove it or restore it."),
        (OverflowError(), "x cannot be read (OverflowError): remove it or restore it."),
        (MemoryError(), "x cannot be read (it takes more memory than there is): remove it or restore it."),
        (ValueError("a\n  b." + "c" * 10_000), "x cannot be read (a b." + "c" * 196 + "): remove it or restore it."),
    ],
)
def test_every_exception_has_a_sentence(error: Exception, said: str) -> None:
    assert str(problem_of("x", error)).startswith(said)
