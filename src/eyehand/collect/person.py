"""Recordings of a person who plays a desktop game: `record_person` runs until the game, the person or the time is over.

    recording --pause--> paused --pause--> recording      pictures and events become a recording, one folder a stretch
    recording --record-> waiting --record-> recording     waiting: the last seconds are held, --keep--> a recording
    recording --success, failure, discard-> recording     the next folder begins

A stretch is a Session with a `HumanPlayer`; it ends when the hotkeys say so and when the window loses the focus, so
that every recording is one piece of uninterrupted play. Encoding is done beside the loop. Nothing is ever pressed,
except in the menus of a game that is started from a profile.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xcffib
from numpy.typing import NDArray

from eyehand.clock import punctual
from eyehand.collect.advice import Advice
from eyehand.collect.background import BackgroundObserver
from eyehand.collect.instant_replay import InstantReplay
from eyehand.collect.record_options import RecordPersonOptions
from eyehand.collect.watched import Interrupted, WatchedGame
from eyehand.desktop.x11.listener import Listener
from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.frame import resize
from eyehand.game import Outcome
from eyehand.games.desktop.x11 import X11Game
from eyehand.input_event import InputEvent
from eyehand.players.human import HumanPlayer
from eyehand.recording.recorder import Recorder
from eyehand.session import EpisodeEnd, EpisodeStart, Session, Tick
from eyehand.status_line import StatusLine
from eyehand.terminal import announce, clock_time, counted, said_aside

__all__ = ["PersonReport", "RecordingState", "record_person"]

_LOOK_S = 0.05
_SHOWN_MS = 2.0


@dataclass(frozen=True)
class PersonReport:
    """Result of `record_person`: the recordings, and how punctual their frames are.

    Attributes:
        recordings: the folders written; titles: theirs.
        set_aside: folders of those that were thrown away.
        num_short: stretches that were too short to be kept.
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
    titles: tuple[str, ...] = ()
    set_aside: tuple[Path, ...] = ()
    num_short: int = 0


class RecordingState(enum.Enum):
    """What is done with frames and events: recorded, held in memory, or neither."""

    ON = "recording"
    WAITING = "waiting, the last seconds are held"
    PAUSED = "paused"


def record_person(
    game: X11Game,
    options: RecordPersonOptions,
    say: Callable[[str], None] = announce,
    ended: threading.Event | None = None,
) -> PersonReport:
    """Record a person until they end it with Ctrl-C, the time is over, or the game is.

    Args:
        game: is begun here; the caller closes it.
        options: how.
        say: told in one sentence what happens.
        ended: ends it when set.

    Raises:
        UserError: it cannot begin: the window, the display or raw events are not there; or `out` is busy.
    """
    with alone_in(options.out, "record"), said_aside(say) as tell:
        return _record(game, _Desk(game, options, tell, ended or threading.Event()))


def _record(game: X11Game, desk: _Desk) -> PersonReport:
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
        try:
            with StatusLine(desk.status, desk.instruct):
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
        events = self.person.next_events
        self._shortest_s = min(options.shortest_s, (options.seconds or options.shortest_s) / 2)
        self._recorder = Recorder(
            options.out, options.user, events, note=options.note, shortest_s=self._shortest_s, lines=options.lines
        )
        self._ring = InstantReplay(options.out, options.user, options.keep_seconds, events, options.note, options.lines)
        self._background = BackgroundObserver(self._recorder)
        self._times = _FrameTimes(self._signal)
        self._advice = Advice(say, options.out, options.key_pause)
        self._watched: WatchedGame | None = None
        self._is_take_over = False
        self._facts: dict[str, float] = {}
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

    def status(self) -> str:
        """How it stands, for a line that is shown all the time."""
        times, free = self._times, ""
        with contextlib.suppress(OSError):
            free = f"{shutil.disk_usage(self.options.out).free / 1e9:.1f} GB free"
        trouble = self._watched and self._watched.trouble
        parts = [f"the window {trouble}" if trouble else self._recording.value]
        if self._recording is RecordingState.ON and not trouble:
            parts = [f"\N{BLACK CIRCLE} {parts[0]} {clock_time(times.take_ticks / self.game.fps)}"]
        parts.append(f"{counted(times.num_frames, 'frame')}")
        parts.append(f"{times.num_ticks - times.num_frames:,} dropped" if times.num_ticks > times.num_frames else "")
        left_s = self._left_s()
        parts.append("" if left_s is None else f"{clock_time(max(0.0, left_s))} left")
        return "  ".join(filter(None, (*parts, free)))

    def run(self, listener: Listener) -> None:
        """One stretch after the other."""
        wanted = self.options
        self.say(f"{wanted.key_record} starts and stops, {wanted.key_pause} pauses, Ctrl-C here ends it.")
        self.say(f"{wanted.key_discard} throws a recording away: the last one, or the one being made.")
        self.say(f"{wanted.key_success} and {wanted.key_failure} end it as a success or a failure.")
        self.say(f"{wanted.key_keep}: while it is stopped, keep the last {wanted.keep_seconds:g} s.")
        self.say(f"{wanted.key_instruction}, or a line typed here: another instruction. Sound is not recorded.")
        while not self._ended.is_set() and ((left_s := self._left_s()) is None or left_s > self._shortest_s):
            listener.check()
            state = self._recording
            if state is RecordingState.PAUSED:
                self._wait_while_paused(listener)
                continue
            observer = self._background if state is RecordingState.ON else BackgroundObserver(self._ring)
            observers = (*((self._times, self._advice) if state is RecordingState.ON else ()), observer)
            self._is_take_over, self._facts = False, {}
            watched = WatchedGame(self.game, self.person, lambda state=state: self._standing(state, listener))  # type: ignore[misc]
            self._watched = watched
            num_kept, num_takes = len(self._recorder.recordings), len(self._times.takes)
            session = Session(watched, self.person, observers, self.game.clock, self._instruction, source=self.person)
            self._session = session
            try:
                session.run_episode(0, left_s if state is RecordingState.ON else None)
            except Interrupted:
                continue
            finally:
                self.person.stop()
                if len(self._recorder.recordings) == num_kept:  # too short, or thrown away
                    del self._times.takes[num_takes:]

    def report(self, failure: BaseException | None = None) -> PersonReport:
        """The result so far."""
        times, seconds = self._times, self._times.num_ticks / self.game.fps
        deviation_ms = np.abs(
            np.concatenate([_deviations_ms(*each, self.game.fps) for each in times.takes] or [np.zeros(1)])
        )
        recordings = (*self._recorder.recordings, *self._ring.recordings)
        titles = self._recorder.titles | self._ring.titles
        return PersonReport(
            recordings=recordings,
            titles=tuple(titles.get(path, path.name) for path in recordings),
            set_aside=tuple(self._recorder.set_aside),
            num_short=self._recorder.num_short,
            num_frames=times.num_frames,
            num_dropped=times.num_ticks - times.num_frames,
            seconds=seconds,
            encoder_share=self._background.cpu_s / seconds if seconds else 0.0,
            deviation_ms=tuple(float(value) for value in np.percentile(deviation_ms, (50, 99, 100))),  # type: ignore[arg-type]
            near_share=float((deviation_ms <= _SHOWN_MS).mean()),
            times_ns=tuple(times_ns for _, times_ns in times.takes),
            failure=failure,
        )

    def _left_s(self) -> float | None:
        """Seconds of play that are still to be recorded."""
        wanted_s = self.options.seconds
        return None if wanted_s is None else wanted_s - self._times.num_ticks / self.game.fps

    def _standing(self, state: RecordingState, listener: Listener) -> Outcome:
        listener.check()
        is_over = self._recording is not state or self._is_take_over or self._ended.is_set()
        return Outcome(done=is_over, facts=self._facts)

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
            self.instruct(self._instructions[(index + 1) % len(self._instructions)])
        elif hotkey == "keep":
            if self._recording is RecordingState.WAITING:
                self._ring.keep()
                self.say(f"the last {self.options.keep_seconds:g} s are kept.")
            else:
                self.say(f"nothing is held to be kept: {self._recording.value}.")
        elif hotkey == "discard":
            self._throw_away()
        elif hotkey in ("success", "failure"):
            is_recorded = self._recording is RecordingState.ON and self._times.take_ticks > 0
            self.say(f"a {hotkey}." if is_recorded else f"nothing is recorded that could be a {hotkey}.")
            self._facts = {"success": float(hotkey == "success")}
            self._is_take_over = is_recorded
        elif hotkey == "pause" and self._recording is RecordingState.PAUSED:
            self._set(self._before_pause)
        elif hotkey == "pause":
            self._before_pause = self._recording
            self._set(RecordingState.PAUSED)
        else:
            self._set(RecordingState.WAITING if self._recording is RecordingState.ON else RecordingState.ON)

    def _throw_away(self) -> None:
        """This recording, or where none is being made the last one."""
        is_current = self._recording is RecordingState.ON and self._times.take_ticks > 0
        try:
            is_there = self._recorder.throw_away(is_current)
        except UserError as error:
            self.say(str(error))
            return
        this = "this recording" if is_current else "the last recording"
        self.say(f"{this} is thrown away." if is_there else "there is no recording to be thrown away.")
        self._is_take_over = is_current

    def _set(self, recording: RecordingState) -> None:
        with self._changed:
            self._recording = recording
            self._changed.notify_all()
        if recording is not RecordingState.ON:  # that is said when the first picture is there
            self.say(f"{recording.value}.")

    def instruct(self, instruction: str) -> None:
        """From now on this is what is done; it is one of those that the hotkey goes through."""
        if instruction not in self._instructions:
            self._instructions.append(instruction)
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
    """When the frames of every stretch were taken.

    Attributes:
        takes: of each, the ticks of its frames and their times in ns.
        take_ticks: ticks of the stretch that is being recorded; 0: none is.
    """

    def __init__(self, signal: Callable[[bool], None]) -> None:
        self.takes: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self.take_ticks = 0
        self._signal = signal
        self._ticks: list[tuple[int, int]] = []

    @property
    def num_frames(self) -> int:
        return sum(len(indices) for indices, _ in self.takes) + len(self._ticks)

    @property
    def num_ticks(self) -> int:
        return sum(int(indices[-1] - indices[0]) + 1 for indices, _ in self.takes) + self.take_ticks

    def on_start(self, start: EpisodeStart) -> None:
        self._ticks, self.take_ticks = [], 0

    def on_tick(self, tick: Tick) -> None:
        if not self._ticks:
            self._signal(True)
        self._ticks.append((tick.index, tick.frame.time_ns))
        self.take_ticks = tick.index - self._ticks[0][0] + 1

    def on_end(self, end: EpisodeEnd) -> None:
        if not self._ticks:
            return
        indices, times_ns = np.array(self._ticks, np.int64).T
        self._ticks, self.take_ticks = [], 0
        self.takes.append((indices, times_ns))
        self._signal(False)


def _deviations_ms(indices: NDArray[np.int64], times_ns: NDArray[np.int64], fps: float) -> NDArray[np.float64]:
    """How far the frames of a stretch are from the middle of their grid of ticks."""
    off_ms = (times_ns - times_ns[0]) / 1e6 - (indices - indices[0]) * 1e3 / fps
    return np.asarray(off_ms - np.median(off_ms))
