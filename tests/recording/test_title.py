"""What recordings are called: in folders, tables and pages."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eyehand.action import Action
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.inspect import inspect, print_inspection
from eyehand.recording.reader import Recording
from eyehand.recording.title import new_id, title_of
from eyehand.recording.writer import RecordingWriter
from eyehand.safe_path import SafeName

MADE_S = int(time.mktime((2026, 11, 30, 22, 41, 5, 0, 0, -1)))


@pytest.mark.parametrize(
    ("env", "subtype", "created_s", "note", "title"),
    [
        ("supertux", "", MADE_S, "", "2026-11-30 22:41:05, supertux, 2:31"),
        ("doom", "aim", MADE_S, "the calm one", "2026-11-30 22:41:05, doom/aim, 2:31, the calm one"),
        ("desktop", "Super Tux 2", MADE_S, "", "2026-11-30 22:41:05, Super Tux 2, 2:31"),
        ("minecraft", "", 0, "", "an-id, minecraft, 2:31"),
    ],
)
def test_a_title_says_when_what_and_how_long(env: str, subtype: str, created_s: int, note: str, title: str) -> None:
    info = RecordingInfo("an-id", env, subtype, 20.0, created_s=created_s, note=note)
    assert title_of(info, 151.2) == title


def test_names_of_folders_are_in_the_order_of_time_and_never_the_same() -> None:
    ids = [new_id("desktop", "Crème/../brûlée: 2!", MADE_S + number // 50) for number in range(100)]
    assert len(set(ids)) == 100
    assert sorted(ids)[:50] == sorted(ids[:50])
    assert ids[0].startswith("2026-11-30_22-41-05_Cr-me-br-l-e-2_")
    assert all(SafeName(key, "a test") for key in (*ids, new_id("дом", "", MADE_S), new_id("x" * 300, "", MADE_S)))


def test_tables_show_titles_with_the_newest_first(tmp_path: Path) -> None:
    notes = ("the first", "the second", "the third")
    for number, note in enumerate(notes):
        info = RecordingInfo(f"recording-{2 - number}", "doom", "aim", 20.0, created_s=MADE_S + number, note=note)
        with RecordingWriter(tmp_path, info) as writer:
            for index in range(4):
                writer.add(
                    Frame(np.full((48, 64, 3), 60 * index, np.uint8), index * 50_000_000),
                    Decision(Action.of(["w"]), by_user=True),
                )
        with Recording.open(writer.path) as recording:
            assert recording.info.note == note
    inspection = inspect(tmp_path)
    assert [report.title.rpartition(", ")[2] for report in inspection.reports] == [
        "the third",
        "the second",
        "the first",
    ]
    console = Console(record=True, width=80, file=io.StringIO())
    print_inspection(inspection, console)
    text = console.export_text()
    assert "2026-11-30 22:41:07," in text
    assert text.index("22:41:07") < text.index("22:41:06") < text.index("22:41:05")
