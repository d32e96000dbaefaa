"""Recordings of a person who plays a desktop game: `record_person` runs until the game, the person or the time is over.

    recording --pause--> paused --pause--> recording      pictures and events become a recording, one folder a stretch
    recording --record-> waiting --record-> recording     waiting: the last seconds are held, --keep--> a recording

A stretch is a Session with a `HumanPlayer`; it ends when the hotkeys say so and when the window loses the focus, so
that every recording is one piece of uninterrupted play. Encoding is done beside the loop. Nothing is ever pressed,
except in the menus of a game that is started from a profile.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import xcffib
from numpy.typing import NDArray

from eyehand.clock import FPS, punctual
from eyehand.collect.background import BackgroundObserver
from eyehand.collect.instant_replay import InstantReplay
from eyehand.collect.record_options import RecordPersonOptions
from eyehand.collect.recorder import Recorder
from eyehand.collect.watched import Interrupted, WatchedGame
from eyehand.desktop.x11.listener import Listener
from eyehand.folder_lock import alone_in
from eyehand.frame import resize
from eyehand.games.desktop.x11 import X11Game
from eyehand.input_event import InputEvent
from eyehand.players.human import HumanPlayer
from eyehand.session import EpisodeEnd, EpisodeStart, Session, Tick
from eyehand.terminal import announce, said_aside

__all__ = ["PersonReport", "RecordingState", "record_person"]

_LOOK_S = 0.05
_SHOWN_MS = 2.0


@dataclass(frozen=True)
class PersonReport:
    """Result of `record_person`: the recordings, and how punctual their frames are.

    Attributes:
        recordings: the folders written.
        num_frames: recorded (without what was kept).
        num_dropped: ticks without a frame.
        seconds: recorded.
        encoder_share: CPU time of encoding and writing, in shares of one core.
        deviation_ms: how far frames were from the middle of their grid of 50 ms: median, 99th percentile, largest.
        near_share: of the frames, within 2 ms.
        times_ns: when the frames of every stretch were taken, on the game's clock.
        failure: what ended it, Ctrl-C included, if it was not the time or the game; the caller raises it.
    """

    recordings: tuple[Path, ...]
    num_frames: int
    num_dropped: int
    seconds: float
    encoder_share: float
    deviation_ms: tuple[float, float, float]
    near_share: float
    times_ns: tuple[NDArray[np.int64], ...] = ()
    failure: BaseException | None = None


class RecordingState(enum.Enum):
    """What is done with frames and events: recorded, held in memory, or neither."""

    ON = "recording"
    WAITING = "waiting, the last seconds are held"
    PAUSED = "paused"


def record_person(
    game: X11Game,
    options: RecordPersonOptions,
    say: Callable[[str], None] = announce,
    typed: TextIO | None = None,
    ended: threading.Event | None = None,
) -> PersonReport:
    """Record a person until they end it with Ctrl-C, the time is over, or the game is.

    Args:
        game: is begun here; the caller closes it.
        options: how.
        say: told in one sentence what happens.
        typed: lines that are read from here are instructions; None: none.
        ended: ends it when set.

    Raises:
        UserError: it cannot begin: the window, the display or raw events are not there; or `out` is busy.
    """
    with alone_in(options.out, "record"), said_aside(say) as tell:
        return _record(game, _Desk(game, options, tell, ended or threading.Event()), typed)


def _record(game: X11Game, desk: _Desk, typed: TextIO | None) -> PersonReport:
    options = desk.options
    resize(np.zeros((8, 8, 3), np.uint8))  # loads what takes seconds, before it is missed
    game.reset(0)
    window = game.window
    assert window is not None
    listener = Listener(window.display.name, window.authority, hears_injected=options.hears_injected, clock=game.clock)
    listener.subscribe(desk.hear)
    with listener, punctual():
        desk.person.hold(listener.held.keys, listener.held.buttons)
        desk.person.catch_up = listener.catch_up
        if typed is not None:
            threading.Thread(target=desk.read, args=(typed,), name="eyehand instructions", daemon=True).start()
        try:
            desk.run(listener)
        except BaseException as failure:  # for the caller to raise, when it has told what was recorded
            return desk.report(failure)
    return desk.report()


class _Desk:
    """Records a person, stretch by stretch. Hotkeys come on the listener's thread, typed lines on another."""

    def __init__(
        self, game: X11Game, options: RecordPersonOptions, say: Callable[[str], None], ended: threading.Event
    ) -> None:
        self.game, self.options, self.say = game, options, say
        self._ended = ended
        self.person = HumanPlayer(options.hotkeys())
        self._changed = threading.Condition()
        self._recording = RecordingState.WAITING if options.wait else RecordingState.ON
        self._before_pause = self._recording
        self._recorder = Recorder(options.out, options.user, self.person.next_events)
        self._ring = InstantReplay(options.out, options.user, options.keep_seconds, self.person.next_events)
        self._background = BackgroundObserver(self._recorder)
        self._times = _FrameTimes(self._signal)
        instructions = game.task.instructions
        first = instructions[0] if options.instruction is None else options.instruction
        self._instructions = list(dict.fromkeys([first, *instructions]))
        self._session: Session | None = None
        self._instruction = first or None

    def hear(self, event: InputEvent) -> None:
        """An event of the display, on the listener's thread."""
        fired = self.person.hear(event)
        if fired is not None:
            self._obey(fired)

    def read(self, typed: TextIO) -> None:
        """Every line is an instruction."""
        with contextlib.suppress(ValueError):  # closed meanwhile
            for line in typed:
                if line.strip():
                    self._instruct(line.strip())

    def run(self, listener: Listener) -> None:
        """One stretch after the other."""
        wanted = self.options
        self.say(
            f"{wanted.key_record} starts and stops, {wanted.key_pause} pauses, {wanted.key_keep} keeps the last "
            f"{wanted.keep_seconds:g} s, {wanted.key_instruction} goes to the next instruction, Ctrl-C here ends it."
        )
        while not self._ended.is_set() and ((left_s := self._left_s()) is None or left_s > 0):
            listener.check()
            state = self._recording
            if state is RecordingState.PAUSED:
                self._wait_while_paused(listener)
                continue
            observer = self._background if state is RecordingState.ON else BackgroundObserver(self._ring)
            observers = (*((self._times,) if state is RecordingState.ON else ()), observer)
            watched = WatchedGame(self.game, self.person, lambda state=state: self._is_over(state, listener))  # type: ignore[misc]
            session = Session(watched, self.person, observers, self.game.clock, self._instruction, source=self.person)
            self._session = session
            try:
                session.run_episode(0, left_s if state is RecordingState.ON else None)
            except Interrupted:
                continue
            finally:
                self.person.stop()

    def report(self, failure: BaseException | None = None) -> PersonReport:
        """The result so far."""
        times, seconds = self._times, self._times.num_ticks / self.game.fps
        deviation_ms = np.abs(np.concatenate(times.deviations_ms or [np.zeros(1)]))
        return PersonReport(
            recordings=(*self._recorder.recordings, *self._ring.recordings),
            num_frames=times.num_frames,
            num_dropped=times.num_ticks - times.num_frames,
            seconds=seconds,
            encoder_share=self._background.cpu_s / seconds if seconds else 0.0,
            deviation_ms=tuple(float(value) for value in np.percentile(deviation_ms, (50, 99, 100))),  # type: ignore[arg-type]
            near_share=float((deviation_ms <= _SHOWN_MS).mean()),
            times_ns=tuple(times.times_ns),
            failure=failure,
        )

    def _left_s(self) -> float | None:
        """Seconds of play that are still to be recorded."""
        wanted_s = self.options.seconds
        return None if wanted_s is None else wanted_s - self._times.num_ticks / self.game.fps

    def _is_over(self, state: RecordingState, listener: Listener) -> bool:
        listener.check()
        return self._recording is not state or self._ended.is_set()

    def _wait_while_paused(self, listener: Listener) -> None:
        """Until a hotkey says otherwise; a window that is closed and a listener that dies meanwhile are noticed."""
        window = self.game.window
        assert window is not None
        with self._changed:
            while self._recording is RecordingState.PAUSED and not self._ended.is_set():
                self._changed.wait(_LOOK_S)
                listener.check()
                self.game.check_alive(window.watch.state())

    def _obey(self, hotkey: str) -> None:
        if hotkey == "instruction":
            index = self._instructions.index(self._instruction) if self._instruction in self._instructions else -1
            self._instruct(self._instructions[(index + 1) % len(self._instructions)])
        elif hotkey == "keep":
            if self._recording is RecordingState.WAITING:
                self._ring.keep()
                self.say(f"the last {self.options.keep_seconds:g} s are kept.")
            else:
                self.say(f"nothing is held to be kept: {self._recording.value}.")
        elif hotkey == "pause" and self._recording is RecordingState.PAUSED:
            self._set(self._before_pause)
        elif hotkey == "pause":
            self._before_pause = self._recording
            self._set(RecordingState.PAUSED)
        else:
            self._set(RecordingState.WAITING if self._recording is RecordingState.ON else RecordingState.ON)

    def _set(self, recording: RecordingState) -> None:
        with self._changed:
            self._recording = recording
            self._changed.notify_all()
        self.say(f"{recording.value}.")

    def _instruct(self, instruction: str) -> None:
        self._instruction = instruction or None
        if self._session is not None:
            self._session.instruction = self._instruction
        self.say(f"instruction: {instruction}")

    def _signal(self, is_start: bool) -> None:
        """A bell when recording really starts and stops: at the terminal, and the display's own."""
        self.say(f"\a{'recording' if is_start else 'stopped recording'}.")
        window = self.game.window
        if window is not None:
            with contextlib.suppress(xcffib.XcffibException):
                window.display.core.Bell(0)
                window.display.connection.flush()


class _FrameTimes:
    """Capture times of the frames of every stretch, and their deviations from the grid of ticks."""

    def __init__(self, signal: Callable[[bool], None]) -> None:
        self.num_frames = self.num_ticks = 0
        self.deviations_ms: list[NDArray[np.float64]] = []
        self.times_ns: list[NDArray[np.int64]] = []
        self._signal = signal
        self._fps = FPS
        self._ticks: list[tuple[int, int]] = []

    def on_start(self, start: EpisodeStart) -> None:
        self._fps = start.fps
        self._ticks = []

    def on_tick(self, tick: Tick) -> None:
        if not self._ticks:
            self._signal(True)
        self._ticks.append((tick.index, tick.frame.time_ns))

    def on_end(self, end: EpisodeEnd) -> None:
        if not self._ticks:
            return
        indices, times_ns = np.array(self._ticks, np.int64).T
        self.num_frames += len(indices)
        self.num_ticks += int(indices[-1] - indices[0]) + 1
        self.times_ns.append(times_ns)
        off_ms = (times_ns - times_ns[0]) / 1e6 - (indices - indices[0]) * 1e3 / self._fps
        self.deviations_ms.append(off_ms - np.median(off_ms))
        self._signal(False)
