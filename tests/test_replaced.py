"""What is written takes the place of the old one whole, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eyehand.errors import UserError
from eyehand.replaced import check_writable, replaced


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid(), end='')"], stdout=-1, text=True, check=True
    )
    for text in ("old", "new"):
        (tmp_path / "new folder").mkdir(exist_ok=True)
        (tmp_path / "new folder" / f".a.json.{ended.stdout}.partial").write_text("what a process left that was killed")
        with replaced(tmp_path / "new folder" / "a.json") as partial:
            partial.write_text(text)
            assert partial.parent == tmp_path / "new folder"
    assert [path.read_text() for path in (tmp_path / "new folder").iterdir()] == ["new"]


def test_what_others_are_writing_stays(tmp_path: Path) -> None:
    others = [tmp_path / f".a.json.{os.getppid()}.partial", tmp_path / ".a.json.gz.1234567.partial"]
    for other in others:
        other.write_text("half")
    with replaced(tmp_path / "a.json") as partial:
        partial.write_text("new")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.json", *others])


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.json").write_text("old")
    (tmp_path / "disk" / "empty").mkdir()
    for name in ("a.json", "empty"):
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)
    with replaced(tmp_path / "a.json") as partial:
        partial.write_text("new")
    with replaced(tmp_path / "empty") as partial:
        partial.mkdir()
        (partial / "b").write_text("b")
    assert (tmp_path / "disk" / "a.json").read_text() == "new"
    assert (tmp_path / "disk" / "empty" / "b").read_text() == "b"
    assert all((tmp_path / name).is_symlink() for name in ("a.json", "empty"))


@pytest.mark.parametrize("path", [".", "..", "/"])
def test_a_folder_is_no_place_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match=f"^Cannot write {path} "), replaced(Path(path)) as partial:
        partial.write_text("new")
    assert [each.name for each in tmp_path.rglob("*")] == ["here"]


def test_standard_output_is_written_to_even_where_it_is_a_file() -> None:
    with replaced(Path("/dev/stdout")) as partial:
        assert partial == Path("/dev/stdout")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with replaced(tmp_path / "out") as partial:
        (partial / "deep").mkdir(parents=True)
        (partial / "deep" / "a").write_text("a")
        assert not any((tmp_path / "out").iterdir())
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "out",
        "out/deep",
        "out/deep/a",
    ]
    with pytest.raises(UserError, match="not empty"), replaced(tmp_path / "out") as partial:
        partial.mkdir()
    assert (tmp_path / "out" / "deep" / "a").read_text() == "a"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("odd"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_one_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    expected = UserError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as raised, replaced(path, "buy a disk", (KeyError,)) as partial:  # noqa: PT012
        partial.write_text("ne")
        raise error
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]
    if expected is UserError:
        assert str(raised.value) == f"Cannot write {path} (No space left on device): buy a disk."


def test_what_a_library_raises_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot write .*\(full\)"), replaced(tmp_path / "a", also=(RuntimeError,)):
        raise RuntimeError("full")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    with replaced(tmp_path / "pipe") as partial:
        partial.write_text("through")
    reader.join()
    assert read == ["through"]
    assert (tmp_path / "pipe").is_fifo()


def test_whether_a_place_can_be_written_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    before = sorted(tmp_path.rglob("*"))
    good = ["file", "folder", "link", "new", "new/er/est", "folder/x", "link/x/y", "a" * 230]
    for place in [*(tmp_path / name for name in good), Path("/dev/stdout"), Path("/dev/null")]:
        check_writable(place)
    for name, reason in [("file/x", "Not a directory"), ("file/x/y", "Not a directory"), ("a" * 250, "too long")]:
        with pytest.raises(UserError, match=f"Cannot write .*{reason}.*: choose another place"):
            check_writable(tmp_path / name)
    for name in ("folder", "link"):
        with pytest.raises(UserError, match="Is a directory"):
            check_writable(tmp_path / name, as_file=True)
    with pytest.raises(UserError, match="Cannot write /proc/x"):
        check_writable(Path("/proc/x"))  # which refuses root too
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "old"
