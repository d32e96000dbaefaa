"""Records sessions: `Recorder`, an observer that makes one recording of every episode.

A frame is written with the action executed on the frame before it, as the format pairs them. The action executed on the
last frame of an episode shows in no picture and is left out.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from eyehand.clock import SECOND_NS
from eyehand.frame import Frame
from eyehand.input_event import InputEvent
from eyehand.player import Decision
from eyehand.recording.removed import set_aside
from eyehand.recording.writer import Embed, RecordingWriter, new_info
from eyehand.session import EpisodeEnd, EpisodeStart, Tick

__all__ = ["Recorder", "as_executed"]


class Recorder:
    """Writes every episode of a Session into a folder of its own under `root`.

    Frames of a stepped game are timed in game time, so that a recording made faster than real time plays at the right
    speed; frames of a real-time game by when they were captured.

    Args:
        root: the folder of recordings; made if missing.
        user: who plays ("human", the name of a demonstrator, of a checkpoint).
        take_events: gives the raw input events since it was last called, on the clock of the frames; None: there are
            none, and simulated ones are made from the actions.
        embed: gives the text embeddings to store with every instruction.
        note: about all of them, for their titles.
        shortest_s: an episode that is shorter leaves nothing behind.
        lines: height of the captured videos at most.

    Attributes:
        recordings: the folders written, in order; the last may still be in the making.
        titles: of those that are finished.
        set_aside: where those lie that were thrown away, see `throw_away`.
        num_short: episodes that were too short.

    Raises:
        UserError: from `on_tick` and `on_end`, when the files cannot be written.
    """

    def __init__(
        self,
        root: Path | str,
        user: str,
        take_events: Callable[[], Sequence[InputEvent]] | None = None,
        embed: Embed | None = None,
        note: str = "",
        shortest_s: float = 0.0,
        lines: int = 480,
    ) -> None:
        self.recordings: list[Path] = []
        self.titles: dict[Path, str] = {}
        self.set_aside: list[Path] = []
        self.num_short = 0
        self._note = note
        self._shortest_s = shortest_s
        self._lines = lines
        self._is_bad = False
        self._lock = threading.Lock()
        self._root = Path(root)
        self._user = user
        self._take_events = take_events
        self._embed = embed
        self._start: EpisodeStart | None = None
        self._writer: RecordingWriter | None = None
        self._executed: Decision | None = None

    def on_start(self, start: EpisodeStart) -> None:
        """Prepare; the folder is made at the first tick, so that an episode without one leaves nothing behind."""
        self._start, self._writer, self._executed, self._is_bad = start, None, None, False
        if self._take_events is not None:
            self._take_events()  # what happened before the episode is not part of it

    def on_tick(self, tick: Tick) -> None:
        """Write the frame of this tick, after what was done on the one before."""
        assert self._start is not None, "on_tick before on_start"
        if self._writer is None:
            self._writer = self._begin(self._start)
        frame = tick.frame
        if not self._start.is_realtime:
            frame = Frame(frame.pixels, round(tick.index * SECOND_NS / self._start.fps), frame.index)
        events = None if self._take_events is None else self._take_events()
        self._writer.add(frame, self._executed, tick.instruction, events)
        self._executed = as_executed(tick)

    def on_end(self, end: EpisodeEnd) -> None:
        """Close the recording with how the episode ended."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is None:
                return
            facts = {"score": end.outcome.score, "done": float(end.outcome.done), "aborted": float(end.is_aborted)}
            writer.close({**end.outcome.facts, **facts})
            if not writer.num_frames:
                self.recordings.remove(writer.path)
            elif writer.num_frames < self._shortest_s * writer.info.fps:
                shutil.rmtree(writer.path, ignore_errors=True)
                self.recordings.remove(writer.path)
                self.num_short += 1
            else:
                self.titles[writer.path] = writer.title
                if self._is_bad:
                    self._set_aside_last()

    def throw_away(self, is_current: bool) -> bool:
        """Move the recording in the making, once its episode is over, or else the last one into `.removed` beside it;
        whether there is one. May be called on any thread."""
        with self._lock:
            if is_current:
                self._is_bad = True
            elif self.recordings:
                self._set_aside_last()
            else:
                return False
            return True

    def _set_aside_last(self) -> None:
        self.set_aside.append(set_aside(self.recordings.pop()))

    def _begin(self, start: EpisodeStart) -> RecordingWriter:
        info = new_info(
            start.task.env,
            start.task.env_subtype,
            start.fps,
            user=self._user,
            tasks=start.task.instructions,
            seed=start.seed,
            note=self._note,
        )
        writer = RecordingWriter(self._root, info, self._embed, self._lines)
        self.recordings.append(writer.path)
        return writer


def as_executed(tick: Tick) -> Decision:
    """The decision to record for a tick; without one, what the loop did by itself, as the system's."""
    decision = tick.decision
    if decision is None:
        return Decision(tick.executed)
    if decision.action == tick.executed:
        return decision
    return Decision(tick.executed, label=decision.action if decision.by_user else decision.label)
