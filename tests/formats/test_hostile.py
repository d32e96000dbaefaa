"""Foreign recordings that lead to other files, promise what they do not hold, or never end: one sentence for each, the
others are imported, and memory and time stay small."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numbered_video import number_of, write_video
from test_csgo import write_csgo
from test_lerobot import HOPS, write_set
from test_owa import MS, Message, held_state, key, raw, screens, write_owa, write_pictures
from test_vpt import NAME, step, write_pair

from eyehand.action import Action
from eyehand.cli import main
from eyehand.formats.csgo import CsgoImporter
from eyehand.formats.importing import ImportedFrame, Importer, ImportReport, Take, import_recordings
from eyehand.formats.lerobot_import import LerobotImporter
from eyehand.formats.owa import OwaImporter
from eyehand.formats.vpt import VptImporter
from eyehand.frame import Frame
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.writer import new_info
from peak_memory import peak_mb

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

MOST_MB = 100
NUM_ROWS = 300_000
SETUP = """
    import tempfile
    from pathlib import Path
    from eyehand.formats import csgo, lerobot_import, owa, vpt
    from eyehand.formats.importing import import_recordings
    import h5py, mcap.reader
"""


def import_in_a_child(importer: str, *paths: Path) -> tuple[float, str]:
    """Megabytes that an import takes, and its problems."""
    run = f"report = import_recordings({importer}([Path(each) for each in sys.argv[1:]]), Path(tempfile.mkdtemp()))"
    return peak_mb(SETUP, f"{run}\nprint(*report.problems, sep='\\n')", *paths)


def write_vpt(folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    write_pair(folder, [step()] * 5)


def write_owa_pair(folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    write_owa(folder / "play.mcap", screens(31))
    write_pictures(folder, 31)


FORMATS: dict[str, tuple[Callable[[list[Path]], Importer], Callable[[Path], object], list[str]]] = {
    "vpt": (VptImporter, write_vpt, [f"{NAME}.mp4", f"{NAME}.jsonl"]),
    "owa": (OwaImporter, write_owa_pair, ["play.mcap", "play.mkv"]),
    "csgo": (CsgoImporter, lambda folder: write_csgo(folder / "a.hdf5", [Action()] * 6), ["a.hdf5"]),
}
FILES = [(name, file) for name, (_, _, files) in FORMATS.items() for file in files]


@pytest.mark.parametrize(("name", "file"), FILES)
@pytest.mark.parametrize("what", ["a link out", "a pipe", "a device", "a folder", "a link to itself"])
def test_what_is_no_file_of_the_folder_is_not_read(tmp_path: Path, name: str, file: str, what: str) -> None:
    importer, write, _ = FORMATS[name]
    write(tmp_path / "private")
    write(tmp_path / "in/bad")
    write(tmp_path / "in/good")
    bad = tmp_path / "in/bad" / file
    bad.unlink()
    if what == "a pipe":
        os.mkfifo(bad)
    elif what == "a folder":
        bad.mkdir()
    else:
        target = {"a link out": tmp_path / "private" / file, "a device": "/dev/zero", "a link to itself": bad.name}
        bad.symlink_to(target[what])
    report = import_recordings(importer([tmp_path / "in"]), tmp_path / "out")
    assert (len(report.written), len(report.problems)) == (1, 1)
    assert str(bad) in report.problems[0]


@pytest.mark.parametrize(("name", "file"), FILES)
def test_links_within_the_folder_are_followed_and_so_is_what_the_user_names(
    tmp_path: Path, name: str, file: str
) -> None:
    importer, write, files = FORMATS[name]
    write(tmp_path / "in/here")
    (tmp_path / "in/there").mkdir()
    for each in files:
        (tmp_path / "in/here" / each).rename(tmp_path / "in/there" / each)
        (tmp_path / "in/here" / each).symlink_to(f"../there/{each}")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    report = import_recordings(importer([tmp_path / "link"]), tmp_path / "out")
    assert (len(report.written), report.problems) == (1, [])
    first = tmp_path / "in/there" / files[0]
    (tmp_path / "in/there" / f"named{first.suffix}").symlink_to(first)
    if name == "csgo":
        report = import_recordings(importer([tmp_path / f"in/there/named{first.suffix}"]), tmp_path / "again")
        assert (len(report.written), report.problems) == (1, [])


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../../private/play.mkv", "file:///{}/private/play.mkv", "..", "", "a\0b"]
)
def test_an_owa_recording_names_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    write_owa_pair(tmp_path / "private")
    write_owa(tmp_path / "in/play.mcap", screens(31, video=name.format(tmp_path)))
    report = import_recordings(OwaImporter([tmp_path / "in"]), tmp_path / "out")
    assert not report.written
    assert len(report.problems) == 1


@pytest.mark.parametrize(
    "video_path", ["{video_key}/../../../private.mp4", "/etc/hostname", "link.mp4", "zero", "pipe"]
)
def test_a_lerobot_data_set_names_no_file_elsewhere(tmp_path: Path, video_path: str) -> None:
    root = write_set(tmp_path / "in", HOPS, ["key.Space", "mouse.dx"])
    write_video(tmp_path / "private.mp4", [50 * index for index in range(60)])
    (root / "link.mp4").symlink_to(tmp_path / "private.mp4")
    (root / "zero").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe")
    about = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(about | {"video_path": video_path}))
    report = import_recordings(LerobotImporter([root]), tmp_path / "out")
    assert not report.written
    assert len(report.problems) in (1, 2)


def test_one_bad_episode_of_a_lerobot_data_set_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_set(tmp_path / "in", HOPS, ["key.Space", "mouse.dx"])
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path).to_pydict()
    table["action"][40] = [1.0, float("nan")]
    pq.write_table(pa.table(table), path)
    assert main(["import", "lerobot", str(root), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "row 10 of an episode" in printed.err
    (written,) = find_recordings(tmp_path / "out")
    with Recording.open(written) as recording:
        assert [number_of(picture) for picture in recording.decode_clip(0, 30)] == list(range(30))


def test_a_number_of_a_picture_is_not_believed(tmp_path: Path) -> None:
    path = write_csgo(tmp_path / "a.hdf5", [Action()] * 3)
    with h5py.File(path, "r+") as file:
        file.move("frame_2_x", "frame_2000000000_x")
    grown_mb, problem = import_in_a_child("csgo.CsgoImporter", path)
    assert grown_mb < MOST_MB
    assert "lacks frame_2_x though later ones are there" in problem


def test_actions_of_a_hundred_million_numbers_are_not_read(tmp_path: Path) -> None:
    path = write_csgo(tmp_path / "a.hdf5", [Action()] * 3)
    with h5py.File(path, "r+") as file:
        del file["frame_1_y"]
        file.create_dataset("frame_1_y", (99_000_000,), "f8", chunks=True, compression="gzip")
    grown_mb, problem = import_in_a_child("csgo.CsgoImporter", path)
    assert grown_mb < MOST_MB
    assert "more than it can need" in problem


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_messages_that_grow_without_end_are_given_up(tmp_path: Path, compression: str) -> None:
    writer_of = pytest.importorskip("mcap.writer", reason="mcap is not installed")
    with open(tmp_path / "play.mcap", "wb") as file:
        kind = getattr(writer_of.CompressionType, compression.upper())
        writer = writer_of.Writer(file, compression=kind, chunk_size=1 << 30, enable_crcs=False)
        writer.start()
        channel = writer.register_channel(
            "screen", "json", writer.register_schema("a/ScreenCaptured", "jsonschema", b"{}")
        )
        for number in range(5):
            writer.add_message(channel, number, b" " * (80 << 20), number)
        writer.finish()
    assert (tmp_path / "play.mcap").stat().st_size < 3_000_000
    grown_mb, problem = import_in_a_child("owa.OwaImporter", tmp_path)
    assert grown_mb < MOST_MB
    assert "grows too large when it is decompressed" in problem


@pytest.mark.parametrize("table", ["data", "meta/episodes", "tasks"])
def test_tables_that_grow_without_end_are_read_in_little_memory(tmp_path: Path, table: str) -> None:
    """Many rows of one value, vector or text take some kilobytes."""
    root = write_set(tmp_path / "in", HOPS, ["key.Space", "mouse.dx"])
    path = root / ("meta/tasks.parquet" if table == "tasks" else f"{table}/chunk-000/file-000.parquet")
    zeros = pa.array(np.zeros(NUM_ROWS, np.int64))
    rows = dict.fromkeys(pq.read_schema(path).names, zeros)
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(NUM_ROWS, np.int32)), pa.array(["x" * 10_000_000]))
    if table == "data":
        rows["action"] = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(NUM_ROWS * 400, np.float32)), 400)
    else:
        rows["task" if table == "tasks" else "eyehand_info"] = text
    pq.write_table(pa.table(rows), path, compression="zstd")
    assert path.stat().st_size < 200_000
    grown_mb, problem = import_in_a_child("lerobot_import.LerobotImporter", root)
    assert grown_mb < 4 * MOST_MB
    assert problem


def owa_after(jump_ns: int, *, states: bool = False) -> list[Message]:
    """Half a second, and half a second later than that, with the computer's clock set in between or a still screen."""
    later = [
        (time_ms + jump_ns / MS, topic, schema, data | {"utc_ns": data["utc_ns"] + jump_ns})
        for time_ms, topic, schema, data in screens(62)[31:]
    ]
    between = [held_state(second * 1000.0) for second in range(1, jump_ns // 1_000_000_000)] if states else []
    return [*screens(31), key(60, 0x57, "press"), *between, *later]


@pytest.mark.parametrize(
    ("jump_s", "states", "most_frames"),
    [(7200, False, 24), (315_360_000, False, 24), (-3600, False, 24), (600, True, 6100)],
)
def test_a_jump_of_the_clock_or_a_still_screen_makes_no_endless_recording(
    tmp_path: Path, jump_s: int, states: bool, most_frames: int
) -> None:
    write_owa(tmp_path / "in/play.mcap", owa_after(jump_s * 1_000_000_000, states=states), in_order=False)
    write_pictures(tmp_path / "in", 62)
    report = import_recordings(OwaImporter([tmp_path / "in"]), tmp_path / "out")
    assert (len(report.written), report.problems) == (2, [])
    assert report.num_frames <= most_frames


def test_messages_of_one_moment_are_not_all_kept(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    lists = {"a": [[] if is_list else 0 for is_list in draw.random(200_000) < 0.9]}
    write_owa(tmp_path / "play.mcap", [*screens(31), *[(100.0, "window", "desktop/WindowInfo", lists)] * 40])
    assert (tmp_path / "play.mcap").stat().st_size < 4_000_000
    grown_mb, problem = import_in_a_child("owa.OwaImporter", tmp_path)
    assert grown_mb < 5 * MOST_MB
    assert "more messages within two seconds" in problem


def test_a_recording_that_goes_to_and_fro_between_videos_is_given_up(tmp_path: Path) -> None:
    messages = screens(31)
    for number, message in enumerate(messages):
        message[3]["media_ref"]["uri"] = ("play.mkv", "other.mkv")[number // 8 % 2]
    write_owa(tmp_path / "in/play.mcap", messages)
    write_pictures(tmp_path / "in", 31)
    (tmp_path / "in/other.mkv").write_bytes((tmp_path / "in/play.mkv").read_bytes())
    report = import_recordings(OwaImporter([tmp_path / "in"]), tmp_path / "out")
    assert not report.written
    assert "from one video to another and back" in report.problems[0]


@pytest.mark.slow
def test_what_the_reader_would_refuse_is_no_recording(tmp_path: Path) -> None:
    """More events within one tick than the annotation of a frame may hold."""
    moves = [raw(10 + number / 10_000, 1, 1) for number in range(100_000)]
    write_owa(tmp_path / "in/play.mcap", [*screens(31), *moves])
    write_pictures(tmp_path / "in", 31)
    report = import_recordings(OwaImporter([tmp_path / "in"]), tmp_path / "out")
    assert not report.written
    assert "cannot be read back" in report.problems[0]


def test_a_million_unknown_names_are_a_short_note(tmp_path: Path) -> None:
    keys = [f"key.keyboard.{'unheard-of' * 20}{number}" for number in range(1000)]
    report = import_recordings(
        VptImporter([write_pair(tmp_path / "in", [step(keyboard_keys=keys)] * 3)]), tmp_path / "out"
    )
    (note,) = report.notes[0][1]
    assert len(note) < 2100


class Odd:
    """An importer whose takes have facts that no recording can hold; every second one is sound."""

    format = "odd"
    losses = ()

    def sources(self) -> list[str]:
        return ["all"]

    def takes(self, source: str):
        sound = np.zeros((8, 8, 3), np.uint8)
        wide = np.zeros((1, 9000, 3), np.uint8)
        for name, picture, step_ns, outcome, changes in (
            ("outcome", sound, 50_000_000, {"score": float("nan")}, {}),
            ("backwards", sound, -1, {}, {}),
            ("years", sound, 10**17, {}, {}),
            ("wide", wide, 50_000_000, {}, {}),
            ("flat", sound[..., 0], 50_000_000, {}, {}),
            ("text", sound, 50_000_000, {}, {"user": "\udcff"}),
            ("number", sound, 50_000_000, {}, {"created_s": 1 << 70}),
            ("rate", sound, 50_000_000, {}, {"fps": float("nan")}),
            ("rate", sound, 50_000_000, {}, {"fps": 0.0}),
            ("../id", sound, 50_000_000, {}, {}),
        ):
            for is_odd in (True, False):
                info = new_info("game", "", 20.0, id=name if is_odd else f"sound-{self._number()}")
                moments = (
                    ImportedFrame(Frame(picture if is_odd else sound, (step_ns if is_odd else 1) * index, index), None)
                    for index in range(3)
                )
                if is_odd:
                    info = new_info(**({"env": "game", "env_subtype": "", "fps": 20.0, "id": name} | changes))
                yield Take(info, moments, outcome if is_odd else {})

    num = 0

    def _number(self) -> int:
        self.num += 1
        return self.num


def test_odd_facts_of_one_take_leave_the_others(tmp_path: Path) -> None:
    report: ImportReport = import_recordings(Odd(), tmp_path / "out")
    assert len(report.written) == 10
    assert len(report.problems) == 10
    assert {path.name[:5] for path in (tmp_path / "out").iterdir()} == {"sound"}
