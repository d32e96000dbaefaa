"""The video with the actions drawn beneath the picture, its drawing, and the animation made of it."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from eyehand.action import NOTHING, Action
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.play.hud import Hud, Shown
from eyehand.play.overlay import OverlayObserver
from eyehand.player import Decision
from eyehand.session import EpisodeEnd, EpisodeStart, Tick

make_animation = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "animation.py"))["make_animation"]

TASK = TaskInfo("test/colour", "test", "colour", ("change", "vary"), 10.0, "shades")
GREY = np.full((240, 320, 3), 90, np.uint8)
IDLE = Shown(
    GREY, frozenset(), frozenset(), 0, 0, "go there", "somebody", "test/colour", 2.5, "shades", 1.0, 8.0, False
)


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of all pixels that differ."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None


def test_a_held_key_lights_its_cap_and_nothing_else() -> None:
    idle = Hud(480).draw(IDLE)
    w_box = changed(idle, Hud(480).draw(replace(IDLE, keys=frozenset({"w"}))))
    s_box = changed(idle, Hud(480).draw(replace(IDLE, keys=frozenset({"s"}))))
    assert w_box is not None
    assert s_box is not None
    assert w_box[1] >= 480  # beneath the picture
    assert w_box[3] <= s_box[1]  # W lies above S, as on a keyboard
    assert w_box[2] - w_box[0] <= 30


def test_a_key_without_a_cap_of_its_own_appears() -> None:
    assert changed(Hud(480).draw(IDLE), Hud(480).draw(replace(IDLE, keys=frozenset({"Tab"})))) is not None


def test_mouse_to_the_right_draws_to_the_right() -> None:
    idle = Hud(480).draw(IDLE)
    right = changed(idle, Hud(480).draw(replace(IDLE, dx=50)))
    left = changed(idle, Hud(480).draw(replace(IDLE, dx=-50)))
    assert right is not None
    assert left is not None
    assert left[2] <= right[0] + 10  # both begin at the middle of the dial


def test_buttons_light_on_their_side() -> None:
    idle = Hud(480).draw(IDLE)
    left = changed(idle, Hud(480).draw(replace(IDLE, buttons=frozenset({"0"}))))
    right = changed(idle, Hud(480).draw(replace(IDLE, buttons=frozenset({"1"}))))
    assert left is not None
    assert right is not None
    assert left[2] <= right[0] + 6  # smoothing spreads the line between them


def test_a_long_instruction_is_cut_and_an_unusual_picture_fits() -> None:
    shown = replace(IDLE, instruction="go " * 100, pixels=np.zeros((100, 100, 3), np.uint8), latency_ms=None)
    assert Hud(640).draw(shown).shape == (752, 640, 3)


def test_a_picture_as_a_screen_has_it_is_drawn_in_the_same_colours() -> None:
    bgrx = np.random.default_rng(0).integers(0, 256, (120, 160, 4), dtype=np.uint8)
    from_rgb, from_bgrx = (
        Hud(480).draw(replace(IDLE, pixels=pixels)) for pixels in (np.ascontiguousarray(bgrx[..., 2::-1]), bgrx)
    )
    np.testing.assert_array_equal(from_rgb, from_bgrx)


def shade_tick(index: int, shade: int) -> Tick:
    frame = Frame(np.full((240, 320, 3), shade, np.uint8), index * 50_000_000, index)
    action = Action.of(keys=["w"]) if index % 2 else NOTHING
    return Tick(index, frame, "vary", Decision(action), action, Outcome(score=float(index)))


def play_shades(observer: OverlayObserver, shades: list[int], missed: int = 0) -> None:
    observer.on_start(EpisodeStart(TASK, 0, "vary", 20.0, False, 0))
    for index, shade in enumerate(shades):
        observer.on_tick(shade_tick(index + missed * (index > 0), shade))
    observer.on_end(EpisodeEnd(Outcome(done=True), len(shades), 0, 0, missed, 1.0, False))


def test_an_action_on_an_earlier_picture_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = OverlayObserver(tmp_path / "play.mp4", "somebody", 20.0)
    drawn: list[tuple[int, Shown]] = []
    monkeypatch.setattr(observer._queue, "put_nowait", drawn.append)
    monkeypatch.setattr(observer._queue, "put", lambda message, timeout=None: drawn.append(message))
    for is_realtime in (True, False):
        observer.on_start(EpisodeStart(TASK, 0, "vary", 20.0, is_realtime, 0))
        observer.on_tick(replace(shade_tick(0, 20), is_late=is_realtime))
        observer.on_tick(replace(shade_tick(1, 20), latency_ms=8.0))
    monkeypatch.undo()
    observer.close()
    assert [shown.is_late for _, shown in drawn] == [True, False, False, False]


def test_every_tick_is_a_frame_and_a_missed_one_leaves_the_last_on_screen(tmp_path: Path) -> None:
    observer = OverlayObserver(tmp_path / "play.mp4", "somebody", 20.0)
    play_shades(observer, [20, 60, 100], missed=2)
    play_shades(observer, [140, 180])
    observer.close()
    observer.close()
    assert observer.is_complete
    assert (observer.problem, observer.num_dropped) == (None, 0)
    with av.open(str(tmp_path / "play.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(video.decode(video=0))
    assert [round(frame.time * 20) for frame in frames] == [0, 3, 4, 5, 6]
    shades = [frame.to_ndarray(format="rgb24")[200:280, 200:440].mean() for frame in frames]
    assert shades == pytest.approx([20, 60, 100, 140, 180], abs=4)
    head = (tmp_path / "play.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # a browser can start before it has all of it


def test_a_file_that_cannot_be_written_is_told_and_does_not_stop_the_play(tmp_path: Path) -> None:
    observer = OverlayObserver(tmp_path / "missing" / "play.mp4", "somebody", 20.0)
    play_shades(observer, [20] * 60)
    observer.close()
    assert not observer.is_complete
    assert observer.problem is not None
    assert "No such file" in observer.problem


@pytest.mark.parametrize("num_ticks", [1, 300])  # into the pipe, and until the queue is full
def test_an_encoder_that_hangs_does_not_keep_play_from_its_end(
    num_ticks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eyehand.play.overlay._PATIENCE_S", 0.2)
    monkeypatch.setattr("eyehand.play.overlay._END_TIMEOUT_S", 0.2)
    observer = OverlayObserver(tmp_path / "play.mp4", "somebody", 20.0)
    assert observer._process.pid is not None
    os.kill(observer._process.pid, signal.SIGSTOP)
    observer.on_start(EpisodeStart(TASK, 0, "vary", 20.0, True, 0))
    for index in range(num_ticks):
        observer.on_tick(shade_tick(index, 20))
    observer.close()
    assert not observer.is_complete
    assert observer.problem is not None


@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_of_large_windows_are_shrunk_before_they_wait(
    channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eyehand.play.overlay._END_TIMEOUT_S", 0.2)
    monkeypatch.setattr("eyehand.play.overlay._PATIENCE_S", 0.2)
    observer = OverlayObserver(tmp_path / "play.mp4", "somebody", 20.0)
    assert observer._process.pid is not None
    os.kill(observer._process.pid, signal.SIGSTOP)  # all of them wait
    pixels = np.zeros((2160, 3840, channels), np.uint8)
    pixels[:, 1920:, 0] = 200
    observer.on_start(EpisodeStart(TASK, 0, "vary", 20.0, True, 0))
    for index in range(120):
        observer.on_tick(replace(shade_tick(index, 0), frame=Frame(pixels, index, index)))
    waiting = [message[1].pixels for message in list(observer._queue.queue) if message is not None]
    assert len(waiting) + observer.num_dropped >= 110
    assert sum({id(each): each.nbytes for each in waiting}.values()) <= 64_000_000
    assert waiting[0].shape == (360, 640, channels)
    assert (waiting[0][:, 321:, 0] == 200).all()
    assert (waiting[0][..., 1:3] == 0).all()
    observer.close()


def test_a_tick_that_begins_late_has_no_frame(tmp_path: Path) -> None:
    observer = OverlayObserver(tmp_path / "play.mp4", "somebody", 20.0)
    observer.on_start(EpisodeStart(TASK, 0, "vary", 20.0, True, 0))
    for index, late_ms in enumerate((40, 0, 40, 20, 26)):
        observer.on_tick(replace(shade_tick(index, 50), late_ns=late_ms * 1_000_000))
    observer.close()
    assert observer.num_dropped == 2
    with av.open(str(tmp_path / "play.mp4")) as video:
        assert [round(frame.time * 20) for frame in video.decode(video=0)] == [0, 1, 3]  # one is always there


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_overlay import OverlayObserver, EpisodeStart, TASK, shade_tick
if __name__ == "__main__":
    observer = OverlayObserver(Path({path!r}), "somebody", 20.0)
    observer.wait_ready()
    observer.on_start(EpisodeStart(TASK, 0, "vary", 20.0, False, 0))
    for index in range(250):
        observer.on_tick(shade_tick(index, index % 200))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_video_plays_after_the_player_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "play.mp4"
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent), path=str(path)))
    assert subprocess.run([sys.executable, str(script)], check=False).returncode == -9
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # the other process is nobody's child any more: only its file can be watched
        try:
            with av.open(str(path)) as video:
                assert sum(1 for _ in video.decode(video=0)) >= 40  # 200 were still waiting in our memory
            return
        except (OSError, av.error.FFmpegError):
            time.sleep(0.1)
    pytest.fail("the video was not finished")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overlay") / "play.mp4"
    observer = OverlayObserver(path, "somebody", 20.0)
    play_shades(observer, list(range(0, 180, 6)))
    observer.close()
    return path


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_has_its_length_width_and_limit(video: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"play{suffix}"
    size = make_animation(video, out, seconds=1.0, width=320, fps=10.0, start=0.5)
    assert size == out.stat().st_size
    with Image.open(out) as animation:
        assert (animation.width, animation.n_frames) == (320, 10)
        first = np.asarray(animation.convert("RGB"))[100:140, 100:220].mean()
    assert first == pytest.approx(10 * 6, abs=6)  # the picture of second 0.5, tick 10
    smaller = make_animation(video, out, seconds=1.0, width=320, fps=10.0, max_bytes=int(size * 0.7))
    assert smaller <= size * 0.7


def test_bad_animations_are_refused(video: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.gif or a \.webp"):
        make_animation(video, tmp_path / "play.png")
    with pytest.raises(UserError, match="ends before second 60"):
        make_animation(video, tmp_path / "play.gif", start=60.0)
    with pytest.raises(UserError, match="do not fit"):
        make_animation(video, tmp_path / "play.gif", seconds=1.0, max_bytes=100)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="Cannot read the video"):
        make_animation(tmp_path / "broken.mp4", tmp_path / "play.gif")
