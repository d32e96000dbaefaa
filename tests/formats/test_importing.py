"""What every importer has in common: its own exceptions, the wheel's unit, file systems without locks."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from test_owa import mouse, raw, screens, write_owa, write_pictures
from test_vpt import step, write_pair

from eyehand.action import PIXELS_PER_NOTCH
from eyehand.cli import main
from eyehand.formats.importing import ImportedFrame, Take, import_recordings
from eyehand.frame import Frame
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.writer import new_info


class Careless:
    """An importer, somebody else's perhaps, that does not look after what it reads."""

    format = "careless"
    losses = ()

    def sources(self) -> Sequence[str]:
        return ["column", "null", "time", "next", "late", "good"]

    def takes(self, source: str) -> Iterator[Take]:
        table: dict[str, float | None] = {"null": None, "time": float("nan")}
        if source in ("null", "time"):
            int(table[source])  # type: ignore[arg-type]
        elif source == "column":
            table[source]
        elif source == "next":
            next(iter(()))
        yield Take(new_info("game", "", 20.0, id=source), self._moments(source))

    def _moments(self, source: str) -> Iterator[ImportedFrame]:
        for index in range(3):
            yield ImportedFrame(Frame(np.zeros((8, 8, 3), np.uint8), index * 50_000_000, index), None)
            if source == "late":
                raise LookupError("gone")


def test_what_an_importer_raises_is_one_sentence_about_that_source(tmp_path: Path) -> None:
    report = import_recordings(Careless(), tmp_path / "out")
    assert [path.name for path in report.written] == ["good"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]
    assert report.problems == [
        f"{source} is not laid out as careless's recordings are ({error}): fetch it again or leave it out."
        for source, error in (
            ("column", "KeyError('column')"),
            (
                "null",
                "TypeError(\"int() argument must be a string, a bytes-like object or a real number, not 'NoneType'\")",
            ),
            ("time", "ValueError('cannot convert float NaN to integer')"),
            ("next", "RuntimeError('generator raised StopIteration')"),
            ("late", "LookupError('gone')"),
        )
    ]


@pytest.mark.parametrize("source_format", ["vpt", "owa", "owa-raw"])
def test_a_notch_of_the_wheel_is_the_same_everywhere(tmp_path: Path, source_format: str) -> None:
    """From every format that has a wheel, and through a LeRobot data set and back."""
    pytest.importorskip("pyarrow")
    if source_format == "vpt":
        write_pair(tmp_path / "in", [step(mouse_dwheel=2.0), step(mouse_dwheel=-1.0), *[step()] * 3])
    else:
        pytest.importorskip("mcap")
        turns = (10, 2), (60, -1)
        messages = [
            raw(time_ms, 0, 0, button_flags=0x0400, button_data=(120 * notches) & 0xFFFF)
            if source_format == "owa-raw"
            else mouse(time_ms, "scroll", 5, 5, dx=0, dy=notches)
            for time_ms, notches in turns
        ]
        write_owa(tmp_path / "in/play.mcap", [*screens(31), *messages])
        write_pictures(tmp_path / "in", 31)
    steps = (
        ["import", source_format[:3], "in", "--out", "once"],
        ["export", "lerobot", "once", "--out", "set"],
        ["import", "lerobot", "set", "--out", "twice"],
    )
    for verb, what, source, option, out in steps:
        assert main([verb, what, str(tmp_path / source), option, str(tmp_path / out)]) == 0
    for out in ("once", "twice"):
        (path,) = find_recordings(tmp_path / out)
        with Recording.open(path) as recording:
            turned = [action.scroll_dy for frame in range(3) if (action := recording.executed(frame))]
        assert turned == [2 * PIXELS_PER_NOTCH, -PIXELS_PER_NOTCH, 0]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_import_and_index_go_on_and_say_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """As NFS without its lock daemon."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(file: object, operation: int) -> None:
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    pair = write_pair(tmp_path / "in", [step()] * 3)
    out = tmp_path / "out"
    for _ in range(2):
        assert main(["import", "vpt", str(pair), "--out", str(out)]) == 0
    assert main(["data", "index", str(out), "--out", str(tmp_path / "out.parquet"), "--keep"]) == 0
    printed = capsys.readouterr().err
    assert printed.count(f"eyehand: {out} cannot lock files: take care that no other run writes there.") == 1
    assert printed.count("cannot lock files") == 3  # of the recordings, of the index, of what it keeps
