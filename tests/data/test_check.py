"""Checking: every fault is found where it was made on purpose, and sound recordings pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import moving_block
from eyehand.action import Action
from eyehand.action_space import P2P
from eyehand.cli import main
from eyehand.data.check import CheckLimits, Verdict, check
from eyehand.data.check_report import journal_beside
from eyehand.data.dataset import load_dataset
from eyehand.data.decisions import read_decisions
from eyehand.data.index import read_index
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.jobs.journal import Journal
from eyehand.jobs.local import LocalEngine
from eyehand.player import Decision
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.format import RecordingInfo
from eyehand.recording.lag import estimate_lag, phase_shifts
from eyehand.recording.reader import Recording, RecordingFiles, find_recordings
from eyehand.recording.writer import RecordingWriter

MOVING = [moving_block.picture(index % 3, index) for index in range(40)]
TAPPING = [Action.of(["w"]) if index % 3 == 0 else Action.of(dx=2) for index in range(40)]


def write(root: Path, name: str, pictures=MOVING, actions=TAPPING, tick_ms: float = 50) -> RecordingFiles:
    with RecordingWriter(root, RecordingInfo(name, "paper", "check", 20.0)) as writer:
        for index, pixels in enumerate(pictures):
            done = Decision(actions[index - 1], by_user=True) if index else None
            writer.add(Frame(pixels, round(index * tick_ms * 1e6), index), done)
    return RecordingFiles.in_folder(writer.path)


def verdict(*files: RecordingFiles) -> Verdict:
    return [*check([(str(each.path), each) for each in files], CheckLimits())][-1]


def test_a_sound_recording_is_used(tmp_path: Path) -> None:
    found = verdict(write(tmp_path, "good"))
    assert found.is_used
    assert (found.held_most, found.held_share, found.most_keys) == ("w", 13 / 39, 1)
    assert (found.interaction, found.measured_fps, found.frozen_share, found.black_share) == (1.0, 20.0, 0.0, 0.0)


BLACK = np.zeros((192, 192, 3), np.uint8)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (
            {"actions": [Action.of(["w"] if index % 10 < 7 else [], dx=1) for index in range(40)]},
            "The key w is held on",
        ),
        ({"actions": [*TAPPING[:20], Action.of("qwertyu"), *TAPPING[21:]]}, "Up to 7 keys are held at once."),
        ({"actions": [*TAPPING[:1], *[Action.of()] * 39]}, "Something is done on only 2.6% of its frames."),
        ({"tick_ms": 55}, "Its frames came at 18.2 per second, not 20."),
        ({"pictures": [*MOVING[:10], *[MOVING[10]] * 30]}, "The picture stands still on"),
        ({"pictures": [*MOVING[:30], *[BLACK] * 10]}, "The picture is black on 25% of its frames."),
    ],
)
def test_each_fault_is_found(tmp_path: Path, made: dict, reason: str) -> None:
    (said,) = verdict(write(tmp_path, "bad", **made)).reasons
    assert said.startswith(reason)


def test_a_recording_that_is_there_twice(tmp_path: Path) -> None:
    first, other = write(tmp_path, "first"), write(tmp_path, "other", [*MOVING[1:], MOVING[0]])
    twin = write(tmp_path, "twin")  # another id, so other bytes
    assert verdict(first, other).is_used
    assert verdict(first, other, twin).reasons == (f"It has the same pictures and actions as {first.path}.",)


def test_several_processes_find_the_same_and_a_killed_check_goes_on(tmp_path: Path) -> None:
    found = [(str(each.path), each) for each in (write(tmp_path, name) for name in ("first", "second", "third"))]
    (found[1][1].path / "192x192.mp4").write_bytes(b"no video")
    alone = check(found, CheckLimits())
    assert [each.is_used for each in alone] == [True, False, False]  # the third is the first one's twin
    assert check(found, CheckLimits(), engine=LocalEngine(2)) == alone
    told: list[int] = []
    with Journal(tmp_path / "m", {}) as journal:
        check(found[:2], CheckLimits(), journal=journal)
    with Journal(tmp_path / "m", {}) as journal:  # two are left: the new one, and what may have been repaired
        assert (
            check(found, CheckLimits(), journal=journal, progress=lambda what, done, total: told.append(done)) == alone
        )
    assert told == [1, 2, 3]


def test_a_check_that_an_older_version_began_goes_on(tmp_path: Path) -> None:
    with Journal(
        tmp_path / "a.json.journal",
        {"check": "data", "content": "", "limits": asdict(CheckLimits()), "judge": "None"},
    ) as journal:
        journal.add("check a", [asdict(Verdict("a", "a", ())), "1"])
    beside = journal_beside(tmp_path / "a.json", "data", CheckLimits())
    with beside as again:
        assert again is not None
        assert set(again.results) == {"check a"}


def test_a_damaged_recording_has_its_reason(tmp_path: Path) -> None:
    files = write(tmp_path, "bad")
    (files.path / "192x192.mp4").write_bytes(b"no video")
    assert "192x192.mp4 is damaged" in verdict(files).reasons[0]


def test_phase_correlation_measures_displacements() -> None:
    rng = np.random.default_rng(0)
    wall = np.kron(rng.random((60, 60)), np.ones((4, 4))).astype(np.float32) * 200
    places = [(30, 40), (33, 40), (33, 45), (27, 38), (27, 38)]  # row and column of the view on the wall
    views = np.stack([wall[row : row + 96, column : column + 96] for row, column in places])
    assert np.abs(phase_shifts(views)[:3] - [[0, -3], [-5, 0], [7, 6]]).max() < 0.3


@pytest.fixture(scope="module")
def doom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real recording of Doom, in which the demonstrator walks home."""
    pytest.importorskip("vizdoom")
    root = tmp_path_factory.mktemp("doom")
    assert main(["record", "--game", "doom/home", "--episodes", "1", "--out", str(root), "--workers", "1"]) == 0
    (path,) = find_recordings(root)
    return path


@pytest.mark.parametrize(
    ("shift", "is_live", "is_wrong"),
    [
        *[(-2, False, True), (-1, False, True), (0, False, False), (1, False, True), (2, False, True)],
        *[(-2, True, True), (-1, True, False)],
    ],
)
def test_labels_that_are_shifted_against_the_pictures_are_found_in_doom(
    doom: Path, tmp_path: Path, shift: int, is_live: bool, is_wrong: bool
) -> None:
    """A game that is played live may show what was done a tick late, which looks like labels a tick too early."""
    path = shutil.copytree(doom, tmp_path / doom.name)
    message = pb.VideoAnnotation.FromString((path / "annotation.proto").read_bytes())
    actions = [
        (each.user_action.SerializeToString(), each.system_action.SerializeToString())
        for each in message.frame_annotations
    ]
    for index, annotation in enumerate(message.frame_annotations):
        user, system = actions[min(max(index - shift, 0), len(actions) - 1)]
        annotation.user_action.ParseFromString(user)
        annotation.system_action.ParseFromString(system)
        annotation.frame_time += 3_000_000 * (index % 2) * is_live
    (path / "annotation.proto").write_bytes(message.SerializeToString())
    found = verdict(RecordingFiles.in_folder(path))
    assert found.lag_ticks == shift
    assert found.lag_correlation > 0.5
    assert found.is_live == is_live
    assert any("too late" in reason for reason in found.reasons) == (is_wrong and shift > 0)
    assert any("too early" in reason for reason in found.reasons) == (is_wrong and shift < 0)


def test_a_picture_that_does_not_follow_the_mouse_tells_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mouse_N2 = rng.integers(-20, 20, (130, 2)).astype(np.float64)
    frames_THWC = rng.integers(0, 255, (130, 192, 192, 3), dtype=np.uint8)
    assert estimate_lag(lambda start, length: frames_THWC[start : start + length], mouse_N2, 130).ticks is None
    nothing_N2 = np.zeros((130, 2))
    assert estimate_lag(lambda start, length: frames_THWC[start : start + length], nothing_N2, 130).ticks is None


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """An index of a good and a black recording; gives the ids that would be trained on."""
    write(tmp_path / "data", "good")
    write(tmp_path / "data", "dark", [BLACK] * 40)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "index", "data", "--out", "index.parquet", "--workers", "1"]) == 0
    return lambda: [episode.id for episode in load_dataset([Path("index.parquet")], P2P).episodes]


def test_decisions_lie_beside_the_index_and_a_person_can_overrule_them(indexed, tmp_path: Path, capsys) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert indexed() == ["dark", "good"]
    assert main(["data", "check", "index.parquet"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 recordings are fit to learn from" in printed
    assert "The picture is black on 100% of its frames." in printed
    assert indexed() == ["good"]
    assert {path: path.read_bytes() for path in before} == before
    (row,) = read_index(Path("index.parquet"), "error like '%black%'")
    assert row.id == "dark"
    file = Path("index.parquet.checked.json")
    file.write_text(file.read_text().replace('"leave out"', '"use"'))
    assert indexed() == ["dark", "good"]
    assert (
        main(["data", "check", "index.parquet", "--as-json", "--workers", "1"]) == 0
    )  # checking again does not overrule the person
    assert indexed() == ["dark", "good"]
    capsys.readouterr()


def test_nothing_usable_ends_with_2(indexed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "index.parquet", "--where", "id = 'dark'", "--workers", "1"]) == 2
    assert main(["data", "check", "data", "--min-interaction", "1.1", "--out", "found.json", "--workers", "1"]) == 2
    found = json.loads(Path("found.json").read_text())
    assert {Path(source).name: entry["decision"] for source, entry in found.items()} == dict.fromkeys(
        ("good", "dark"), "leave out"
    )
    capsys.readouterr()
    for arguments, sentence in (
        (["data", "--where", "id = 'x'"], "needs an index"),
        (["index.parquet", "--where", "id = 'x'"], "fits the condition"),
        (["missing"], "There is nothing at"),
    ):
        assert main(["data", "check", *arguments]) == 2
        printed = capsys.readouterr().err
        assert sentence in printed
        assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", ""),
        ("[]", "it must be a table"),
        ('{"a": 3}', "a must be a table"),
        ('{"a": {"decision": "perhaps", "reasons": []}}', "a.decision cannot be 'perhaps'"),
        ('{"a": {"decision": "use"}}', "a.reasons is missing"),
        ('{"a": {"decision": "use", "reasons": [1]}}', r"a.reasons\[0\] must be a text"),
        ('{"a": {"decision": "use", "reasons": [], "likelihood": "x"}}', "a.likelihood must be a number or nothing"),
    ],
)
def test_a_file_of_decisions_that_makes_no_sense(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(UserError, match=rf"is damaged \({what}.*\): restore it, or remove it"):
        read_decisions(tmp_path / "d.json")


def test_the_recording_itself_is_sound(doom: Path) -> None:
    with Recording.open(doom) as recording:
        assert recording.num_frames >= 30
