"""The index: what a row says, what is refused, and that a killed run goes on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import moving_block
from eyehand.action_space import P2P
from eyehand.data import indexing
from eyehand.data.dataset import load_dataset
from eyehand.data.index import IndexRow, read_index
from eyehand.data.indexing import build_index
from eyehand.data.label_store import shared_bytes
from eyehand.errors import UserError
from eyehand.jobs.local import LocalEngine
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.reader import Recording


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(4):
        moving_block.record(root, seed=seed, num_frames=5 + seed, task="other" if seed == 3 else "block")
    return root


@pytest.fixture
def data(recordings: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(recordings, tmp_path / "data")


def quiet(sentence: str) -> None:
    pass


def test_a_row_says_what_the_recording_is(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "index.parquet"
    rows = build_index([str(data)], out, say=quiet)
    assert rows == read_index(out)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["data", "index.parquet"]
    row = rows[2]
    assert (row.id, row.source, row.error, row.task) == ("block-002", str(data / "block-002"), None, "paper/block")
    assert (row.fps, row.num_frames, row.seconds, row.user) == (20.0, 7, 0.35, "nobody")
    assert (row.user_share, row.system_share) == (6 / 7, 0.0)
    assert (row.texts, row.annotators, row.problems) == (("follow the block",), ("eyehand",), ())
    annotation = (data / "block-002" / "annotation.proto").read_bytes()
    assert (row.annotation_sha256, row.annotation_size) == (hashlib.sha256(annotation).hexdigest(), len(annotation))
    assert row.video_sha256 == hashlib.sha256((data / "block-002" / "192x192.mp4").read_bytes()).hexdigest()
    assert [each.id for each in read_index(out, "env_subtype = 'other' or num_frames < 6")] == [
        "block-000",
        "other-003",
    ]


@pytest.mark.parametrize(("name", "keep"), [("b.tar", False), ("b.tar.gz", False), ("b.tar", True), (None, True)])
def test_archives_and_what_is_kept_give_the_same_recordings(
    data: Path, tmp_path: Path, name: str | None, keep: bool
) -> None:
    source = data
    if name is not None:
        source = tmp_path / name
        with tarfile.open(source, "w:gz" if name.endswith("gz") else "w") as tar:
            tar.add(data, "dataset")
    rows = build_index([str(source)], tmp_path / "index.parquet", keep=keep, say=quiet)
    kept = tmp_path / "index.parquet.kept"
    assert kept.exists() == (keep or str(name).endswith("gz"))
    for row in rows:
        assert (kept in Path(row.video_url).parents) == kept.exists()
        with Recording.open(row.files) as ours, Recording.open(data / row.id) as original:
            assert list(ours.annotations) == list(original.annotations)
            assert (ours.decode_clip(2, 3) == original.decode_clip(2, 3)).all()
    assert len(rows) == 4


@pytest.mark.parametrize(("name", "keep"), [(None, True), ("b.tar.gz", False)])
def test_several_processes_make_the_same_index(data: Path, tmp_path: Path, name: str | None, keep: bool) -> None:
    (data / "block-001" / "192x192.mp4").write_bytes(b"no video")
    source = data
    if name is not None:
        source = tmp_path / name
        with tarfile.open(source, "w:gz") as tar:
            tar.add(data, "dataset")
    told: list[tuple[str, int, int]] = []
    for folder, engine in (("left", LocalEngine(1)), ("right", LocalEngine(2))):
        out = tmp_path / folder / "index.parquet"
        build_index([str(source)], out, keep=keep, engine=engine, say=quiet, progress=lambda *args: told.append(args))
    one, many = (read_index(tmp_path / folder / "index.parquet") for folder in ("left", "right"))
    assert sum(row.error is None for row in one) == 3
    assert [str(asdict(row)).replace("/left/", "/right/") for row in one] == [str(asdict(row)) for row in many]
    assert told[-1] == ("read", 4, 4)


def test_a_remote_source_is_read_in_place_or_kept(data: Path, tmp_path: Path) -> None:
    fsspec.filesystem("memory").put(f"{data}/", "/set/", recursive=True)
    (row, *_) = build_index(["memory://set"], tmp_path / "a.parquet", say=quiet)
    assert row.video_url == "memory:///set/block-000/192x192.mp4"
    assert Recording.open(row.files).decode_clip(0, 5).shape == (5, 192, 192, 3)
    (row, *_) = build_index(["memory://set"], tmp_path / "b.parquet", keep=True, say=quiet)
    assert row.video_url.startswith(str(tmp_path / "b.parquet.kept"))
    assert Recording.open(row.files).decode_clip(0, 5).shape == (5, 192, 192, 3)


def change(path: Path, edit) -> None:
    message = pb.VideoAnnotation.FromString((path / "annotation.proto").read_bytes())
    edit(message)
    (path / "annotation.proto").write_bytes(message.SerializeToString())


def test_every_unusable_recording_is_a_row_with_its_reason(data: Path, tmp_path: Path) -> None:
    (data / "block-000" / "192x192.mp4").write_bytes(b"")
    (data / "block-001" / "annotation.proto").unlink()
    change(data / "block-002", lambda message: setattr(message.metadata, "frames_per_second", 30))
    shutil.copytree(data / "other-003", data / "twin")
    said: list[str] = []
    rows = build_index([str(data)], tmp_path / "index.parquet", say=said.append)
    errors = {Path(row.source).name: row.error for row in rows}
    assert errors["other-003"] is None
    assert "192x192.mp4 is damaged" in errors["block-000"]
    assert "annotation.proto is missing" in errors["block-001"]
    assert errors["block-002"].startswith("It has 30 frames per second and a policy acts at 20")
    assert "same id as" in errors["twin"]
    assert len([sentence for sentence in said if sentence.endswith(".")]) == 4
    assert len(read_index(tmp_path / "index.parquet", "error is null")) == 1


def test_numbers_that_no_recorder_writes(data: Path, tmp_path: Path) -> None:
    def endless(message: pb.VideoAnnotation) -> None:
        text = message.frame_annotations[1].frame_text_annotation.add(instruction="x", duration=float("inf"))
        text.frame_text_annotator.version = "eyehand"

    change(data / "block-000", endless)
    change(data / "block-001", lambda message: setattr(message.metadata, "frames_per_second", float("nan")))
    rows = build_index([str(data)], tmp_path / "index.parquet", say=quiet)
    assert "cannot be read" in rows[0].error
    assert "nan frames per second" in rows[1].error
    assert read_index(tmp_path / "index.parquet", "error is null") == rows[2:]


def test_nothing_usable_is_an_error_and_no_index(data: Path, tmp_path: Path) -> None:
    for path in data.glob("*/192x192.mp4"):
        path.write_bytes(b"no video")
    with pytest.raises(UserError, match="None of the 4 recordings can be used"):
        build_index([str(data)], tmp_path / "index.parquet", say=quiet)
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        tar.add(data, "dataset")
    with pytest.raises(UserError, match="None of the 4 recordings can be used"):
        build_index([str(tmp_path / "b.tar.gz")], tmp_path / "index.parquet", say=quiet)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "data"]


def test_an_index_is_not_overwritten_by_mistake(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "index.parquet"
    build_index([str(data)], out, say=quiet)
    shutil.rmtree(data / "block-000")
    with pytest.raises(UserError, match="exists: give --replace"):
        build_index([str(data)], out, say=quiet)
    assert len(build_index([str(data)], out, replace=True, say=quiet)) == len(read_index(out)) == 3
    with pytest.raises(UserError, match=r"ends in \.parquet"):
        build_index([str(data)], tmp_path / "index.csv", say=quiet)


@pytest.mark.parametrize("name", [None, "b.tar.gz"])
def test_a_killed_run_goes_on_and_reads_nothing_twice(
    data: Path, tmp_path: Path, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = data
    if name is not None:
        source = tmp_path / name
        with tarfile.open(source, "w:gz") as tar:
            tar.add(data, "dataset")
    out = tmp_path / "index.parquet"
    killed = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from eyehand.data import indexing\n"
        "read, seen = indexing._row, []\n"
        "def row(files, source):\n"
        "    seen.append(source)\n"
        "    if len(seen) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(files, source)\n"
        "indexing._row = row\n"
        "indexing.build_index([sys.argv[1]], Path(sys.argv[2]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", killed, str(source), str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    journal = out.with_name("index.parquet.journal")
    with open(journal, "ab") as file:  # and the kill came in the middle of a line
        file.write(b'{"row": {"id": "blo')
    read, seen = indexing._row, []

    def counted(files, where):
        seen.append(where)
        return read(files, where)

    monkeypatch.setattr(indexing, "_row", counted)
    with pytest.raises(UserError, match="begun with other sources"):
        build_index([str(source), str(source)], out, say=quiet)
    rows = build_index([str(source)], out, say=quiet)
    assert [row.id for row in rows] == ["block-000", "block-001", "block-002", "other-003"]
    assert len(seen) == 2
    assert not journal.exists()
    for row in rows:
        with Recording.open(row.files) as ours, Recording.open(data / row.id) as original:
            assert (ours.decode_clip(0, 5) == original.decode_clip(0, 5)).all()


@pytest.mark.parametrize("name", [None, "b.tar.gz"])
def test_a_full_disk_has_one_sentence_and_the_run_goes_on(data: Path, tmp_path: Path, name: str | None) -> None:
    source = data
    if name is not None:
        source = tmp_path / name
        with tarfile.open(source, "w:gz") as tar:
            tar.add(data, "dataset")
    out = tmp_path / "index.parquet"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))  # no file may grow beyond: the kernel refuses to write
    try:
        with pytest.raises(UserError, match=r"Cannot write .*(journal|tar) \(.*goes on where it was"):
            build_index([str(source)], out, say=quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not out.exists()
    assert len(build_index([str(source)], out, say=quiet)) == 4


@pytest.mark.parametrize("content", [b"", b"no parquet at all"])
def test_a_file_that_is_no_index(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as an index"):
        read_index(tmp_path / "x.parquet")
    with pytest.raises(UserError, match="is missing: make it with"):
        read_index(tmp_path / "y.parquet")
    with pytest.raises(UserError, match="is a folder and no index: make one with"):
        read_index(tmp_path)


def test_another_table_is_no_index(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="is no index of recordings: make one with"):
        read_index(tmp_path / "x.parquet")


def _usable(name: str, source: str) -> IndexRow:
    row = IndexRow(name, source, env="doom", num_frames=7, fps=20.0, seconds=0.35, user="me", texts=("x",))
    return replace(row, annotation_url="/a", annotation_size=700, video_url="/v", video_size=900)


ROWS = [IndexRow("a", "s", "It is damaged."), _usable("b", "t")]


def _changed(path: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """The index of ROWS as another version might have written it."""
    indexing.write_index(ROWS, path)
    pq.write_table(change(pq.read_table(path)), path)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.append_column("mood", pa.array(["good", "bad"])),
        lambda table: table.select(sorted(table.column_names)),
        lambda table: table.set_column(8, "num_frames", table["num_frames"].cast(pa.int32())),
        lambda table: table.replace_schema_metadata(None),
    ],
)
def test_an_index_of_another_version_is_read(tmp_path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = _changed(tmp_path / "x.parquet", change)
    assert read_index(path) == ROWS
    assert read_index(path, "num_frames > 5") == ROWS[1:]


def test_what_merely_tells_something_may_be_missing(tmp_path: Path) -> None:
    path = _changed(tmp_path / "x.parquet", lambda table: table.drop_columns(["user", "annotators"]))
    assert read_index(path) == [ROWS[0], replace(ROWS[1], user="")]
    with pytest.raises(UserError, match="there is no column 'user'"):  # rather than one that is empty
        read_index(path, "user = ''")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda table: table.drop_columns(["video_sha256"]), 'by eyehand 0.0.7 and .*"video_sha256" does not exist'),
        (lambda table: table.drop_columns(["fps"]).append_column("fps", pa.array(["a", "b"])), "by eyehand 0.0.7 and"),
        (lambda table: table.drop_columns(["env"]).replace_schema_metadata(None), "by eyehand of an older version and"),
        (
            lambda table: table.set_column(8, "num_frames", pa.array([None, 7])),
            "by eyehand 0.0.7 and .*'num_frames' with null",
        ),
    ],
)
def test_an_index_that_lacks_what_is_needed(tmp_path: Path, change: Callable[[pa.Table], pa.Table], what: str) -> None:
    meta = {b"eyehand_version": b"0.0.7"}
    path = _changed(tmp_path / "x.parquet", lambda table: change(table.replace_schema_metadata(meta)))
    with pytest.raises(UserError, match=rf"was written {what}.* make it anew with `eyehand data index SRC --out"):
        read_index(path)


def test_an_index_without_rows_is_none(tmp_path: Path) -> None:
    path = _changed(tmp_path / "x.parquet", lambda table: table.slice(0, 0))
    with pytest.raises(UserError, match="is no index of recordings"):
        read_index(path)


def test_rows_travel_through_the_file_unchanged(tmp_path: Path) -> None:
    rows = [IndexRow("a", "s", "It is damaged."), replace(_usable("b", "s"), texts=("é", "x"), is_cut_off=True)]
    indexing.write_index(rows, tmp_path / "x.parquet")
    assert read_index(tmp_path / "x.parquet") == rows


@pytest.mark.parametrize(
    ("forged", "what"),
    [
        ({"num_frames": 10**9}, "1,000,000,000 frames in 700 bytes"),
        ({"num_frames": 10**9, "annotation_size": 10**12}, "1,000,000,000 frames in 1,000,000,000,000 bytes"),
        ({"num_frames": -1}, "-1 frames in 700 bytes"),
        ({"num_frames": 0}, "0 frames in 700 bytes"),
        ({"fps": float("nan")}, "nan frames per second"),
        ({"seconds": float("inf")}, "inf seconds"),
        ({"user_share": -0.5}, "-0.5 of its user's actions"),
        ({"user_share": 1.5}, "1.5 of its user's actions"),
        ({"system_share": float("nan")}, "nan of its system's actions"),
        ({"annotation_offset": -1}, "a file that begins or ends before its beginning"),
        ({"video_size": -1}, "a file that begins or ends before its beginning"),
        ({"video_url": "file:///dev/zero"}, "a URL for a file of this machine"),
    ],
)
def test_numbers_that_no_recording_has(tmp_path: Path, forged: dict[str, Any], what: str) -> None:
    path = tmp_path / "x.parquet"
    indexing.write_index([ROWS[0], replace(ROWS[1], **forged)], path)
    with pytest.raises(UserError, match=f"says of the recording b that it has {re.escape(what)}: make the index anew"):
        read_index(path)


@pytest.mark.parametrize("where", ["/dev/zero", "pipe"])
def test_only_plain_files_are_read(tmp_path: Path, where: str) -> None:
    """An index that names something else, and one that is something else."""
    os.mkfifo(tmp_path / "pipe")
    place = str(tmp_path / where)  # an absolute path stays as it is
    path = tmp_path / "x.parquet"
    indexing.write_index([replace(ROWS[1], user_share=1.0, annotation_url=place, annotation_size=2**40)], path)
    dataset = load_dataset([path], P2P)
    with pytest.raises(UserError, match=r"[Nn]ot a regular file"):
        dataset.labels(0, 0, 5)
    with pytest.raises(UserError, match=r"[Nn]ot a regular file"):
        read_index(Path(place))


BOMBS = """
import resource, sys
from pathlib import Path
from eyehand.data.index import read_index
from eyehand.errors import UserError
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for path in sys.argv[1:]:
    try:
        read_index(Path(path))
    except UserError as error:
        print(error)
"""


def test_a_small_index_takes_little_memory(tmp_path: Path) -> None:
    """A text of a megabyte stands a hundred thousand times for the price of one, and so does a row."""
    schema = pq.read_schema(_changed(tmp_path / "x.parquet", lambda table: table))
    names = pa.array(["a" * 1_000_000])
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), names)
    rows = [asdict(ROWS[1])] * 100_000
    table = pa.Table.from_pylist(rows, schema=schema)
    place = schema.get_field_index("env")
    pq.write_table(table.set_column(place, "env", many), tmp_path / "text.parquet", compression="zstd")
    lists = pa.ListArray.from_arrays(pa.array(range(100_001), pa.int32()), many)
    place = schema.get_field_index("texts")
    pq.write_table(table.set_column(place, "texts", lists), tmp_path / "texts.parquet", compression="zstd")
    pq.write_table(table, tmp_path / "rows.parquet", compression="zstd")
    paths = [tmp_path / f"{name}.parquet" for name in ("text", "texts", "rows")]
    assert max(path.stat().st_size for path in paths) < 50_000
    done = subprocess.run([sys.executable, "-c", BOMBS, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.count("cannot be read as an index") == 3, done.stderr


@settings(max_examples=300)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4), st.floats(0.5, 1))
def test_whatever_is_in_it_it_is_rows_or_a_sentence(changes: list[tuple[float, int]], length: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        indexing.write_index(ROWS, path)
        data = bytearray(path.read_bytes())
        for place, value in changes:
            data[int(place * len(data))] = value
        path.write_bytes(data[: int(length * len(data))])
        rows: list[IndexRow] = []
        with contextlib.suppress(UserError):
            rows = read_index(path)
        assert all(isinstance(row.num_frames, int) and row.num_frames <= row.annotation_size for row in rows)


def test_labels_for_which_there_is_no_memory_are_a_sentence() -> None:
    for num_bytes in (1 << 62, 1 << 70):
        with pytest.raises(UserError, match="GB of memory are not to be had: use less data"):
            shared_bytes(num_bytes)
