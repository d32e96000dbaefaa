"""Edits of recordings: every frame keeps its picture, action and events; what was there is kept whole."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from eyehand.action import Action
from eyehand.cli import main
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.writer import RecordingWriter

NUM_FRAMES, STEP_NS = 60, 50_000_000


def action(number: int) -> Action:
    return Action.of(["w"] if number % 3 else [], ["0"] if number % 5 == 0 else [], dx=number % 7 - 3)


def brightness(number: int) -> int:
    return 20 + number * 67 % 216


def make(root: Path, name: str, first: int = 0) -> Path:
    """Sixty frames whose brightness says which they are; a user's, a system's and a labelled system's actions."""
    info = RecordingInfo(name, "paper", "numbers", 20.0, user="human", created_s=1_790_000_000, note="mine")
    with RecordingWriter(root, info) as writer:
        for index in range(NUM_FRAMES):
            number = first + index
            done = action(number - 1)
            decision = (Decision(done, by_user=True), Decision(done), Decision(done, label=Action.of(["a"])))[index % 3]
            frame = Frame(np.full((96, 128, 3), brightness(number), np.uint8), 1000 + index * STEP_NS)
            writer.add(frame, decision, "count" if index < 30 else None)
        writer.close({"score": 3.0})
    return writer.path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make(folder, "one")
    make(folder, "two", first=60)
    with RecordingWriter(folder, RecordingInfo("large", "paper", "numbers", 20.0)) as writer:
        for index in range(2):
            writer.add(Frame(np.zeros((200, 200, 3), np.uint8), index * STEP_NS), None)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    for name in ("one", "two"):
        shutil.copytree(made / name, tmp_path / "data" / name)
    return tmp_path / "data"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def check_frames(recording: Recording, numbers: list[int], joints: tuple[int, ...] = ()) -> None:
    """Every picture shows its number, and what was done on it is that number's action."""
    assert recording.num_frames == len(numbers)
    for clip in (recording.decode_clip, recording.decode_captured):
        shown = clip(0, len(numbers)).mean((1, 2, 3))
        assert np.abs(shown - [brightness(number) for number in numbers]).max() < 6
    for frame, number in enumerate(numbers[:-1]):
        expected = None if frame + 1 in joints else action(number)
        assert recording.executed(frame) == expected
    assert all(np.diff(recording.times_ns) == STEP_NS)
    assert recording.times_ns[0] == 0


def test_a_trimmed_recording_is_its_middle(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = root / "one"
    before = contents(one)
    assert main(["data", "edit", str(one), "--trim", "0:01", "2.5", "--mark", "failure", "--note", "the middle"]) == 0
    said = capsys.readouterr().out
    assert "paper/numbers, 0:02, the middle" in said
    assert f"what it was is in {root / '.removed' / 'one'}" in said
    assert contents(root / ".removed" / "one") == before
    with Recording.open(one) as recording, Recording.open(root / ".removed" / "one") as original:
        check_frames(recording, list(range(20, 50)))
        assert recording.instructions == ("count",) * 10 + (None,) * 20
        assert recording.outcome == {"success": 0.0}
        assert recording.info.created_s == original.info.created_s + 1
        for frame in range(29):
            assert recording.user_action(frame) == original.user_action(frame + 20)
            assert recording.events_before(frame) == [] if frame == 0 else True
        moved = [event.time_ns - 20 * STEP_NS for event in original.events_before(35)]
        assert [event.time_ns for event in recording.events_before(15)] == moved
        assert moved
    assert [path.name for path in find_recordings(root)] == ["one", "two"]


def test_split_and_merge(root: Path) -> None:
    assert main(["data", "edit", str(root / "one"), "--split", "2", "1"]) == 0
    names = ["one-1", "one-2", "one-3", "two"]
    assert [path.name for path in find_recordings(root)] == names
    for number, name in enumerate(names[:3]):
        with Recording.open(root / name) as recording:
            check_frames(recording, list(range(number * 20, number * 20 + 20)))
            assert recording.outcome == ({"score": 3.0} if number == 2 else {})
    assert main(["data", "edit", str(root / "one-3"), str(root / "two"), "--merge", "--instruction", "go on"]) == 0
    with Recording.open(root / "one-3") as recording:
        check_frames(recording, [*range(40, 60), *range(60, 120)], joints=(20,))
        assert recording.instructions == ("go on",) * 80
    assert sorted(path.name for path in (root / ".removed").iterdir()) == ["one", "one-3", "two"]


def test_what_is_only_said_anew_copies_the_videos(root: Path, tmp_path: Path) -> None:
    one, out = root / "one", tmp_path / "copies"
    before = contents(one)
    assert main(["data", "edit", str(one), "--mark", "success", "--note", "yours", "--out", str(out)]) == 0
    assert contents(one) == before
    assert not (root / ".removed").exists()
    after = contents(out / "one")
    assert {name for name in before if before[name] != after[name]} == {"annotation.proto"}
    with Recording.open(out / "one") as recording:
        check_frames(recording, list(range(60)))
        assert recording.outcome == {"score": 3.0, "success": 1.0}
        assert recording.instructions == ("count",) * 30 + (None,) * 30
        assert recording.info.note == "yours"
    assert main(["data", "edit", str(out / "one"), "--note", ""]) == 0
    with Recording.open(out / "one") as recording:
        assert recording.info.note == ""


def test_what_is_thrown_away_lies_there_until_it_is_deleted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, place in enumerate((".removed/one", ".removed/one.2")):
        if number:
            shutil.copytree(root / ".removed" / "one", root / "one")
        assert main(["data", "edit", str(root / "one"), "--delete"]) == 0
        assert str(root / place) in capsys.readouterr().out
        Recording.open(root / place).close()
    assert [path.name for path in find_recordings(root)] == ["two"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["one"], "Say which recordings, and what to do"),
        ([], "Say which recordings, and what to do"),
        (["nothing", "--delete"], "is no folder"),
        (["one", "--trim", "2", "1"], "give times within it, the earlier one first"),
        (["one", "--trim", "0", "1:00"], "ends before 1:00"),
        (["one", "--split", "soon"], "'soon' is no time"),
        (["one", "--split", "1", "--merge"], "Give one of --delete, --trim, --split and --merge"),
        (["one", "--delete", "--note", "bad"], "--delete stands alone"),
        (["one", "--note", "x", "--out", "."], "holds a recording of this name already"),
        (["one", "large", "--merge"], "Only recordings of one game, rate and size"),
        (["one", "--note", "x", "--out", "one/annotation.proto"], "Cannot write"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(
    made: Path,
    root: Path,
    words: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(root)
    shutil.copytree(made / "large", root / "large")
    before = {path.name: contents(path) for path in find_recordings(root)}
    assert main(["data", "edit", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert {path.name: contents(path) for path in find_recordings(root)} == before
    assert sorted(path.name for path in root.iterdir()) == ["large", "one", "two"]
