"""Damaged and made-up recordings of every foreign format, drawn at random: each is imported or is one sentence, the
sound one beside it is imported, and memory is bounded. EYEHAND_FUZZ says how many of each (default 12)."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_csgo import write_csgo
from test_lerobot import HOPS, write_set
from test_owa import key, mouse, raw, screens, write_owa, write_pictures
from test_vpt import NAME, step, write_pair

from eyehand.action import Action
from eyehand.formats.csgo import CsgoImporter
from eyehand.formats.importing import Importer, import_recordings
from eyehand.formats.lerobot_import import LerobotImporter
from eyehand.formats.owa import OwaImporter
from eyehand.formats.vpt import VptImporter
from eyehand.recording.reader import Recording

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

EXAMPLES = int(os.environ.get("EYEHAND_FUZZ", "12"))
ROOM_BYTES = 3 << 29
"""Address space that fuzzing may take beyond what the process has."""

fuzzed = settings(max_examples=EXAMPLES, derandomize=EXAMPLES == 12, suppress_health_check=list(HealthCheck))

NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1 << 31, -(1 << 63), 1 << 64, 10**30, 0.5, -1e308, 1e300, float("nan"), float("inf")]),
    st.integers(-5, 5),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "..", "../../x", "/dev/zero", "\0", "\x1b]52;c;\a", "[/red]", "\udc80", "é" * 200, "x" * 70_000]
    ),
    st.text(max_size=5),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)
EDITS = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "zero", "ones", "repeat", "drop"]), st.floats(0, 1), st.integers(1, 64)),
    min_size=1,
    max_size=4,
)


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory() -> Iterator[None]:
    """What takes more is a MemoryError here, and a sentence that the tests do not accept."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + ROOM_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def edited(data: bytes, edits: list[tuple[str, float, int]]) -> bytes:
    """The bytes with some of them changed, doubled or gone."""
    for kind, where, length in edits:
        at = int(where * len(data))
        part = data[at : at + length]
        changed = {
            "flip": bytes([part[0] ^ (1 << length % 8)]) + part[1:] if part else b"",
            "zero": bytes(len(part)),
            "ones": b"\xff" * len(part),
            "repeat": part * length,
            "drop": b"",
        }
        data = data[:at] if kind == "cut" else data[:at] + changed[kind] + data[at + length :]
    return data


def write_vpt(folder: Path) -> None:
    write_pair(folder, [step(), step(mouse_dx=3.0, keyboard_keys=["key.keyboard.w"]), step(isGuiOpen=True), step()])


def owa_messages() -> list[Any]:
    moved = [mouse(20, "move", 5, 5), mouse(40, "click", 5, 5, button="left", pressed=True), raw(30, 2, 3)]
    return [*screens(13), key(10, 0x57, "press"), *moved]


def write_owa_pair(folder: Path) -> None:
    write_owa(folder / "play.mcap", owa_messages())
    write_pictures(folder, 13)


def write_csgo_file(folder: Path) -> None:
    write_csgo(folder / "dm_july2021_1.hdf5", [Action(), Action.of(["w"], dx=10), Action()])


def write_lerobot(folder: Path) -> None:
    write_set(folder, HOPS, ["key.Space", "mouse.dx"])


FORMATS: Mapping[str, tuple[Callable[[list[Path]], Importer], Callable[[Path], None]]] = {
    "vpt": (VptImporter, write_vpt),
    "owa": (OwaImporter, write_owa_pair),
    "csgo": (CsgoImporter, write_csgo_file),
    "lerobot": (LerobotImporter, write_lerobot),
}


@cache
def sound(name: str) -> Path:
    """A sound source of the format; only read."""
    folder = Path(tempfile.mkdtemp(prefix=f"eyehand-fuzz-{name}-")) / "sound"
    FORMATS[name][1](folder)
    return folder


@cache
def sound_ids(name: str) -> tuple[str, ...]:
    """The names of the recordings that are made of it."""
    with tempfile.TemporaryDirectory() as out:
        report = import_recordings(FORMATS[name][0]([sound(name)]), Path(out))
        assert not report.problems
        return tuple(path.name for path in report.written)


@pytest.fixture(autouse=True, scope="module")
def _no_leftovers() -> Iterator[None]:
    yield
    for name in FORMATS:
        shutil.rmtree(sound(name).parent)
    sound.cache_clear()
    sound_ids.cache_clear()


def check(name: str, spoil: Callable[[Path], object]) -> None:
    """Import a sound source and the one that `spoil` makes of a copy."""
    with tempfile.TemporaryDirectory() as folder:
        bad, out = Path(folder) / "bad", Path(folder) / "out"
        shutil.copytree(sound(name), bad)
        spoil(bad)
        there = [out / each for each in sound_ids(name)]
        for path in there:  # so that they need not be encoded anew every time
            path.mkdir(parents=True)
        report = import_recordings(FORMATS[name][0]([bad, sound(name)]), out)
        assert set(there) <= set(report.skipped)
        for problem in report.problems:
            assert "bad" in problem
            assert problem.endswith(".")
            assert len(problem) < 1500
            assert "more memory" not in problem
        for path in report.written:
            with Recording.open(path) as recording:
                assert len(recording.decode_clip(0, recording.num_frames)) == recording.num_frames
                assert [recording.executed(frame) for frame in range(recording.num_frames)]


FILES = [
    *(("vpt", f"{NAME}.{ending}") for ending in ("mp4", "jsonl")),
    *(("owa", f"play.{ending}") for ending in ("mcap", "mkv")),
    ("csgo", "dm_july2021_1.hdf5"),
    *(("lerobot", f"{name}/chunk-000/file-000.parquet") for name in ("data", "meta/episodes")),
    *(("lerobot", name) for name in ("meta/info.json", "meta/tasks.parquet")),
    ("lerobot", "videos/observation.images.screen/chunk-000/file-000.mp4"),
]


@pytest.mark.parametrize(("name", "file"), FILES, ids=[f"{name}-{Path(file).name}" for name, file in FILES])
@fuzzed
@given(EDITS)
def test_damaged_bytes(name: str, file: str, edits: list[tuple[str, float, int]]) -> None:
    check(name, lambda bad: (bad / file).write_bytes(edited((bad / file).read_bytes(), edits)))


def with_value(content: Any, path: list[float], value: Any) -> Any:
    """JSON content with one value in it, found by following the numbers, replaced."""
    if not path or not isinstance(content, list | dict) or not content:
        return value
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    chosen = keys[int(path[0] * (len(keys) - 1))]
    copy = content.copy()
    copy[chosen] = with_value(content[chosen], path[1:], value)
    return copy


PLACES = st.lists(st.floats(0, 1), max_size=4)


@fuzzed
@given(st.integers(0, 3), PLACES, VALUES)
def test_vpt_lines(line: int, place: list[float], value: Any) -> None:
    def spoil(bad: Path) -> None:
        path = bad / f"{NAME}.jsonl"
        lines = [json.loads(each) for each in path.read_text().splitlines()]
        lines[line] = with_value(lines[line], place, value)
        path.write_text("".join(json.dumps(each) + "\n" for each in lines))

    check("vpt", spoil)


@fuzzed
@given(st.integers(0, 16), PLACES, VALUES, st.sampled_from([0, 1, 100, 10_000, 86_400_000, 1e12]))
def test_owa_messages(number: int, place: list[float], value: Any, later_ms: float) -> None:
    def spoil(bad: Path) -> None:
        messages = owa_messages()
        time_ms, topic, schema, data = messages[number]
        messages[number] = (time_ms + later_ms, topic, schema, with_value(data, place, value))
        write_owa(bad / "play.mcap", messages)

    check("owa", spoil)


ARRAYS = st.one_of(
    st.builds(np.zeros, st.lists(st.integers(0, 60), max_size=4), st.sampled_from(["f4", "u1", "i8", "bool", "S3"])),
    NUMBERS.map(lambda number: np.full(51, float(number))),
    NUMBERS.map(lambda number: np.full(2, float(number))),
)


@fuzzed
@given(st.sampled_from(["x", "y", "helperarr"]), st.integers(0, 3), ARRAYS)
def test_csgo_arrays(kind: str, number: int, array: np.ndarray) -> None:
    def spoil(bad: Path) -> None:
        with h5py.File(bad / "dm_july2021_1.hdf5", "r+") as file:
            place = f"frame_{number}_{kind}"
            if place in file:
                del file[place]
            file.create_dataset(place, data=array)

    check("csgo", spoil)


@fuzzed
@given(PLACES, VALUES)
def test_lerobot_info(place: list[float], value: Any) -> None:
    def spoil(bad: Path) -> None:
        path = bad / "meta/info.json"
        path.write_text(json.dumps(with_value(json.loads(path.read_text()), place, value)))

    check("lerobot", spoil)


@fuzzed
@given(
    st.sampled_from([file for name, file in FILES if file.endswith(".parquet")]),
    st.floats(0, 1),
    st.floats(0, 1),
    VALUES,
    st.booleans(),
)
def test_lerobot_tables(file: str, column: float, row: float, value: Any, is_whole: bool) -> None:
    def spoil(bad: Path) -> None:
        table = pq.read_table(bad / file)
        name = table.column_names[int(column * (table.num_columns - 1))]
        values = table.column(name).to_pylist()
        if is_whole:
            values = [value] * len(values)
        else:
            values[int(row * (len(values) - 1))] = value
        for each in (values, [json.dumps(value)] * len(values)):
            with contextlib.suppress(
                pa.ArrowException, OverflowError, UnicodeEncodeError
            ):  # Arrow cannot hold any value
                pq.write_table(table.drop_columns([name]).append_column(name, pa.array(each)), bad / file)
                return

    check("lerobot", spoil)


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(["id", "env", "env_subtype", "fps", "user", "tasks", "created_s", "seed", "os", "outcome"]),
        VALUES,
    )
)
def test_lerobot_facts_of_ours(about: dict[str, Any]) -> None:
    def spoil(bad: Path) -> None:
        path = bad / "meta/episodes/chunk-000/file-000.parquet"
        facts = [{"id": f"take-{number}", "env": "a", "env_subtype": "b", "fps": 20} for number in range(2)]
        texts = [json.dumps(facts[0] | about), json.dumps(facts[1])]
        pq.write_table(pq.read_table(path).append_column("eyehand_info", pa.array(texts)), path)

    check("lerobot", spoil)
