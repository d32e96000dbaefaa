"""A person goes through what the check left out; what is decided holds for training, listing and conditions."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

import moving_block
from eyehand.action_space import P2P
from eyehand.cli import main
from eyehand.data.dataset import load_dataset
from eyehand.data.decisions import read_decisions
from eyehand.data.index import read_index
from eyehand.data.split import Selection
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.writer import RecordingWriter

BLACK = np.zeros((192, 192, 3), np.uint8)
INDEX, FILE = Path("index.parquet"), Path("index.parquet.checked.json")


def write(root: Path, name: str, num_black: int) -> None:
    with RecordingWriter(root, RecordingInfo(name, "paper", "review", 20.0)) as writer:
        for index in range(40):
            pixels = BLACK if index < num_black else moving_block.picture(index % 3, index)
            done = Decision(moving_block.ACTIONS[index % 3], by_user=True) if index else None
            writer.add(Frame(pixels, index * 50_000_000, index), done)


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Four recordings, of which two are too dark and one cannot be read."""
    for name, num_black in (("dark", 30), ("darker", 35), ("good", 0), ("torn", 0)):
        write(tmp_path / "data", name, num_black)
    (tmp_path / "data" / "torn" / "annotation.proto").write_bytes(b"\xff" * 9)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "index", "data", "--out", "index.parquet", "--workers", "1"]) == 0
    assert main(["data", "check", "index.parquet", "--workers", "1"]) == 0
    capsys.readouterr()
    return tmp_path


def used() -> list[str]:
    return [episode.id for episode in load_dataset([INDEX], P2P).episodes]


def by_id() -> dict[str, tuple[str, str]]:
    return {each.id: (each.choice, each.by) for each in read_decisions(FILE).values()}


def answer(monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))


def test_one_after_the_other(checked: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert used() == ["good"]
    answer(monkeypatch, "what?\nu it is a night level\ns\n")
    assert main(["data", "review", "index.parquet"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 2  dark" in printed
    assert "The picture is black on 75% of its frames." in printed
    assert "torn" not in printed  # what cannot be read is not for a person to decide
    assert "1 decided, 1 left" in printed
    assert used() == ["dark", "good"]
    (note,) = [each.note for each in read_decisions(FILE).values() if each.by == "person"]
    assert note == "it is a night level"
    answer(monkeypatch, "l\n")
    assert main(["data", "review", "index.parquet"]) == 0
    assert "1 of 1  darker" in capsys.readouterr().out
    assert main(["data", "review", "index.parquet"]) == 0
    assert "Nothing is left to decide." in capsys.readouterr().out
    answer(monkeypatch, "")  # the input ends: what was decided stays
    assert main(["data", "review", "index.parquet", "--again"]) == 0
    assert "0 decided, 2 left" in capsys.readouterr().out
    assert main(["data", "check", "index.parquet", "--workers", "1"]) == 0  # a later check changes nothing of it
    assert used() == ["dark", "good"]
    assert by_id()["darker"] == ("leave out", "person")


def test_without_asking(checked: Path, capsys) -> None:
    arguments = ["--use", "darker", "--leave-out", "good", "--note", "menus only"]
    assert main(["data", "review", "index.parquet", *arguments]) == 0
    assert "1 to be used, 1 left out" in capsys.readouterr().out
    assert used() == ["darker"]
    (good,) = read_index(INDEX, "id = 'good'")
    assert good.error == "A person left it out: menus only."
    assert main(["data", "review", "index.parquet", "--use", "nobody"]) == 2
    assert "There is no recording 'nobody'" in capsys.readouterr().err


def test_training_is_told_how_many_were_left_out_and_why(checked: Path, capsys) -> None:
    assert len(load_dataset([INDEX], P2P).episodes) == 1
    said = capsys.readouterr().err
    assert re.search(
        r"left out: 2 recordings, such as \S*dark: The picture .* is black on \d+% of its frames\.", said
    ), said
    assert re.search(r"left out: \S*torn/annotation.proto is damaged", said)
    assert "3 of 4 recordings left out in all: `eyehand data review" in said


def test_conditions_name_what_was_found_and_decided(checked: Path) -> None:
    assert [row.id for row in read_index(INDEX, "black_share > 0.8")] == ["darker"]
    assert [row.id for row in read_index(INDEX, "decision = 'use' and decided_by = 'check'")] == ["good"]
    assert [row.id for row in read_index(INDEX, "likelihood is null and black_share = 0 and error is null")] == ["good"]
    FILE.unlink()
    assert read_index(INDEX, "decision = 'use'") == []
    assert len(read_index(INDEX, "decision is null")) == 4


def test_a_partial_check_keeps_what_is_known_of_the_others(checked: Path, capsys) -> None:
    assert main(["data", "check", "index.parquet", "--where", "id = 'good'", "--workers", "1"]) == 0
    assert set(by_id()) == {"dark", "darker", "good", "torn"}
    assert by_id()["dark"] == ("leave out", "check")


def test_training_says_when_nothing_was_left_to_learn_from(checked: Path) -> None:
    assert main(["data", "review", "index.parquet", "--leave-out", "good"]) == 0
    with pytest.raises(UserError, match=r"None of the 4 .* can be learnt from: 4 are damaged or were left out"):
        load_dataset([INDEX], P2P)
    with pytest.raises(UserError, match=r"None of the 2 .* for which black_share > 0.5 can be learnt from: 2 are"):
        load_dataset([INDEX], P2P, selection=Selection(where="black_share > 0.5"))


def test_a_page_of_the_queue(checked: Path, capsys) -> None:
    assert main(["data", "review", "index.parquet", "--html", "queue.html", "--where", "black_share > 0.8"]) == 0
    page = Path("queue.html").read_text()
    assert "The picture is black on 88% of its frames." in page
    assert page.count('"text/plain" id="video-') == 1
    assert by_id()["darker"] == ("leave out", "check")


def test_what_a_person_writes_into_the_file_is_a_persons(checked: Path) -> None:
    entries = json.loads(FILE.read_text())
    for entry in entries.values():
        entry["decision"] = {"good": "leave out", "dark": "use"}.get(entry["id"], entry["decision"])
    FILE.write_text(json.dumps(entries))
    assert by_id() == {
        "good": ("leave out", "person"), "dark": ("use", "person"), "darker": ("leave out", "check"),
        "torn": ("leave out", "check"),
    }  # fmt: skip
    assert used() == ["dark"]


def test_nothing_checked_yet(checked: Path, capsys) -> None:
    FILE.unlink()
    assert main(["data", "review", "index.parquet"]) == 2
    assert "Nothing is checked in index.parquet yet" in capsys.readouterr().err
