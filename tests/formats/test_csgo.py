"""The Counter-Strike data set's .hdf5 files, laid out as its README and dm_pretrain_process.py say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numbered_video import number_of, numbered

from eyehand.action import Action
from eyehand.cli import main
from eyehand.formats.csgo import KEYS_OF_Y, MOUSE_X_PX, MOUSE_Y_PX, CsgoImporter
from eyehand.formats.importing import import_recordings
from eyehand.recording.reader import Recording

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

NAME = "hdf5_dm_july2021_expert_7.hdf5"


def vector(action: Action) -> np.ndarray:
    """`frame_i_y` of an action, as actions_to_onehot makes it."""
    keys = [float(key in action.keys) for key in KEYS_OF_Y]
    clicks = [float("0" in action.buttons), float("1" in action.buttons)]
    across = [float(action.dx == value) for value in MOUSE_X_PX]
    down = [float(action.dy == value) for value in MOUSE_Y_PX]
    return np.array([*keys, *clicks, *across, *down])


def write_csgo(path: Path, actions: Sequence[Action]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for index, action in enumerate(actions):
            file.create_dataset(f"frame_{index}_x", data=numbered(index, 150, 280)[..., ::-1])  # BGR
            file.create_dataset(f"frame_{index}_xaux", data=np.zeros(54))
            file.create_dataset(f"frame_{index}_y", data=vector(action))
            file.create_dataset(f"frame_{index}_helperarr", data=np.array([float(index == 3), float(index in (5, 6))]))
    return path


def run(tmp_path: Path, actions: Sequence[Action]) -> tuple[Recording, list[Action]]:
    report = import_recordings(CsgoImporter([write_csgo(tmp_path / "in" / NAME, actions)]), tmp_path / "out")
    assert report.problems == []
    recording = Recording.open(report.written[0])
    done = [recording.executed(frame) for frame in range(recording.num_frames - 1)]
    return recording, [action for action in done if action is not None]


def test_sixteen_a_second_become_twenty(tmp_path: Path) -> None:
    recording, actions = run(tmp_path, [Action(dx=10, dy=-20)] * 16)
    with recording:
        assert recording.num_frames == 20
        assert [number_of(picture) for picture in recording.decode_clip(0, 20)] == [
            *(0, 0, 1, 2, 3, 4, 4, 5, 6, 7),
            *(8, 8, 9, 10, 11, 12, 12, 13, 14, 15),
        ]
        assert recording.decode_captured(1, 1)[0, 10, 10, 1:].max() < 40  # red stays red
        assert recording.info.env_subtype == "dm_dust2"
        assert recording.info.user == "expert"
        assert recording.outcome == {"kills": 1.0, "deaths": 2.0}
    assert actions == [Action(dx=8, dy=-16)] * 19


@pytest.mark.parametrize("seed", range(4))
def test_every_press_and_every_pixel_survives(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    source = [
        Action.of(
            [key for key in KEYS_OF_Y if draw.random() < 0.4],
            [button for button in ("0", "1") if draw.random() < 0.5],
            int(draw.choice(MOUSE_X_PX)),
            int(draw.choice(MOUSE_Y_PX)),
        )
        for _ in range(23)
    ] + [Action()] * 2  # so that the last tick, whose action no recording holds, moves nothing
    recording, actions = run(tmp_path, source)
    recording.close()
    assert _runs([action.held() for action in actions]) == _runs([action.held() for action in source])
    assert sum(action.dx for action in actions) == sum(action.dx for action in source)
    assert sum(action.dy for action in actions) == sum(action.dy for action in source)


def _runs(states: Sequence[Action]) -> list[Action]:
    """The states without repetition of one."""
    return [state for index, state in enumerate(states) if index == 0 or state != states[index - 1]]


def test_a_file_that_another_process_has_locked_is_read(tmp_path: Path) -> None:
    """HDF5 asks for a lock by itself; file systems without locks refuse it in the same way."""
    fcntl = pytest.importorskip("fcntl")
    path = write_csgo(tmp_path / "in" / NAME.upper(), [Action()] * 6)
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        report = import_recordings(CsgoImporter([tmp_path / "in"]), tmp_path / "out")
    assert (len(report.written), report.problems) == (1, [])


def test_two_clicks_stay_two_clicks(tmp_path: Path) -> None:
    click = Action.of(buttons=["0"])
    for offset in range(5):
        source = [Action()] * (offset + 1) + [click, Action(), click] + [Action()] * 3
        recording, actions = run(tmp_path / str(offset), source)
        recording.close()
        pressed = ["0" in action.buttons for action in actions]
        assert sum(b and not a for a, b in pairwise(pressed)) == 2


@pytest.mark.parametrize(
    ("name", "subtype", "user"),
    [
        ("hdf5_dm_july2021_1131.hdf5", "dm_dust2", "spectated"),
        ("hdf5_aim_july2021_expert_3.hdf5", "aim", "expert"),
        ("hdf5_dm_inferno_expert_3.hdf5", "dm_inferno", "expert"),
        ("mine.hdf5", "", "spectated"),
    ],
)
def test_names_of_files_say_what_was_played(tmp_path: Path, name: str, subtype: str, user: str) -> None:
    path = write_csgo(tmp_path / name, [Action()])
    (take,) = CsgoImporter([path]).takes(str(path))
    assert (take.info.env_subtype, take.info.user) == (subtype, user)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4000])


def _change(name: str, data: np.ndarray | None):
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]
            if data is not None:
                file.create_dataset(name, data=data)

    return spoil


def _link(path: Path) -> None:
    with h5py.File(path.with_name("secret"), "w") as other:
        other.create_dataset("pixels", data=numbered(1, 150, 280))
    with h5py.File(path, "r+") as file:
        del file["frame_2_x"]
        file["frame_2_x"] = h5py.ExternalLink("secret", "pixels")


def _outside(path: Path) -> None:
    path.with_name("secret").write_bytes(bytes(150 * 280 * 3))
    with h5py.File(path, "r+") as file:
        del file["frame_2_x"]
        file.create_dataset("frame_2_x", (150, 280, 3), "u1", external=[(str(path.with_name("secret")), 0, 126000)])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_truncate, "is no .hdf5 file, or its end is missing"),
        (lambda path: path.write_bytes(b"not hdf5"), "is no .hdf5 file"),
        (_change("frame_3_x", None), "lacks frame_3_x though later ones are there"),
        (_change("frame_3_y", None), "lacks frame_3_y"),
        (_change("frame_3_y", np.zeros(49)), "has the shape (49,)"),
        (_change("frame_3_y", np.zeros(51)), "says no single mouse motion"),
        (_change("frame_3_x", np.zeros((4, 4))), "is no picture or no action"),
        (_link, "lacks frame_2_x, or has it elsewhere"),
        (_outside, "frame_2_x is no array of this file"),
        (lambda path: h5py.File(path, "w").close(), "holds no frame_0_x"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil, sentence: str
) -> None:
    spoil(write_csgo(tmp_path / "in" / NAME, [Action()] * 6))
    assert main(["import", "csgo", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("fps", ["24", "0"])
def test_rates_that_would_lose_presses(tmp_path: Path, capsys: pytest.CaptureFixture[str], fps: str) -> None:
    path = write_csgo(tmp_path / "in" / NAME, [Action()] * 6)
    assert main(["import", "csgo", str(path), "--out", str(tmp_path / "out"), "--fps", fps]) == 2
    assert "cannot be imported: more than 0 and at most 20" in capsys.readouterr().err
