"""VPT's pairs of .mp4 and .jsonl, laid out as its README says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbered_video import number_of, numbered, write_video

from eyehand.action import PIXELS_PER_NOTCH, Action
from eyehand.cli import main
from eyehand.formats.cursor import draw_cursor
from eyehand.formats.importing import IMPORTED, import_recordings
from eyehand.formats.vpt import VptImporter, key_of_minecraft
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.reader import Recording

NAME = "cheeky-cornflower-setter-74ae6c2eae2e-20220315-122354"


def step(**changes: Any) -> dict[str, Any]:
    """A line of the .jsonl as the README of version 7 prints it, with some of it changed (`mouse_dx`, `hotbar`...)."""
    line: dict[str, Any] = {
        "mouse": {"x": 274.0, "y": 338.0, "dx": 0.0, "dy": 0.0, "scaledX": -366.0, "scaledY": -22.0, "dwheel": 0.0},
        "keyboard": {"keys": [], "newKeys": [], "chars": ""},
        "isGuiOpen": False,
        "isGuiInventory": False,
        "hotbar": 4,
        "yaw": -112.35006,
        "pitch": 8.099996,
        "tick": 0,
        "milli": 1649575088006,
        "inventory": [{"type": "oak_door", "quantity": 3}],
        "serverTick": 6001,
        "stats": {"minecraft.custom:minecraft.jump": 4},
    }
    line["mouse"] |= {"buttons": [], "newButtons": []}
    for name, value in changes.items():
        part, _, field = name.partition("_")
        if field and part in ("mouse", "keyboard"):
            line[part][field] = value
        else:
            line[name] = value
    return line


def write_pair(folder: Path, steps: list[Any], fps: int = 20) -> Path:
    folder.mkdir(exist_ok=True)
    write_video(folder / f"{NAME}.mp4", [index * 1000 // fps for index in range(len(steps))], fps)
    (folder / f"{NAME}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in steps))
    return folder


def test_every_action_lands_on_its_picture(tmp_path: Path) -> None:
    steps = [
        step(),
        step(keyboard_keys=["key.keyboard.w", "key.keyboard.left.control"], mouse_dx=3.0, mouse_dy=-2.0),
        step(keyboard_keys=["key.keyboard.w"], mouse_buttons=[0], mouse_newButtons=[0]),
        step(mouse_buttons=[0, 1], mouse_newButtons=[1], mouse_dx=0.5),
        step(mouse_buttons=[2], mouse_dx=0.5, mouse_dwheel=-1.0),
        step(keyboard_keys=["key.keyboard.space", "key.keyboard.keypad.7"]),
        step(),
    ]
    report = import_recordings(VptImporter([write_pair(tmp_path / "7.6", steps)]), tmp_path / "out")
    assert (report.problems, report.num_frames) == ([], 7)
    with Recording.open(report.written[0]) as recording:
        assert [recording.executed(frame) for frame in range(7)] == [
            Action(),
            Action.of(["w", "LeftControl"], dx=3, dy=-2),
            Action.of(["w"], ["0"]),
            Action.of(buttons=["0", "1"]),
            Action(buttons=frozenset({"2"}), dx=1, scroll_dy=-PIXELS_PER_NOTCH),
            Action.of(["Space"]),
            None,
        ]
        assert all(recording.user_action(frame) == recording.executed(frame) for frame in range(7))
        assert [number_of(picture) for picture in recording.decode_clip(0, 7)] == list(range(7))
        assert [number_of(picture) for picture in recording.decode_captured(0, 7)] == list(range(7))
        assert recording.times_ns == tuple(index * 50_000_000 for index in range(7))
        info = recording.info
    assert (info.env, info.env_version, info.fps, info.created_s) == ("minecraft", "7.6", 20.0, 1649575088)
    assert report.notes[0][1] == ("Keys without a name here: key.keyboard.keypad.7 (1)",)


def test_what_is_lost_stands_in_the_recording(tmp_path: Path) -> None:
    importer = VptImporter([write_pair(tmp_path / "in", [step(), step()])])
    report = import_recordings(importer, tmp_path / "out")
    message = pb.VideoAnnotation.FromString((report.written[0] / "annotation.proto").read_bytes())
    (entry,) = [json.loads(change.change_description) for change in message.changelog if change.change_id == IMPORTED]
    assert entry["format"] == "vpt"
    assert entry["losses"] == list(importer.losses)
    assert entry["source"].endswith(f"{NAME}.mp4")


def test_a_button_that_is_stuck_from_the_start_is_up_until_it_is_pressed(tmp_path: Path) -> None:
    steps = [
        step(mouse_buttons=[0], mouse_newButtons=[0]),
        step(mouse_buttons=[0, 1], mouse_newButtons=[1]),
        step(mouse_buttons=[0]),
        step(mouse_buttons=[0], mouse_newButtons=[0]),
        step(mouse_buttons=[0]),
        step(),
    ]
    report = import_recordings(VptImporter([write_pair(tmp_path / "in", steps)]), tmp_path / "out")
    with Recording.open(report.written[0]) as recording:
        buttons = [sorted(action.buttons) for frame in range(5) if (action := recording.executed(frame))]
    assert buttons == [[], ["1"], [], ["0"], ["0"]]
    assert "stuck down at the beginning: it counts as up for 3 ticks" in report.notes[0][1][0]


def test_null_lines_are_unknown_and_a_silent_wheel_is_a_tap(tmp_path: Path) -> None:
    steps = [
        step(hotbar=0),
        None,
        step(mouse=None),
        step(keyboard=None),
        step(hotbar=5),  # changed and nothing says why
        step(hotbar=5),
        step(hotbar=6, mouse_dwheel=-1.0),  # by a wheel that was recorded
        step(hotbar=6, keyboard_keys=["key.keyboard.2"]),
        step(hotbar=1),  # by the key of the line before
        step(hotbar=1),
    ]
    report = import_recordings(VptImporter([write_pair(tmp_path / "in", steps)]), tmp_path / "out")
    with Recording.open(report.written[0]) as recording:
        actions = [recording.executed(frame) for frame in range(9)]
    assert [index for index, action in enumerate(actions) if action is None] == [1, 2, 3]
    assert [sorted(action.keys) for action in actions if action] == [[], ["6"], [], [], ["2"], []]
    assert report.notes[0][1] == ("3 lines without mouse or keyboard: what was done there is not known.",)


def test_the_cursor_is_drawn_while_a_menu_is_open(tmp_path: Path) -> None:
    # The video is 96 lines high and positions are in a window of 720.
    steps = [step(mouse_x=600.0, mouse_y=300.0, isGuiOpen=shown) for shown in (False, True, False)]
    report = import_recordings(VptImporter([write_pair(tmp_path / "in", steps)]), tmp_path / "out")
    with Recording.open(report.written[0]) as recording:
        pictures = recording.decode_captured(0, 3).astype(int)
    white = [int((picture[40:54, 80:90].min(axis=2) > 120).sum()) for picture in pictures]
    assert white[0] == white[2] == 0
    assert white[1] > 10


def test_a_cursor_at_the_edge_is_cut_off() -> None:
    picture = numbered(0)
    for x, y in ((-3, -3), (159, 95), (400, 5), (5, 400), (-50, 10)):
        assert draw_cursor(picture, x, y).shape == picture.shape
    assert (draw_cursor(picture, 400, 5) == picture).all()
    assert (draw_cursor(picture, 159, 95) != picture).any(axis=2).sum() == 1
    assert not np.shares_memory(draw_cursor(picture, 0, 0), picture)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("w", "w"),
        ("7", "7"),
        ("left.shift", "LeftShift"),
        ("up", "UpArrow"),
        ("f11", "F11"),
        ("grave.accent", "GraveAccent"),
        ("keypad.add", "Add"),
        ("right.win", "RightWin"),
        ("page.down", "PageDown"),
        ("unknown", None),
        ("keypad.1", None),
    ],
)
def test_names_of_keys(name: str, key: str | None) -> None:
    assert key_of_minecraft(f"key.keyboard.{name}") == key


def test_importing_again_skips_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_pair(tmp_path / "in", [step(), step()])
    arguments = ["import", "vpt", str(source), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "wrote 1 recording with 2 frames" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "wrote 0 recordings with 0 frames" in capsys.readouterr().out
    assert len(list((tmp_path / "out").iterdir())) == 1


def _truncate_video(folder: Path) -> None:
    path = folder / f"{NAME}.mp4"
    path.write_bytes(path.read_bytes()[:-300])


def _damage_video(folder: Path) -> None:
    path = folder / f"{NAME}.mp4"
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)


def _cut_lines(folder: Path) -> None:
    path = folder / f"{NAME}.jsonl"
    path.write_text(path.read_text()[:-40])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_truncate_video, "is no video, or it is damaged or cut off"),
        (_damage_video, "damaged or cut off"),
        (_cut_lines, "(line 12 is no JSON)"),
        (lambda folder: (folder / f"{NAME}.jsonl").unlink(), "needs NAME.jsonl beside it"),
        (lambda folder: (folder / f"{NAME}.jsonl").write_text(""), "is empty"),
        (lambda folder: (folder / f"{NAME}.jsonl").write_text("[1]\n"), "line 1, is not laid out as VPT's"),
        (
            lambda folder: (folder / f"{NAME}.jsonl").write_text('{"mouse": {}, "keyboard": {}}\n' * 12),
            "line 1, is not laid",
        ),
        (lambda folder: write_pair(folder, [step(mouse_dx=float("inf"))] * 12), "line 1, is not laid out"),
        (
            lambda folder: write_pair(folder, [step(mouse_x=float("inf"), isGuiOpen=True)] * 12),
            "line 1, is not laid out",
        ),
        (lambda folder: (folder / f"{NAME}.mp4").write_bytes(b""), "is no video"),
        (lambda folder: write_pair(folder, [step()] * 12, fps=30), "pictures a second and VPT's have 20"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil, sentence: str
) -> None:
    folder = write_pair(tmp_path / "in", [step(mouse_dx=1.0)] * 12)
    spoil(folder)
    assert main(["import", "vpt", str(folder), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*"))


def test_nothing_of_the_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["import", "vpt", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 2
    assert "holds no .mp4 files" in capsys.readouterr().err
    assert main(["import", "vpt", str(tmp_path / "none.txt"), "--out", str(tmp_path / "out")]) == 2
    assert "is neither a folder nor an .mp4 file" in capsys.readouterr().err


def test_names_in_capitals_hidden_twins_and_a_blank_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As files come back from disks of other systems; macOS leaves a `._NAME` beside every NAME there."""
    folder = write_pair(tmp_path / "in", [step(), step(mouse_dx=4.0), step()])
    lines = folder / f"{NAME}.jsonl"
    lines.write_text(lines.read_text() + "\n \n")
    lines.rename(folder / f"{NAME.upper()}.JSONL")
    (folder / f"{NAME}.mp4").rename(folder / f"{NAME.upper()}.MP4")
    (folder / f"._{NAME}.mp4").write_bytes(b"\0\5\x16\7" + bytes(200))
    (folder / ".hidden").mkdir()
    (folder / ".hidden/b.mp4").write_bytes(b"")
    assert main(["import", "vpt", str(folder), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "wrote 1 recording with 3 frames" in printed.out
    assert "number is used" not in printed.out
    assert printed.err == ""


def test_one_bad_pair_does_not_spoil_the_others(tmp_path: Path) -> None:
    write_pair(tmp_path / "good", [step(), step()])
    write_pair(tmp_path / "bad", [step(), step()])
    _truncate_video(tmp_path / "bad")
    report = import_recordings(VptImporter([tmp_path]), tmp_path / "out")
    assert (len(report.written), len(report.problems)) == (1, 1)


def test_a_place_that_cannot_be_written_stops_the_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_pair(tmp_path / "in", [step(), step()])
    (tmp_path / "out").write_text("a file, not a folder")
    assert main(["import", "vpt", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "Cannot write to" in capsys.readouterr().err
