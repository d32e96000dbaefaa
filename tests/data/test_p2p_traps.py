"""The traps of the reference's recordings, on a recording made to its layout: nothing of eyehand's writer in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import moving_block
from eyehand.action_space import P2P
from eyehand.data.dataset import ClipLabels, Dataset, load_dataset
from eyehand.data.indexing import build_index
from eyehand.errors import UserError
from eyehand.input_event import InputEvent
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording import labels as labels_module
from eyehand.recording.format import event_from_message
from eyehand.recording.video import SMALL, VideoWriter

NUM_FRAMES = 60


def p2p_recording(root: Path, name: str = "0a1b", *, num_annotations: int = NUM_FRAMES, fps: float = 20.0) -> Path:
    """`w` is held throughout; dx is the number of the annotation; LeftShift is down in the events of 10 to 19 only."""
    message = pb.VideoAnnotation(version=3)
    message.metadata.id, message.metadata.frames_per_second, message.metadata.user = name, fps, "someone"
    message.metadata.env.env, message.metadata.env.env_subtype = "quake", "e1m1"
    for index in range(num_annotations):
        annotation = message.frame_annotations.add(frame_time=index * 50_000_000)
        action = annotation.user_action
        action.is_known = True
        action.keyboard.keys.append("w")
        action.mouse.mouse_delta_px.x = index
        if index in (10, 20):
            event = annotation.input_events.add(time=index * 50_000_000)
            event.keyboard_event.key, event.keyboard_event.pressed = "LeftShift", index == 10
    folder = root / name
    folder.mkdir(parents=True)
    video = VideoWriter(folder / "192x192.mp4", 192, 192, 20.0, SMALL)
    for index in range(NUM_FRAMES):
        video.write(moving_block.picture(index % 3, index))
    video.close()
    save(folder, message)
    return folder


def save(folder: Path, message: pb.VideoAnnotation) -> None:
    (folder / "annotation.proto").write_bytes(message.SerializeToString())


def stored(folder: Path) -> pb.VideoAnnotation:
    return pb.VideoAnnotation.FromString((folder / "annotation.proto").read_bytes())


def state(message: pb.VideoAnnotation, frame: int, instruction: str, seconds: float, version: str) -> None:
    text = message.frame_annotations[frame].frame_text_annotation.add(instruction=instruction, duration=seconds)
    text.frame_text_annotator.version = version


@pytest.fixture(params=["folder", "index"])
def load(request: pytest.FixtureRequest, tmp_path: Path):
    """Reads the recordings of a folder as training does, from the folder itself or through an index."""

    def read(root: Path) -> Dataset:
        if request.param == "folder":
            return load_dataset([root], P2P)
        build_index([str(root)], tmp_path / "index.parquet")
        return load_dataset([tmp_path / "index.parquet"], P2P)

    return read


def test_the_thousand_events_a_second_of_a_mouse_cost_a_clip_nothing(
    tmp_path: Path, load, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = p2p_recording(tmp_path / "data")
    message = stored(folder)
    for annotation in message.frame_annotations:
        for _ in range(50):
            annotation.input_events.add().mouse_delta_event.x = 1
    save(folder, message)
    made: list[str] = []

    def counting(event: pb.InputEvent) -> InputEvent | None:
        made.append(event.WhichOneof("event"))
        return event_from_message(event)

    monkeypatch.setattr(labels_module, "event_from_message", counting)
    load(tmp_path / "data").labels(0, 0, NUM_FRAMES - 1)
    assert made == ["keyboard_event"] * 2


def spoken(dataset: Dataset, labels: ClipLabels) -> list[str | None]:
    return [dataset.instructions[row] for row in labels.text_T]


def test_frame_i_pairs_with_annotation_i_plus_1(tmp_path: Path, load) -> None:
    p2p_recording(tmp_path / "data")
    labels = load(tmp_path / "data").labels(0, 0, NUM_FRAMES - 1)
    encoded = [P2P.dx.bin_of(index + 1) for index in range(NUM_FRAMES - 1)]
    assert labels.target_TA[:, 6].tolist() == encoded
    assert labels.learn_T.all()


def test_a_hotkey_that_the_frames_lack_is_rebuilt_from_the_events(tmp_path: Path, load) -> None:
    p2p_recording(tmp_path / "data")
    labels = load(tmp_path / "data").labels(0, 0, NUM_FRAMES - 1)
    held = [index for index, row in enumerate(labels.target_TA) if 18 in row[:4]]  # 18: LeftShift
    assert held == list(range(9, 19))
    np.testing.assert_array_equal(labels.executed_TA, labels.target_TA)


@pytest.mark.parametrize("num_annotations", [NUM_FRAMES + 7, NUM_FRAMES - 7])
def test_more_annotations_than_pictures_or_fewer(tmp_path: Path, load, num_annotations: int) -> None:
    p2p_recording(tmp_path / "data", num_annotations=num_annotations)
    dataset = load(tmp_path / "data")
    assert dataset.num_steps == min(NUM_FRAMES, num_annotations) - 1
    assert dataset.decode(0, 0, dataset.num_steps).shape[0] == dataset.num_steps
    (row,) = build_index([str(tmp_path / "data")], tmp_path / "again.parquet")
    assert row.problems == (
        f"It has {NUM_FRAMES} pictures and {num_annotations} annotations: the smaller number is used.",
    )


def test_an_instruction_that_began_before_the_clip(tmp_path: Path, load) -> None:
    folder = p2p_recording(tmp_path / "data")
    message = stored(folder)
    state(message, 5, "Find the exit.", 2.0, "gemini-2.5-flash")
    save(folder, message)
    dataset = load(tmp_path / "data")
    assert spoken(dataset, dataset.labels(0, 30, 20)) == ["Find the exit."] * 15 + [None] * 5


def test_of_several_annotators_one_is_heard(tmp_path: Path, load) -> None:
    folder = p2p_recording(tmp_path / "data")
    message = stored(folder)
    state(message, 0, "Find the exit.", 3.0, "gemini-2.5-flash-thinking-0905")
    for frame in range(5, 50, 5):
        state(message, frame, "Turn.", 0.1, "gemini-2.5-flash")
        state(message, frame, "Zoom.", 0.1, "unknown")
    save(folder, message)
    dataset = load(tmp_path / "data")
    assert set(spoken(dataset, dataset.labels(0, 0, 59))) == {"Find the exit."}
    (row,) = build_index([str(tmp_path / "data")], tmp_path / "again.parquet")
    assert row.texts == ("Find the exit.",)
    assert row.annotators == ("gemini-2.5-flash", "gemini-2.5-flash-thinking-0905", "unknown")


def test_of_annotators_that_nobody_knows_the_busiest_is_heard(tmp_path: Path, load) -> None:
    folder = p2p_recording(tmp_path / "data")
    message = stored(folder)
    state(message, 0, "Find the exit.", 3.0, "a")
    state(message, 10, "Turn.", 1.0, "b")
    state(message, 30, "Jump.", 1.0, "b")
    save(folder, message)
    dataset = load(tmp_path / "data")
    assert spoken(dataset, dataset.labels(0, 8, 4)) == [None, None, "Turn.", "Turn."]


def test_a_recording_at_another_rate_is_not_learnt_from(tmp_path: Path, load) -> None:
    p2p_recording(tmp_path / "data", "slow", fps=10)
    with pytest.raises(UserError, match=r"None of the 1 recordings .*can be"):
        load(tmp_path / "data")


def test_an_index_leaves_out_a_recording_at_another_rate(tmp_path: Path) -> None:
    p2p_recording(tmp_path / "data", "slow", fps=10)
    p2p_recording(tmp_path / "data", "good")
    build_index([str(tmp_path / "data")], tmp_path / "index.parquet")
    assert [episode.id for episode in load_dataset([tmp_path / "index.parquet"], P2P).episodes] == ["good"]
