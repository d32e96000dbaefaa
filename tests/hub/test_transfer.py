"""Push and pull: to local folders and memory://, interrupted by SIGKILL, with corrupted bytes and failing stores."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import moving_block
from eyehand.cli import main
from eyehand.errors import UserError
from eyehand.folder_lock import locked
from eyehand.hub.manifest import MANIFEST_FILE, FileFacts, parse_manifest, serialise_manifest
from eyehand.hub.pull import pull, staging_beside
from eyehand.hub.push import journal_beside, push
from eyehand.hub.retry import PAUSES_S, retried
from eyehand.hub.store import FolderStore, StoredFile, open_store, part_name
from eyehand.jobs.journal import Journal


def make_tree(root: Path, num_files: int = 12) -> dict[str, bytes]:
    content = {f"take-{n}/part-{n % 3}.bin": bytes([n]) * (3000 + n) for n in range(num_files)}
    for name, data in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return content


def tree(root: Path) -> dict[str, bytes]:
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name not in (MANIFEST_FILE, "README.md")}


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_there_and_back(tmp_path: Path, kind: str) -> None:
    content = make_tree(tmp_path / "data")
    (tmp_path / "data/.hidden").write_text("stays here")
    url = str(tmp_path / "store/deep") if kind == "local" else f"memory://transfer-{os.getpid()}/{tmp_path.name}"
    store = open_store(url)
    report = push(tmp_path / "data", store, "# card", verify=True)
    assert (report.num_files, report.num_uploaded) == (12, 12)
    assert not journal_beside(tmp_path / "data").exists()
    assert push(tmp_path / "data", store, "# card").num_uploaded == 0
    fetched = pull(open_store(url), tmp_path / "back")
    assert (fetched.num_files, fetched.num_fetched) == (13, 13)  # and the card
    assert tree(tmp_path / "back") == content
    assert (tmp_path / "back/README.md").read_text() == "# card"
    assert pull(open_store(url), tmp_path / "back").num_fetched == 0
    assert not staging_beside(tmp_path / "back").exists()


def test_no_other_push_begins_with_a_journal_that_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = Journal.remove

    def seen(journal: Journal) -> None:
        with open(journal.path, "ab") as file:
            assert not locked(file)
        remove(journal)

    monkeypatch.setattr(Journal, "remove", seen)
    make_tree(tmp_path / "data")
    push(tmp_path / "data", open_store(str(tmp_path / "store")), "# card")
    assert not journal_beside(tmp_path / "data").exists()


def test_only_what_changed_travels_again(tmp_path: Path) -> None:
    content = make_tree(tmp_path / "data")
    store = FolderStore(str(tmp_path / "store"))
    push(tmp_path / "data", store, "# card")
    pull(store, tmp_path / "back")
    (tmp_path / "data/take-1/part-1.bin").write_bytes(b"x" * len(content["take-1/part-1.bin"]))  # the same size
    (tmp_path / "data/new.bin").write_bytes(b"new")
    assert push(tmp_path / "data", store, "# card").num_uploaded == 2
    assert pull(store, tmp_path / "back").num_fetched == 2
    assert tree(tmp_path / "back") == tree(tmp_path / "data")


KILLED_PUSH = """
import os, signal, sys
from pathlib import Path
from eyehand.hub.push import journal_beside, push
from eyehand.hub.store import FolderStore

class Store(FolderStore):
    num_parallel = 1
    puts = 0
    def put(self, batch):
        type(self).puts += 1
        if self.puts == 6:  # in the middle of a file, when the main thread has noted the five before
            while journal_beside(Path(sys.argv[1])).read_bytes().count(b'"uploaded ') < 5:
                os.sched_yield()
            name, path = batch[0]
            part = Path(sys.argv[2]) / name
            part.parent.mkdir(parents=True, exist_ok=True)
            part.with_name("." + part.name + ".part").write_bytes(path.read_bytes()[:500])
            os.kill(os.getpid(), signal.SIGKILL)
        super().put(batch)

push(Path(sys.argv[1]), Store(sys.argv[2]), "# card")
"""

KILLED_PULL = """
import os, signal, sys
from pathlib import Path
from eyehand.hub import pull as module
from eyehand.hub.store import FolderStore

class Cut:
    def __init__(self, file):
        self.file = file
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.file.close()
    def seek(self, place):
        self.file.seek(place)
    def read(self, size=-1):
        if self.file.tell():  # the second block of a file
            os.kill(os.getpid(), signal.SIGKILL)
        return self.file.read(1000 if size > 0 else size)

class Store(FolderStore):
    num_parallel = 1
    opens = 0
    def open(self, name):
        type(self).opens += 1
        file = super().open(name)
        return Cut(file) if self.opens == 6 else file

module.pull(Store(sys.argv[1]), Path(sys.argv[2]))
"""


def run_killed(script: str, *arguments: Path) -> None:
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


class Counting(FolderStore):
    """Counts what it moves."""

    num_parallel = 1

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.put_names: list[str] = []
        self.seeks: list[int] = []

    def put(self, batch: Sequence[tuple[str, Path]]) -> None:
        self.put_names += [name for name, _ in batch]
        super().put(batch)

    def open(self, name: str) -> BinaryIO:
        file = super().open(name)
        seek = file.seek
        file.seek = lambda place, whence=0: (self.seeks.append(place), seek(place, whence))[1]  # type: ignore[method-assign]
        return file


def test_a_push_that_was_killed_goes_on(tmp_path: Path) -> None:
    content = make_tree(tmp_path / "data")
    run_killed(KILLED_PUSH, tmp_path / "data", tmp_path / "store")
    store = Counting(str(tmp_path / "store"))
    with pytest.raises(
        UserError, match=f"holds no {MANIFEST_FILE}: nothing was pushed there, or a push is not finished"
    ):
        pull(store, tmp_path / "early", wait=lambda seconds: None)
    assert not (tmp_path / "early").exists()
    push(tmp_path / "data", store, "# card")
    assert len([name for name in store.put_names if name.endswith(".bin")]) == 12 - 5
    pull(store, tmp_path / "back")
    assert tree(tmp_path / "back") == content


def test_a_pull_that_was_killed_goes_on_within_the_file(tmp_path: Path) -> None:
    content = make_tree(tmp_path / "data")
    push(tmp_path / "data", FolderStore(str(tmp_path / "store")), "# card")
    run_killed(KILLED_PULL, tmp_path / "store", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    (part,) = staging_beside(tmp_path / "back").rglob("*.part")
    assert part.stat().st_size == 1000
    store = Counting(str(tmp_path / "store"))
    pull(store, tmp_path / "back")
    assert 1000 in store.seeks
    assert tree(tmp_path / "back") == content
    assert not staging_beside(tmp_path / "back").exists()


def test_a_corrupted_byte_is_found_and_nothing_appears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_tree(tmp_path / "data")
    push(tmp_path / "data", FolderStore(str(tmp_path / "store")), "# card")
    path = tmp_path / "store/take-7/part-1.bin"
    data = bytearray(path.read_bytes())
    data[1234] ^= 1
    path.write_bytes(data)
    assert main(["data", "pull", str(tmp_path / "store"), str(tmp_path / "back")]) == 2
    printed = capsys.readouterr().err
    assert "part-1.bin is damaged: its size or SHA-256 is not what it should be" in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "back").exists()
    (tmp_path / "store/take-7/part-1.bin").write_bytes((tmp_path / "data/take-7/part-1.bin").read_bytes())
    assert main(["data", "pull", str(tmp_path / "store"), str(tmp_path / "back")]) == 0
    assert tree(tmp_path / "back") == tree(tmp_path / "data")


def test_a_part_of_something_else_is_fetched_from_the_beginning(tmp_path: Path) -> None:
    content = make_tree(tmp_path / "data")
    push(tmp_path / "data", FolderStore(str(tmp_path / "store")), "# card")
    for name, size in (("take-2/part-2.bin", 700), ("take-4/part-1.bin", 9000)):
        whole = staging_beside(tmp_path / "back") / name
        part = whole.with_name(part_name(whole.name))
        part.parent.mkdir(parents=True)
        part.write_bytes(b"?" * size)
    store = Counting(str(tmp_path / "store"))
    pull(store, tmp_path / "back")
    assert tree(tmp_path / "back") == content
    seeks = Counter(store.seeks)
    of_manifest = 2  # its size, and its beginning
    assert (seeks[700], seeks[0], seeks[9000]) == (1, 12 + 1 + of_manifest, 0), (
        "what is too long is not read on after its end"
    )


_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..")
)


@settings(max_examples=100)
@given(st.lists(st.tuples(_NAMES, _NAMES), min_size=1, max_size=3), st.sampled_from(["store", "memory://names"]))
@example([("2026-11-30T12:30:05", "video.mp4"), ("Doom::E1M1", "a\\b: c?*[1]#%20~.mp4"), ("a ", "x" * 250)], "store")
@example([("2026-11-30T12:30:05", "video.mp4"), ("Doom::E1M1", "a\\b"), ("a", "x" * 255)], "memory://names")
@example([("C:", "x")], "store")
@example([("README.md", "x")], "store")
@example([("eyehand-manifest.json", "x")], "memory://names")
@example([("a\\..\\b", "x")], "store")
def test_what_push_takes_pull_gives_back(names: list[tuple[str, str]], url: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, parts in enumerate(names):
            path = folder.joinpath("data", *parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content %d" % number)
        store = open_store(url if "://" in url else str(folder / url))
        sentence = ""
        try:
            push(folder / "data", store, "# card", wait=lambda seconds: None)
        except UserError as error:
            sentence = str(error)
        else:
            pull(store, folder / "back", wait=lambda seconds: None)
        finally:
            if "://" in url and store.files():
                store._system.rm(url, recursive=True)  # type: ignore[attr-defined]
        if sentence:
            assert re.search("cannot be pushed|rename it|holds no files", sentence)
        else:
            visible = {path: data for path, data in tree(folder / "data").items() if "/." not in f"/{path}"}
            assert tree(folder / "back") == visible


def test_a_store_that_changes_what_it_is_given_is_found(tmp_path: Path) -> None:
    class Liar(FolderStore):
        def open(self, name: str) -> BinaryIO:
            path = Path(self.url) / name
            path.write_bytes(path.read_bytes()[:-1] + b"!")
            return super().open(name)

    make_tree(tmp_path / "data", 2)
    with pytest.raises(UserError, match="came out differently"):
        push(tmp_path / "data", Liar(str(tmp_path / "store")), "# card", verify=True, wait=lambda seconds: None)


def test_a_network_that_fails_now_and_then_is_tried_again(tmp_path: Path) -> None:
    class Shaky(FolderStore):
        num_parallel = 1
        calls = 0

        def _shake(self) -> None:
            self.calls += 1
            if self.calls % 3:
                raise ConnectionResetError(104, "Connection reset by peer")

        def put(self, batch: Sequence[tuple[str, Path]]) -> None:
            self._shake()
            super().put(batch)

        def open(self, name: str) -> BinaryIO:
            self._shake()
            return super().open(name)

    pauses: list[float] = []
    content = make_tree(tmp_path / "data", 4)
    push(tmp_path / "data", Shaky(str(tmp_path / "store")), "# card", wait=pauses.append)
    pull(Shaky(str(tmp_path / "store")), tmp_path / "back", wait=pauses.append)
    assert tree(tmp_path / "back") == content
    assert pauses[:2] == [1.0, 2.0]


def test_what_stays_broken_is_one_sentence() -> None:
    pauses: list[float] = []

    def fail() -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(UserError, match=r"x cannot be read \(Connection refused\): check space, address"):
        retried(fail, "x cannot be read", pauses.append)
    assert pauses == list(PAUSES_S)

    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        retried(full, "x cannot be written", pauses.append)
    assert pauses == list(PAUSES_S)  # no time cures a full disk


def test_a_file_that_changes_meanwhile_is_not_pushed_in_silence(tmp_path: Path) -> None:
    make_tree(tmp_path / "data", 3)

    class Meddler(FolderStore):
        def put(self, batch: Sequence[tuple[str, Path]]) -> None:
            super().put(batch)
            batch[0][1].write_bytes(b"changed")

    with pytest.raises(UserError, match="changed while it was uploaded"):
        push(tmp_path / "data", Meddler(str(tmp_path / "store")), "# card")
    assert not (tmp_path / "store" / MANIFEST_FILE).exists()


@pytest.mark.parametrize("name", [".bashrc", ".git/hooks/pre-commit", "take/.hidden/x", MANIFEST_FILE])
def test_a_manifest_names_no_hidden_file(tmp_path: Path, name: str) -> None:
    data = b"#!/bin/sh\ntouch owned\n"
    (tmp_path / "store" / name).parent.mkdir(parents=True)
    (tmp_path / "store" / name).write_bytes(data)
    facts = {name: FileFacts(len(data), hashlib.sha256(data).hexdigest())}
    (tmp_path / "store" / MANIFEST_FILE).write_bytes(serialise_manifest(facts))
    with pytest.raises(UserError, match=r"a hidden file: no push sends such|is damaged"):
        pull(FolderStore(str(tmp_path / "store")), tmp_path / "back", wait=lambda seconds: None)
    assert not (tmp_path / "back").exists()


def test_files_of_ones_own_are_not_replaced(tmp_path: Path) -> None:
    content = make_tree(tmp_path / "data", 5)
    store = FolderStore(str(tmp_path / "store"))
    push(tmp_path / "data", store, "# card")
    back = tmp_path / "back"
    back.mkdir()
    (back / "README.md").write_text("mine")
    (back / "notes.txt").write_text("mine too")
    with pytest.raises(UserError, match=r"has files of its own that this would replace \(README.md\): move them away"):
        pull(store, back)
    assert tree(back) == {"notes.txt": b"mine too"}
    (back / "README.md").unlink()
    pull(store, back)
    (tmp_path / "data/take-1/part-1.bin").write_bytes(b"new there")
    (tmp_path / "data/take-2/part-2.bin").write_bytes(b"new there too")
    push(tmp_path / "data", store, "# card")
    (back / "take-1/part-1.bin").write_bytes(b"changed here")
    with pytest.raises(UserError, match=r"replace \(take-1/part-1.bin\)"):
        pull(store, back)
    assert tree(back) == {**content, "notes.txt": b"mine too", "take-1/part-1.bin": b"changed here"}
    (back / "take-1/part-1.bin").unlink()
    assert pull(store, back).num_fetched == 2, "what an earlier pull put there is replaced"
    assert (back / "notes.txt").read_text() == "mine too"


def test_a_pipe_in_the_target_does_not_hold_up(tmp_path: Path) -> None:
    make_tree(tmp_path / "data", 3)
    store = FolderStore(str(tmp_path / "store"))
    push(tmp_path / "data", store, "# card")
    (tmp_path / "back").mkdir()
    os.mkfifo(tmp_path / "back" / MANIFEST_FILE)
    with pytest.raises(UserError, match="is no plain file: remove it"):
        pull(store, tmp_path / "back")
    assert [path.name for path in (tmp_path / "back").iterdir()] == [MANIFEST_FILE]


def test_a_link_in_the_target_leads_nowhere(tmp_path: Path) -> None:
    make_tree(tmp_path / "data", 3)
    store = FolderStore(str(tmp_path / "store"))
    push(tmp_path / "data", store, "# card")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "back").mkdir()
    (tmp_path / "back/take-1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link out of"):
        pull(store, tmp_path / "back")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("kind", ["link", "open to others", "of another user"])
def test_a_staging_folder_of_others_is_not_used(tmp_path: Path, kind: str) -> None:
    make_tree(tmp_path / "data", 3)
    store = FolderStore(str(tmp_path / "store"))
    push(tmp_path / "data", store, "# card")
    staging, theirs = staging_beside(tmp_path / "back"), tmp_path / "theirs"
    theirs.mkdir()
    if kind == "link":
        staging.symlink_to(theirs)
    else:
        staging.mkdir()
        (staging / "take-1").symlink_to(theirs)
        if kind == "open to others":
            staging.chmod(0o777)
        elif os.getuid() == 0:
            os.chown(staging, 65534, 65534)
        else:
            pytest.skip("only root can give a folder away")
    with pytest.raises(UserError, match="is no folder that you alone may write: remove it"):
        pull(store, tmp_path / "back")
    assert list(theirs.iterdir()) == []
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "pipe"])
def test_push_sends_nothing_that_a_link_leads_to(tmp_path: Path, kind: str) -> None:
    make_tree(tmp_path / "data", 3)
    private = tmp_path / "private"
    private.mkdir()
    (private / "id_ed25519").write_text("secret")
    odd = tmp_path / "data/take-1/odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to(private if kind == "folder" else private / "id_ed25519")
    with pytest.raises(UserError, match=r"is a link out of|is no plain file"):
        push(tmp_path / "data", FolderStore(str(tmp_path / "store")), "# card")
    assert not (tmp_path / "store").exists()
    odd.unlink()
    (tmp_path / "data/.hidden").symlink_to(private)
    odd.symlink_to(tmp_path / "data/take-0/part-0.bin")
    push(tmp_path / "data", FolderStore(str(tmp_path / "store")), "# card")
    assert (tmp_path / "store/take-1/odd").read_bytes() == (tmp_path / "data/take-0/part-0.bin").read_bytes()


def test_where_a_journal_should_be_nothing_is_lost(tmp_path: Path) -> None:
    make_tree(tmp_path / "data", 2)
    journal, mine = journal_beside(tmp_path / "data"), tmp_path / "mine"
    mine.write_text('{"options": {}}\nunfinished')
    for odd in ("link", "file", "a line"):
        journal.unlink(missing_ok=True)
        if odd == "link":
            journal.symlink_to(mine)
        else:
            journal.write_text("my diary\nunfinished" if odd == "file" else "my diary")
        with pytest.raises(UserError, match=r"Cannot write|is damaged or no journal"):
            push(tmp_path / "data", FolderStore(str(tmp_path / "store")), "# card")
        assert (mine.read_text() if odd == "link" else journal.read_text()).endswith(("unfinished", "my diary"))


def test_here_is_a_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = make_tree(tmp_path / "data", 3)
    monkeypatch.chdir(tmp_path / "data")
    push(Path(), open_store(str(tmp_path / "store")), "# card")
    (tmp_path / "back").mkdir()
    monkeypatch.chdir(tmp_path / "back")
    pull(open_store(str(tmp_path / "store")), Path())
    assert tree(tmp_path / "back") == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "data", "store"]


def test_an_empty_place_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "data", 1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="The place of the data set is empty"):
        open_store("")
    for arguments in (["push", "data", ""], ["pull", "", "data"], ["pull", "data", ""], ["index", "data", "--out="]):
        assert main(["data", *arguments]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "C:/x", "a\\..\\b", "", "a//b", "./a"])
def test_a_manifest_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "store").mkdir()
    facts = {name: FileFacts(1, "0" * 64)}
    (tmp_path / "store" / MANIFEST_FILE).write_bytes(serialise_manifest(facts))
    with pytest.raises(UserError, match="leads out of its folder"):
        pull(FolderStore(str(tmp_path / "store")), tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"version": 1}',
        b'{"version": 1, "files": {"a": {"size": "x"}}}',
        b'{"version": 1, "files": {"a": {"size": 1, "sha256": "0"}}}',
        b'{"version": 1, "files": {"a": {"size": 1e999, "sha256": "0"}}}',
        b"[" * 100_000,
        json.dumps({"version": 1, "files": {key: {"size": 1, "sha256": "0" * 64} for key in ("a", "a/b")}}).encode(),
    ],
)
def test_a_damaged_manifest(data: bytes) -> None:
    with pytest.raises(UserError, match="is damaged: push the data set again"):
        parse_manifest(data, "somewhere")


def test_a_manifest_of_the_future() -> None:
    with pytest.raises(UserError, match="pushed by a newer eyehand"):
        parse_manifest(json.dumps({"version": 2, "files": {}}).encode(), "somewhere")


def test_what_others_put_there_can_be_pulled_without_a_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = make_tree(tmp_path / "theirs", 4)
    (tmp_path / "theirs/take-0/.part-0.bin.part").write_bytes(b"half")
    arguments = ["data", "pull", str(tmp_path / "theirs"), str(tmp_path / "back")]
    assert main(arguments) == 2
    assert "if others put it there, give --without-manifest" in capsys.readouterr().err
    assert main([*arguments, "--without-manifest"]) == 0
    assert tree(tmp_path / "back") == content
    assert not (tmp_path / "back" / MANIFEST_FILE).exists()
    assert main(["data", "pull", str(tmp_path / "none"), str(tmp_path / "x"), "--without-manifest"]) == 2
    assert "There is nothing at" in capsys.readouterr().err


def test_no_space_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    huge = {"video.mp4": FileFacts(1 << 60, "0" * 64)}
    (tmp_path / "store" / MANIFEST_FILE).write_bytes(serialise_manifest(huge))
    with pytest.raises(UserError, match=r"more bytes and .* are free: make space"):
        pull(FolderStore(str(tmp_path / "store")), tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_the_commands_and_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        moving_block.record(tmp_path / "data", seed=seed, num_frames=20, task="other" if seed == 2 else "block")
    arguments = ["data", "push", str(tmp_path / "data"), str(tmp_path / "store"), "--licence", "cc-by-4.0", "--verify"]
    assert main(arguments) == 0
    assert "pushed 9 files" in capsys.readouterr().out
    card = (tmp_path / "store/README.md").read_text()
    import yaml

    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    assert "| paper/block | 2 | 40 | 0.00 | 95% | 0% |" in card
    assert "| all | 3 | 60 | 0.00 | 95% | 0% |" in card
    assert "Licence: cc-by-4.0." in card
    assert "held out (`--held-out 0.05`): the ends of 3 recordings" in card
    assert "subset 100% of the others: 3" in card
    assert main(["data", "pull", str(tmp_path / "store"), str(tmp_path / "back")]) == 0
    assert tree(tmp_path / "back") == tree(tmp_path / "data")


def test_an_index_spares_reading_everything_for_the_card(tmp_path: Path) -> None:
    moving_block.record(tmp_path / "data", seed=0, num_frames=20, task="block")
    assert main(["data", "index", str(tmp_path / "data"), "--out", str(tmp_path / "data.parquet")]) == 0
    (tmp_path / "data/README.md").write_text("# Mine")
    arguments = ["data", "push", str(tmp_path / "data"), str(tmp_path / "store")]
    assert main([*arguments, "--index", str(tmp_path / "data.parquet")]) == 0
    assert (tmp_path / "store/README.md").read_text() == "# Mine"  # the folder's own card goes first


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["push", "missing", "store"], "There is nothing at missing"),
        (["push", "data", "hf://models/a/b"], "is no data set of the hub: write hf://datasets/OWNER/NAME"),
        (["push", "data", "nonsense://x"], "nonsense://x cannot be opened"),
        (["pull", "nowhere", "back"], "holds no eyehand-manifest.json"),
    ],
)
def test_mistakes_end_with_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    moving_block.record(tmp_path / "data", seed=0, num_frames=10, task="block")
    assert main(["data", *arguments]) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1


def test_a_push_names_the_recordings_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, store = tmp_path / "data", tmp_path / "store"
    for seed in range(2):
        moving_block.record(data, seed=seed, num_frames=10)
    for name, status in (("block-000", 0), ("block-001", 2)):
        (data / name / "192x192.mp4").write_bytes(b"")
        assert main(["data", "push", str(data), str(store)]) == status
        assert f"{name}/192x192.mp4 is damaged" in capsys.readouterr().out


def test_stores_list_what_is_there(tmp_path: Path) -> None:
    make_tree(tmp_path / "data", 2)
    assert FolderStore(str(tmp_path / "none")).files() == {}
    assert FolderStore(str(tmp_path / "data")).files() == {
        "take-0/part-0.bin": StoredFile(3000),
        "take-1/part-1.bin": StoredFile(3001),
    }
