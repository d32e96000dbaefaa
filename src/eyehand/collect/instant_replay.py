"""`InstantReplay`: an observer that holds the last seconds of play in memory, to be kept as a recording on request.

Pictures are held as the encoded packets of both videos, some megabytes for half a minute, so that keeping them is a
matter of writing them down. What is kept is a recording like any other, which begins with a whole second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.frame import MODEL_SIZE, Frame
from eyehand.input_event import InputEvent
from eyehand.player import Decision
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.format import CAPTURED_FILE, SMALL_FILE
from eyehand.recording.recorder import as_executed
from eyehand.recording.video import CAPTURED, SMALL, VideoRing, fit_lines
from eyehand.recording.writer import RecordingWriter, new_info
from eyehand.session import EpisodeEnd, EpisodeStart, Tick

__all__ = ["InstantReplay"]

_NO_PICTURE: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class _Moment:
    """What belongs to a frame, except for its pictures."""

    time_ns: int
    executed: Decision | None
    instruction: str | None
    events: Sequence[InputEvent] | None


class InstantReplay:
    """Holds the newest part of an episode of a real-time Session. A new episode begins with nothing.

    Args:
        root: folder of recordings.
        user: who plays.
        seconds: how much is held; up to a second more.
        take_events, note, lines: as of `Recorder`.

    Attributes:
        recordings, titles: as of `Recorder`.
    """

    def __init__(
        self,
        root: Path | str,
        user: str,
        seconds: float = 30.0,
        take_events: Callable[[], Sequence[InputEvent]] | None = None,
        note: str = "",
        lines: int = 480,
    ) -> None:
        self.recordings: list[Path] = []
        self.titles: dict[Path, str] = {}
        self._note = note
        self._lines = lines
        self._root = Path(root)
        self._user = user
        self._seconds = seconds
        self._take_events = take_events
        self._wanted = threading.Event()
        self._start: EpisodeStart | None = None
        self._moments: deque[_Moment] = deque()
        self._rings: tuple[VideoRing, VideoRing] | None = None
        self._executed: Decision | None = None

    def keep(self) -> None:
        """Write down what is held; done with the next tick. May be called on any thread."""
        self._wanted.set()

    def on_start(self, start: EpisodeStart) -> None:
        self._start, self._rings, self._executed = start, None, None
        self._moments.clear()
        self._wanted.clear()
        if self._take_events is not None:
            self._take_events()

    def on_tick(self, tick: Tick) -> None:
        """Hold this tick.

        Raises:
            UserError: what was to be kept cannot be written.
        """
        assert self._start is not None, "on_tick before on_start"
        captured, small = self._rings or self._make_rings(tick.frame, self._start.fps)
        captured.write(tick.frame.pixels)
        small.write(tick.frame.small())
        events = None if self._take_events is None else self._take_events()
        self._moments.append(_Moment(tick.frame.time_ns, self._executed, tick.instruction, events))
        self._executed = as_executed(tick)
        while len(small) > (self._seconds + 1) * self._start.fps:
            captured.drop_second()
            for _ in range(small.drop_second()):
                self._moments.popleft()
        if self._wanted.is_set():
            self._wanted.clear()
            self._save(self._start)

    def on_end(self, end: EpisodeEnd) -> None:
        """What was asked for at the last moment is kept still."""
        if self._wanted.is_set() and self._start is not None and self._moments:
            self._wanted.clear()
            self._save(self._start)
        for ring in self._rings or ():
            ring.close()
        self._moments.clear()
        self._rings = None

    def _make_rings(self, frame: Frame, fps: float) -> tuple[VideoRing, VideoRing]:
        height, width = frame.captured.shape[:2]
        height, width = fit_lines(height, width, self._lines)
        self._rings = VideoRing(height, width, fps, CAPTURED), VideoRing(MODEL_SIZE, MODEL_SIZE, fps, SMALL)
        return self._rings

    def _save(self, start: EpisodeStart) -> None:
        assert self._rings is not None
        task = start.task
        info = new_info(
            task.env, task.env_subtype, start.fps, user=self._user, tasks=task.instructions, note=self._note
        )
        with _KeptWriter(self._root, info, self._rings) as writer:
            self.recordings.append(writer.path)
            for moment in self._moments:
                writer.add(Frame(_NO_PICTURE, moment.time_ns), moment.executed, moment.instruction, moment.events)
            writer.close({"score": 0.0, "done": 0.0, "aborted": 0.0})
            self.titles[writer.path] = writer.title


class _KeptWriter(RecordingWriter):
    """Writes a recording whose pictures are encoded already."""

    def __init__(self, root: Path, info: object, rings: tuple[VideoRing, VideoRing]) -> None:
        super().__init__(root, info)  # type: ignore[arg-type]
        self._rings: tuple[VideoRing, VideoRing] | None = rings

    def _write(self, frame: Frame, message: pb.FrameAnnotation) -> None:
        if self._rings is not None:
            for ring, name in zip(self._rings, (CAPTURED_FILE, SMALL_FILE), strict=True):
                ring.save(self.path / name)
            self._rings = None
        self._append(pb.VideoAnnotation(frame_annotations=[message]))
