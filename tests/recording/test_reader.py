"""Reading: instructions, P2P's own recordings, and every kind of damage."""

import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eyehand.action import NOTHING, Action
from eyehand.action_space import P2P
from eyehand.clock import SECOND_NS
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.input_event import InputEvent
from eyehand.player import Decision
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.annotation import _MOST_BYTES, parse_annotation
from eyehand.recording.format import ANNOTATION_FILE, MAX_FRAMES, SMALL_FILE, action_to_message, event_to_message
from eyehand.recording.inspect import inspect, inspect_recording, print_inspection
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.video import CAPTURED, SMALL, VideoReader, VideoWriter, fit_lines
from eyehand.recording.writer import RecordingWriter, new_info

WALL = np.random.default_rng(0).integers(40, 200, (24, 120, 1)).astype(np.uint8)
PANORAMA = np.repeat(np.kron(WALL, np.ones((8, 8, 1), np.uint8)), 3, axis=2)


def write(root, num_frames=70, instructions=lambda index: None, label_shift=0, embed=None):
    """A recording of a view that turns with the mouse: 1 px of picture for 2 px of mouse."""
    dx = np.random.default_rng(3).integers(-8, 9, num_frames + 5) * 2
    column = 400
    with RecordingWriter(root, new_info("turn", "look", 20.0), embed) as writer:
        for index in range(num_frames):
            done = Decision(Action.of(["w"], dx=int(dx[index - 1 + label_shift])), by_user=index % 5 > 0)
            pixels = np.ascontiguousarray(PANORAMA[:, column : column + 192])
            writer.add(Frame(pixels, 1000 + index * 50_000_000, index), done, instructions(index))
            column += int(dx[index]) // 2
        writer.close({"score": 3.0})
    return writer.path


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write(tmp_path_factory.mktemp("good"))


@pytest.fixture
def copy(good, tmp_path):
    """A recording that a test may damage."""
    return shutil.copytree(good, tmp_path / good.name)


def test_frame_by_frame_nothing_is_copied(good):
    """An hour has 72,000 frames: a copy of all for each of them takes minutes."""
    with Recording.open(good) as recording:
        assert recording.annotations is recording.annotations


def test_instruction_changes_and_ends_on_the_right_frame(tmp_path):
    spoken = [None] * 3 + ["one"] * 25 + ["two"] * 7 + [None] * 5 + ["one"] * 3
    recording = Recording.open(write(tmp_path, len(spoken), lambda index: spoken[index]))
    assert list(recording.instructions) == spoken
    texts = [
        (i, t.instruction, t.duration) for i, a in enumerate(recording.annotations) for t in a.frame_text_annotation
    ]
    assert texts == [(3, "one", 1.0), (23, "one", 1.0), (28, "two", 1.0), (35, "", 1.0), (40, "one", 1.0)]


def test_an_instruction_that_began_long_ago_holds_for_its_duration(copy):
    """P2P states an instruction once, on the first frame it covers."""

    def state_once(message):
        text = message.frame_annotations[10].frame_text_annotation.add()
        text.instruction, text.duration = "Find the exit.", 2.0

    rewrite(copy, state_once)
    instructions = Recording.open(copy).instructions
    assert [index for index, text in enumerate(instructions) if text == "Find the exit."] == list(range(10, 50))
    assert instructions[9] is None
    assert instructions[50] is None


def test_text_embeddings_are_stored_and_found(tmp_path):
    vector = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = write(tmp_path, 25, lambda index: "Go.", embed=lambda text: {"tiny": vector + len(text)})
    recording = Recording.open(path)
    found = recording.text_embedding("Go.", "tiny")
    assert found is not None
    assert found.tolist() == (vector + 3).tolist()
    assert recording.text_embedding("Go.", "gemma") is None
    assert recording.text_embedding("Stop.", "tiny") is None


def test_a_key_that_the_recorder_swallowed_comes_back_from_the_events(copy):
    """Recap's trap: LeftShift is in the raw events and not in the keys of the frames."""

    def swallow(message):
        del message.changelog[:]
        for annotation in message.frame_annotations:
            del annotation.input_events[:]
        for index, pressed in ((8, True), (12, False)):
            event = message.frame_annotations[index].input_events.add(time=index * 50_000_000)
            event.keyboard_event.key, event.keyboard_event.pressed = "LeftShift", pressed

    rewrite(copy, swallow)
    recording = Recording.open(copy)
    # Events before frames 8 to 11 hold the key: what was done on frames 7 to 10. The system's own actions keep theirs.
    held = [index for index in range(69) if "LeftShift" in recording.executed(index).keys]
    assert held == [7, 8, 10]  # number 9 pairs with annotation 10, a system action
    labels = recording.load_labels(P2P)
    assert 18 in labels.executed_TA[7]
    assert 18 in labels.target_TA[8]
    assert 18 not in labels.executed_TA[11]


def test_clips_are_the_same_however_they_are_reached(good):
    recording = Recording.open(good)
    whole = recording.decode_clip(0, 70)
    assert whole.shape == (70, 192, 192, 3)
    assert whole.dtype == np.uint8
    for start, length in ((33, 20), (53, 17), (19, 1), (20, 3), (0, 0), (0, 5), (69, 1), (5, 64)):
        assert np.array_equal(recording.decode_clip(start, length), whole[start : start + length])
    again = pickle.loads(pickle.dumps(recording))  # what a worker process of a loader gets
    assert np.array_equal(again.decode_clip(40, 4), whole[40:44])
    for start, length in ((67, 4), (-1, 2), (0, -1)):
        with pytest.raises(IndexError):
            recording.decode_clip(start, length)


def test_captured_video_has_at_most_480_lines(tmp_path):
    assert fit_lines(1080, 1920) == (480, 854)
    assert fit_lines(240, 320) == (240, 320)
    assert fit_lines(333, 201) == (332, 200)
    video = VideoWriter(tmp_path / "a.mp4", *fit_lines(960, 1282), 20.0, CAPTURED)
    for level in (40, 120, 200):
        video.write(np.full((960, 1282, 3), level, np.uint8))
    video.close()
    video.close()
    reader = VideoReader(tmp_path / "a.mp4")
    assert reader.size == (480, 640)
    assert reader.fps == 20.0
    assert np.abs(reader.clip(0, 3).mean(axis=(1, 2, 3)) - (40, 120, 200)).max() < 3


def test_colours_come_back(tmp_path):
    """BT.601 limited range both ways: a wrong matrix or range would be off by 10 and more."""
    for number, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 30, 120), (255, 255, 255))):
        video = VideoWriter(tmp_path / f"{number}.mp4", 192, 192, 20.0, SMALL)
        video.write(np.full((192, 192, 3), colour, np.uint8))
        video.close()
        assert np.abs(VideoReader(tmp_path / f"{number}.mp4").clip(0, 1)[0, 96, 96] - np.array(colour)).max() <= 3


def rewrite(path, change):
    """Apply a change to the parsed annotation file."""
    message = pb.VideoAnnotation.FromString((path / ANNOTATION_FILE).read_bytes())
    change(message)
    (path / ANNOTATION_FILE).write_bytes(message.SerializeToString())


def cut(name, size):
    def damage(path):
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[:size])

    return damage


def overwrite(name, start, content):
    def damage(path):
        data = bytearray((path / name).read_bytes())
        data[start : start + len(content)] = content
        (path / name).write_bytes(data)

    return damage


NOISE = np.random.default_rng(0).bytes(3000)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut(SMALL_FILE, -300), "192x192.mp4 is damaged"),
        (cut(SMALL_FILE, 5000), "192x192.mp4 is damaged"),
        (cut(SMALL_FILE, 0), "192x192.mp4 is damaged"),
        (overwrite(SMALL_FILE, 0, NOISE), "192x192.mp4 is damaged"),
        (cut(ANNOTATION_FILE, 0), "annotation.proto is damaged"),
        (overwrite(ANNOTATION_FILE, 0, NOISE), "annotation.proto is damaged"),
        (overwrite(ANNOTATION_FILE, 900, NOISE[:200]), "annotation.proto is damaged"),
        (lambda path: (path / ANNOTATION_FILE).write_bytes(NOISE), "annotation.proto is damaged"),
        (lambda path: (path / ANNOTATION_FILE).write_text("<html>not found</html>"), "annotation.proto is damaged"),
        (lambda path: (path / ANNOTATION_FILE).unlink(), "annotation.proto is missing"),
        (lambda path: (path / SMALL_FILE).unlink(), "192x192.mp4 is missing"),
        (lambda path: rewrite(path, lambda m: m.frame_annotations.__delitem__(slice(30, None))), "30 annotations"),
        (lambda path: shutil.copy(path.parent / "short.mp4", path / SMALL_FILE), "9 pictures are left of 70"),
        (lambda path: shutil.copy(path.parent / "wide.mp4", path / SMALL_FILE), "96x192 pixels|192x96 pixels"),
    ],
)
def test_damage_is_one_clear_sentence_and_never_a_shorter_recording(copy, damage, sentence):
    for name, size, count in (("short", (192, 192), 9), ("wide", (96, 192), 70)):
        video = VideoWriter(copy.parent / f"{name}.mp4", *size, 20.0, SMALL)
        for _ in range(count):
            video.write(np.zeros((*size, 3), np.uint8))
        video.close()
    damage(copy)
    with pytest.raises(UserError, match=sentence) as error:
        Recording.open(copy)
    assert str(error.value).count(". ") == 0
    report = inspect_recording(copy)
    assert report.error == str(error.value)


def test_a_picture_that_cannot_be_decoded_is_found(copy):
    data = bytearray((copy / SMALL_FILE).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    (copy / SMALL_FILE).write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        Recording.open(copy).decode_clip(0, 70)
    assert inspect(copy).is_corrupt


def test_more_frames_than_a_day_has_are_refused():
    with pytest.raises(UserError, match="is damaged"):
        parse_annotation(b"\x1a\x00" * (MAX_FRAMES + 1), Path("x"))


def test_ten_hours_with_a_fast_mouse_are_not_too_large():
    frame = pb.FrameAnnotation(frame_time=36_000 * SECOND_NS)
    frame.user_action.CopyFrom(action_to_message(Action.of(["w", "LeftShift"], dx=120, dy=-30)))
    moved = event_to_message(InputEvent(36_000 * SECOND_NS, "mouse_delta", x=3, y=-1))
    frame.input_events.extend([moved] * 50)
    assert (frame.ByteSize() + 3) * 720_000 < _MOST_BYTES


def test_annotations_cut_within_the_last_message_are_a_cut_off_recording(copy):
    data = (copy / ANNOTATION_FILE).read_bytes()
    closing = data.rindex(b"\x42", 0, data.rindex(b"eyehand.finished"))
    for size in (closing, closing - 5, closing + 5):
        (copy / ANNOTATION_FILE).write_bytes(data[:size])
        recording = Recording.open(copy)
        assert recording.is_cut_off
        assert recording.num_frames == (69 if size < closing else 70)
        assert recording.executed(3) == Recording.open(copy).executed(3)


def test_counts_that_differ_in_a_foreign_recording_use_the_smaller(copy):
    def drop(message):
        del message.changelog[:]
        del message.frame_annotations[60:]

    rewrite(copy, drop)
    recording = Recording.open(copy)
    assert recording.num_frames == 60
    assert not recording.is_cut_off
    assert "70 pictures and 60 annotations" in recording.problems[0]
    assert len(recording.load_labels(P2P)) == 60
    assert recording.executed(59) is None


def test_folders_without_recordings(tmp_path, good):
    with pytest.raises(UserError, match="holds no recordings"):
        find_recordings(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        find_recordings(tmp_path / "none")
    with pytest.raises(UserError, match="is no folder"):
        Recording.open(tmp_path / "none")
    with pytest.raises(UserError, match=r"annotation\.proto is missing"):
        Recording.open(tmp_path)
    (tmp_path / "deep" / "half").mkdir(parents=True)
    shutil.copy(good / SMALL_FILE, tmp_path / "deep" / "half")
    assert find_recordings(tmp_path) == [tmp_path / "deep" / "half"]  # half a recording is found, not passed over


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write the recording"):
        RecordingWriter(tmp_path / "file", new_info("a", "b", 20.0))


def test_closing_twice_and_adding_after_it(tmp_path):
    with RecordingWriter(tmp_path, new_info("a", "b", 20.0)) as writer:
        writer.add(Frame(np.zeros((192, 192, 3), np.uint8), 0), None)
        writer.close({"score": 1.0})
    with pytest.raises(ValueError, match="closed"):
        writer.add(Frame(np.zeros((192, 192, 3), np.uint8), 0), None)
    recording = Recording.open(writer.path)
    assert recording.outcome == {"score": 1.0}
    assert recording.executed(0) is None
    assert recording.load_labels(P2P).executed_TA.tolist() == [P2P.encode(NOTHING).tolist()]


def test_inspect_says_what_is_in_it(good):
    inspection = inspect(good.parent)
    (report,) = inspection.reports
    assert not inspection.is_corrupt
    assert inspection.problems == []
    assert (report.num_frames, report.seconds, report.fps) == (70, 3.5, 20.0)
    assert report.measured_fps == pytest.approx(20.0)
    assert report.user_share == pytest.approx(56 / 70)  # 13 of the system, none known on the last frame
    assert report.system_share == pytest.approx(13 / 70)
    assert report.keys == {"w": pytest.approx(69 / 70)}
    assert sum(report.dx_histogram) == 69
    assert report.instructions == {"": 70}
    assert report.outcome == {"score": 3.0}
    assert report.label_lag == 0
    assert abs(report.label_correlation) > 0.9
    console = Console(record=True, width=200, quiet=False, file=io.StringIO())
    print_inspection(inspection, console)
    text = console.export_text()
    assert "turn/look" in text
    assert "agree" in text
    assert inspection.to_json()["is_corrupt"] is False


@pytest.mark.parametrize("shift", [-1, 1])
def test_inspect_finds_shifted_labels(tmp_path, shift):
    report = inspect_recording(write(tmp_path, label_shift=shift))
    assert report.label_lag == -shift
    assert "shifted" in report.problems[0]
    assert ("real games" in report.problems[0]) == (report.label_lag < 0), "a slow game looks the same"
