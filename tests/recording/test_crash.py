"""Recordings that end badly: SIGKILL, Ctrl-C, a full disk. Real processes, real signals, real limits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import moving_block
from eyehand.action_space import P2P
from eyehand.data.dataset import load_dataset
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.recording.reader import Recording, find_recordings
from eyehand.recording.video import SMALL, VideoReader, VideoWriter
from eyehand.recording.writer import RecordingWriter, new_info
from programs import small_disk

CHILD = """
import signal
import sys
import numpy as np
from pathlib import Path
from eyehand.action import Action
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.writer import RecordingWriter, new_info

# A shell's background jobs inherit an ignored SIGINT; whoever runs these tests, the child must hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)
root, stop_after, num_frames = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
noise = np.random.default_rng(0).integers(0, 256, (192, 512, 3)).astype(np.uint8) // 4
try:
    with RecordingWriter(root, new_info("echo", "show", 20.0)) as writer:
        for index in range(num_frames):
            pixels = np.ascontiguousarray(noise[:, index % 320 : index % 320 + 192])
            done = Decision(Action.of(["w"], dx=index % 100), by_user=True)
            writer.add(Frame(pixels, index * 50_000_000, index), done, "Go.")
            print(index + 1, flush=True)
            if index + 1 == stop_after:
                sys.stdin.readline()
except UserError as error:
    print("UserError:", error, flush=True)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)
"""


def _child(root: Path, stop_after: int, num_frames: int, before: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", before + CHILD, str(root), str(stop_after), str(num_frames)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _read_until(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdout is not None
    for text in child.stdout:
        if text.strip() == line:
            return
    raise AssertionError(f"the child ended before it said {line}")


def _check_content(recording: Recording) -> None:
    """Every frame is there and says what the child did."""
    frames = recording.decode_clip(0, recording.num_frames)
    assert len(frames) == recording.num_frames
    for index in range(recording.num_frames - 1):
        assert recording.executed(index).dx == (index + 1) % 100
    assert set(recording.instructions) == {"Go."}


@pytest.mark.parametrize("num_frames", [21, 64])
def test_sigkill_loses_at_most_the_last_second(tmp_path, num_frames):
    with _child(tmp_path, num_frames, 10_000) as child:
        _read_until(child, str(num_frames))
        child.kill()
    recording = Recording.open(find_recordings(tmp_path)[0])
    assert num_frames - 20 <= recording.num_frames <= num_frames
    assert recording.is_cut_off
    assert "cut off" in recording.problems[0]
    _check_content(recording)


@pytest.mark.parametrize("num_frames", [1, 8])
def test_what_is_killed_before_its_first_fragment_is_passed_over(tmp_path, capsys, num_frames):
    good = moving_block.record(tmp_path, seed=0, num_frames=10)
    with _child(tmp_path / "killed", num_frames, 10_000) as child:
        _read_until(child, str(num_frames))
        child.kill()
    (cut_off,) = find_recordings(tmp_path / "killed")
    with pytest.raises(UserError, match=r"holds no frames \(it was cut off within the first second\): remove it"):
        Recording.open(cut_off)
    dataset = load_dataset([tmp_path], P2P)
    assert [episode.path for episode in dataset.episodes] == [good]
    assert f"left out: {cut_off} holds no frames" in capsys.readouterr().err


class _StoppedFrame(Frame):
    """Its first resize, which loads what it needs, is interrupted."""

    def small(self) -> np.ndarray:
        raise SystemExit(143)


def test_a_recording_that_is_ended_within_its_first_frame_is_removed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), RecordingWriter(tmp_path, new_info("echo", "show", 20.0)) as writer:
        writer.add(_StoppedFrame(np.zeros((64, 64, 3), np.uint8), 0, 0), None)
    assert not writer.path.exists()


def test_sigkill_in_the_middle_of_writing(tmp_path):
    """Killed while it runs freely, so that the signal may fall into any write."""
    with _child(tmp_path, 0, 10_000) as child:
        _read_until(child, "47")
        child.kill()
        reported = max([47, *(int(line) for line in child.stdout.read().splitlines() if line.isdigit())])
    recording = Recording.open(find_recordings(tmp_path)[0])
    assert recording.num_frames >= reported - 20
    _check_content(recording)


def test_ctrl_c_closes_the_recording(tmp_path):
    with _child(tmp_path, 30, 10_000) as child:
        _read_until(child, "30")
        child.send_signal(signal.SIGINT)
        assert child.wait() == 130
    recording = Recording.open(find_recordings(tmp_path)[0])
    assert recording.num_frames == 30
    assert not recording.is_cut_off
    assert recording.outcome == {"aborted": 1.0}
    assert recording.problems == ()
    _check_content(recording)


def test_what_a_failure_ends_is_cut_off(tmp_path):
    failing = CHILD.replace("print(index + 1, flush=True)", 'assert index < 30, "what is recorded has failed"')
    child = subprocess.run([sys.executable, "-c", failing, str(tmp_path), "0", "100"], capture_output=True, check=False)
    assert child.returncode == 1
    recording = Recording.open(find_recordings(tmp_path)[0])
    assert recording.num_frames == 31, "all of it is there"
    assert recording.is_cut_off
    _check_content(recording)


def test_a_frame_that_cannot_be_encoded_ends_it_as_cut_off(tmp_path):
    writer = RecordingWriter(tmp_path, new_info("echo", "show", 20.0))
    for index in range(2):
        writer.add(Frame(np.zeros((32, 32, 3), np.uint8), index), None)
    with pytest.raises(ValueError, match="float"):
        writer.add(Frame(np.zeros((32, 32, 3), np.float32), 2), None)  # type: ignore[arg-type]
    writer.close()
    assert Recording.open(writer.path).is_cut_off


def test_a_file_that_may_not_grow(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
    with _child(tmp_path, 0, 10_000, before=limit) as child:
        output = child.stdout.read()
        assert child.wait() == 2
    _check_full(tmp_path, output)


def test_disk_full(tmp_path):
    """A real file system without space: a mount of 1 MB in memory."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        with _child(disk, 0, 10_000) as child:
            output = child.stdout.read()
            assert child.wait() == 2
        _check_full(disk, output)


def _check_full(root: Path, output: str) -> None:
    """One sentence came out, and everything but the last second is readable."""
    *counts, message = output.splitlines()
    assert message.startswith("UserError: Cannot write the recording")
    assert "stays readable" in message
    recording = Recording.open(find_recordings(root)[0])
    assert recording.is_cut_off
    assert recording.num_frames >= len(counts) - 20
    _check_content(recording)
    recording.close()


@pytest.fixture(scope="module")
def unfinished_video(tmp_path_factory):
    """The bytes of a video of 50 frames in the making, with its frames as far as they are on disk, and finished."""
    folder = tmp_path_factory.mktemp("video")
    writer = VideoWriter(folder / "a.mp4", 192, 192, 20.0, SMALL)
    for index in range(50):
        writer.write(np.full((192, 192, 3), index * 5, np.uint8))
    unfinished = (folder / "a.mp4").read_bytes()
    writer.close()
    finished = (folder / "a.mp4").read_bytes()
    return unfinished, finished


def test_a_video_may_break_off_anywhere(tmp_path, unfinished_video):
    """A kill can fall between any two writes: every prefix reads as a prefix of the frames, or as none."""
    unfinished, _ = unfinished_video
    counts = []
    for length in [*range(0, len(unfinished), 101), len(unfinished)]:
        path = tmp_path / "prefix.mp4"
        path.write_bytes(unfinished[:length])
        video = VideoReader(path)
        try:
            counts.append(video.num_frames)
        except UserError:
            counts.append(0)
            continue
        levels = video.clip(0, counts[-1]).mean(axis=(1, 2, 3))
        assert np.abs(levels - np.arange(counts[-1]) * 5).max(initial=0) < 4
        video.close()
    assert counts == sorted(counts)
    assert counts[-1] >= 39


def test_a_kill_while_closing_a_video_loses_nothing(tmp_path, unfinished_video):
    """Closing appends an index and then changes the header in one write: in between both are readable."""
    unfinished, finished = unfinished_video
    assert finished[len(unfinished) :]
    between = unfinished + finished[len(unfinished) :]
    changed = [index for index in range(len(unfinished)) if unfinished[index] != finished[index]]
    assert changed[-1] - changed[0] < 16  # the header: one write of one page
    for content in (between, finished):
        (tmp_path / "a.mp4").write_bytes(content)
        assert VideoReader(tmp_path / "a.mp4").num_frames == 50
