"""Names from outside that become paths: whatever they are, what is made of them lies below its folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eyehand.errors import UserError
from eyehand.recording.writer import RecordingWriter, new_info
from eyehand.safe_path import SafeName, SafePath, path_problem, resolve_inside

NAMES = st.lists(
    st.sampled_from(["..", ".", "/", "\\", "\0", "C:", "con", "a", " ", "\x1b]52;c;", "\udcff", "é" * 128])
)


@given(NAMES.map("".join))
@example("x/../../../ESCAPED")
@example("a/nul.txt/b")
@example("/".join(["x" * 200] * 8))
@example("x" * 256)
def test_a_safe_path_can_be_made_below_its_folder_and_nowhere_else(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        if path_problem(name) is not None:
            with pytest.raises(UserError, match=r"^the archive holds the name [^\0-\x1f]*$"):
                SafePath(name, "the archive")
            return
        path = root / SafePath(name, "the archive")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"here")
        assert path.resolve().is_relative_to(root.resolve())
        assert [each.name for each in Path(folder).iterdir()] == ["root"]
        assert resolve_inside(root, name).read_bytes() == b"here"


@pytest.mark.parametrize("name", ["a/b", "a\\b", ".hidden", "..", "", "/", "C:x", "aux", "a\nb", 5, None])
def test_a_safe_name_is_one_visible_component(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the archive holds the name"):
        SafeName(name, "the archive")
    if isinstance(name, str):
        with pytest.raises(UserError, match="the metadata of a recording holds the name"):
            RecordingWriter(tmp_path / "out", new_info("game", "", 20.0, id=name))
        assert not (tmp_path / "out").exists()


def test_links_and_special_files(tmp_path: Path) -> None:
    """Links within the folder are followed, those that lead out are not, and nothing but a plain file is given."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "here").write_bytes(b"mine")
    (tmp_path / "private").write_bytes(b"private")
    (root / "sub/good").symlink_to("../here")
    (root / "sub/bad").symlink_to(tmp_path / "private")
    (root / "out").symlink_to(tmp_path)
    (root / "zero").symlink_to("/dev/zero")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    assert resolve_inside(root, "sub/good").read_bytes() == b"mine"
    assert not resolve_inside(root, "missing").exists()
    for name in ("sub/bad", "out/private", "out/root/../private", "zero", "pipe", "sub", "loop", "here/below"):
        with pytest.raises(UserError, match=r"a link out of|is no plain file|cannot be read|leads out of"):
            resolve_inside(root, name)


def test_a_snapshot_in_a_hubs_cache_may_link_to_its_blobs(tmp_path: Path) -> None:
    snapshot = tmp_path / "datasets--a--b/snapshots/0123"
    snapshot.mkdir(parents=True)
    (snapshot.parent.parent / "blobs").mkdir()
    (snapshot.parent.parent / "blobs/4567").write_bytes(b"a blob")
    (snapshot / "meta").mkdir()
    (snapshot / "meta/info.json").symlink_to("../../../blobs/4567")
    assert resolve_inside(snapshot, "meta/info.json").read_bytes() == b"a blob"
    assert resolve_inside(snapshot / "meta", "info.json").read_bytes() == b"a blob"
