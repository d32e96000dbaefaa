"""Finding recordings: folders, trees, archives, remote file systems, and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

import moving_block
from eyehand.data.archives import Pack, read_archive
from eyehand.data.sources import Archive, find_recordings_at
from eyehand.errors import UserError
from eyehand.recording.file_range import FileRange, read_file
from eyehand.recording.reader import Recording


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, one of them deeper."""
    root = tmp_path_factory.mktemp("tree")
    moving_block.record(root, seed=0, num_frames=12)
    moving_block.record(root / "deeper", seed=1, num_frames=7)
    return root


def pack_up(tree: Path, path: Path, **options: object) -> Archive:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w", **options) as tar:
        tar.add(tree, "dataset")
    return Archive(str(path), path.stat().st_size)


def read(archive: Archive, folder: Path) -> list:
    if not archive.is_compressed:
        return list(read_archive(archive, None))
    with Pack(folder / "kept.tar") as pack:
        return list(read_archive(archive, pack))


def same(found: Recording, original: Recording) -> bool:
    frames = np.array_equal(found.decode_clip(0, found.num_frames), original.decode_clip(0, original.num_frames))
    return frames and list(found.annotations) == list(original.annotations)


@pytest.mark.parametrize("protocol", ["", "memory://"])
def test_a_tree_of_folders(tree: Path, protocol: str) -> None:
    url = str(tree)
    if protocol:
        url = "memory://tree"
        fsspec.filesystem("memory").put(str(tree) + "/", "/tree/", recursive=True)
    source = find_recordings_at(url)
    assert [each.name for each in source.recordings] == ["block-000", "deeper/block-001"]
    assert source.is_remote == bool(protocol)
    for each in source.recordings:
        assert each.files is not None
        assert same(Recording.open(each.files), Recording.open(tree / each.name))
    (alone,) = find_recordings_at(f"{url}/block-000").recordings
    assert alone.name == "block-000"


@pytest.mark.parametrize("name", ["batch_00001.tar", "batch_00001.tar.gz", "b.TGZ"])
def test_an_archive_is_read_where_it_lies(tree: Path, tmp_path: Path, name: str) -> None:
    pack_up(tree, tmp_path / name.lower())
    os.rename(tmp_path / name.lower(), tmp_path / name)
    before = set(tmp_path.iterdir())
    (archive,) = find_recordings_at(str(tmp_path)).archives
    found = {each.name: each for each in read(archive, tmp_path)}
    assert set(found) == {"dataset/block-000", "dataset/deeper/block-001"}
    for name, each in found.items():
        recording = Recording.open(each.files)
        assert same(recording, Recording.open(tree / name.removeprefix("dataset/")))
        assert str(recording.path) == f"{archive.url}!{name}"
        recording.close()
    assert set(tmp_path.iterdir()) - before == ({tmp_path / "kept.tar"} if archive.is_compressed else set())
    kept = (tmp_path / "kept.tar").read_bytes() if archive.is_compressed else b""
    assert {each.name: each for each in read(archive, tmp_path)} == found  # and nothing is kept twice
    assert not kept or (tmp_path / "kept.tar").read_bytes() == kept


def test_two_colons_in_a_local_name_and_what_macos_leaves_beside(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To fsspec `::` chains file systems; a path of this machine has none."""
    shutil.copytree(tree, tmp_path / "Doom::E1M1/of: today")
    (tmp_path / "Doom::E1M1/._play.tar").write_bytes(b"\0\5\x16\7")
    monkeypatch.chdir(tmp_path)
    source = find_recordings_at("Doom::E1M1")
    assert [each.name for each in source.recordings] == ["of: today/block-000", "of: today/deeper/block-001"]
    assert (source.archives, source.is_remote) == ((), False)
    for each in source.recordings:
        assert each.files is not None
        with Recording.open(each.files) as recording:
            assert recording.decode_clip(0, recording.num_frames).shape[0] == recording.num_frames


def test_an_archive_behind_a_url(tree: Path, tmp_path: Path) -> None:
    pack_up(tree, tmp_path / "a.tar")
    fsspec.filesystem("memory").put(str(tmp_path / "a.tar"), "/bucket/a.tar")
    source = find_recordings_at("memory://bucket/a.tar")
    found = read(source.archives[0], tmp_path)
    assert len(found) == 2
    assert same(Recording.open(found[1].files), Recording.open(tree / "deeper" / "block-001"))


def test_what_is_kept_is_itself_a_source(tree: Path, tmp_path: Path) -> None:
    archive = pack_up(tree, tmp_path / "a.tar.gz")
    with Pack(tmp_path / "kept.tar") as pack:
        list(read_archive(archive, pack))
        pack.finish()
    with tarfile.open(tmp_path / "kept.tar") as tar:
        assert all("video.mp4" not in name for name in tar.getnames())
    kept = Archive(str(tmp_path / "kept.tar"), (tmp_path / "kept.tar").stat().st_size)
    assert [each.problem for each in read(kept, tmp_path)] == [None, None]


@pytest.mark.parametrize("cut", [1, 512, 600, 1024, 1030])
def test_a_pack_forgets_what_a_killed_run_left_half(tmp_path: Path, cut: int) -> None:
    with Pack(tmp_path / "p.tar") as pack:
        first = pack.add("a/one", io.BytesIO(b"x" * 700), 700)
        pack.add("a/half", io.BytesIO(b"y" * 1000), 1000)
    os.truncate(tmp_path / "p.tar", (tmp_path / "p.tar").stat().st_size - cut)
    with Pack(tmp_path / "p.tar") as pack:
        assert pack.files == {"a/one": first}
        second = pack.add("a/two", io.BytesIO(b"z" * 3), 3)
        with pytest.raises(EOFError):
            pack.add("a/short", io.BytesIO(b"z" * 3), 4)
        pack.finish()
    assert (read_file(first, 700), read_file(second, 700)) == (b"x" * 700, b"zzz")
    with Pack(tmp_path / "p.tar") as pack:
        assert pack.files == {"a/one": first, "a/two": second}
        pack.finish()
    with tarfile.open(tmp_path / "p.tar") as tar:
        assert tar.getnames() == ["a/one", "a/two"]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_truncated_archive_keeps_what_came_before(tree: Path, tmp_path: Path, name: str, share: float) -> None:
    archive = pack_up(tree, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    found = read(Archive(archive.url, int(len(data) * share)), tmp_path)
    assert found[-1].name == name
    assert "cannot be read to its end" in found[-1].problem
    for each in found[:-1]:
        assert Recording.open(each.files).num_frames in (7, 12)
    assert [each.name for each in found[:-1]] == (["dataset/block-000"] if share else [])


def member(tar: tarfile.TarFile, name: str, content: bytes = b"x", **more: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def test_names_and_kinds_that_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member(tar, "../../evil/annotation.proto")
        member(tar, "/etc/annotation.proto")
        member(tar, os.fsdecode(b"caf\xe9/annotation.proto"))
        member(tar, "link/annotation.proto", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        member(tar, "half/annotation.proto")
        member(tar, "half/notes.txt")
    found = read(Archive(str(tmp_path / "a.tar"), (tmp_path / "a.tar").stat().st_size), tmp_path)
    assert [(each.name, each.files) for each in found] == [
        (name, None) for name in ("../../evil", "/etc", "caf\\udce9", "link", "half")
    ]
    words = ["points out", "points out", "not UTF-8", "no plain file", "192x192.mp4 is missing"]
    assert all(word in each.problem for word, each in zip(words, found, strict=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def test_a_bomb_is_given_up(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        member(tar, "one/192x192.mp4", bytes(1 << 27))
    (found,) = read(Archive(str(tmp_path / "a.tar.gz"), 1), tmp_path)
    assert "100-fold" in found.problem
    assert (tmp_path / "kept.tar").stat().st_size < 1 << 26


def test_a_header_that_claims_gigabytes_is_no_reason_to_take_them(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("name")
    huge.type, huge.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(huge.tobuf(tarfile.GNU_FORMAT))
    (found,) = read(Archive(str(tmp_path / "a.tar.gz"), 1), tmp_path)
    assert "cannot be read to its end" in found.problem


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_file_of_negative_size_does_not_send_us_round_in_circles(tmp_path: Path, name: str) -> None:
    wrong = tarfile.TarInfo("one/annotation.proto")
    wrong.size = -512
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "wb") as file:
        file.write(wrong.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    (found,) = read(Archive(str(tmp_path / name), 4608), tmp_path)
    assert "negative size" in found.problem


def test_folders_with_names_that_are_no_text(tmp_path: Path) -> None:
    moving_block.record(tmp_path, seed=0, num_frames=3)
    os.rename(tmp_path / "block-000", os.path.join(os.fsencode(tmp_path), b"caf\xe9"))
    (located,) = find_recordings_at(str(tmp_path)).recordings
    assert (located.name, located.files) == ("caf\\udce9", None)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("{}/missing", "There is nothing at"),
        ("{}/empty", "holds no recordings"),
        ("{}/note.txt", "neither a folder nor a"),
        ("nonsense://bucket", "cannot be opened"),
        ("memory://nowhere", "There is nothing at"),
    ],
)
def test_every_mistake_has_a_sentence(tmp_path: Path, url: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(UserError, match=sentence):
        find_recordings_at(url.format(tmp_path))


def test_a_stretch_of_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(range(100)))
    stretch = FileRange(str(tmp_path / "f"), 10, 20)
    assert read_file(stretch, 20) == bytes(range(10, 30))
    with stretch.open() as file:
        assert file.seek(-5, os.SEEK_END) == 15
        assert file.read(50) == bytes(range(25, 30))
        assert file.seek(3) == 3
        assert file.seek(2, os.SEEK_CUR) == 5
        assert file.read(1) == bytes([15])
    assert read_file(FileRange(str(tmp_path / "f"), 95), 100) == bytes(range(95, 100))
    assert read_file(FileRange(str(tmp_path / "f"), 95, 20), 100) == bytes(range(95, 100))
    assert not FileRange(str(tmp_path / "g")).is_file()
