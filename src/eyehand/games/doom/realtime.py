"""Doom in real time: a thread plays the tics of every 1/20 s on absolute deadlines, with the input held then.

Time is cut as in stepped play (2, 2, 2, 1 tics to a tick), and the first look at a new episode starts it, so that the
ticks of a session that looks once a tick are the ticks of the game: a player that answers in time plays the very game
that it plays stepped, in which it was trained. The engine stays synchronous: the motion of an Action is turned once.
(The engine's own asynchronous mode repeats a turn for as many tics as happen to pass.) It works in its own process
without Python's global lock, so the thread costs next to nothing.
"""

from __future__ import annotations

import threading

from eyehand.action import NOTHING, Action
from eyehand.clock import SECOND_NS, STALE_AFTER_S, Clock
from eyehand.games.doom.controls import TICKS_PER_SECOND, tics_of_tick
from eyehand.games.doom.episode import DoomEpisode, Moment

__all__ = ["RealTimePlay"]

_TICK_NS = SECOND_NS // TICKS_PER_SECOND

_LEAD_NS = 4_000_000
"""A tick's last tic is played so long before the tick ends, so that its picture is there when somebody looks."""

_CATCH_UP_TICKS = 2
"""As many missed ticks are played at once, so that a stall of 0.1 s does not slow the game; more are left out."""

_NO_ANSWER_NS = 5 * SECOND_NS
"""An engine that takes this long for one tic is given up."""


class RealTimePlay:
    """Runs the episodes of one `DoomEpisode` by the clock. Every method may be called from any thread.

    Args:
        episode: used by this object alone between `start` and `stop`.
        clock: the clock to run by.
    """

    def __init__(self, episode: DoomEpisode, clock: Clock) -> None:
        self._episode = episode
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopped = threading.Event()
        self._pending = NOTHING
        self._held_ns = 0
        self._start_ns = 0
        self._is_begun = threading.Event()
        self._moment: Moment | None = None
        self._error: Exception | None = None
        self._busy_since_ns = 0

    def start(self, moment: Moment) -> None:
        """Begin an episode at this Moment; its time starts with the first `look`."""
        self._is_stopped.clear()
        self._is_begun.clear()
        self._pending, self._error, self._moment, self._busy_since_ns = NOTHING, None, moment, 0
        self._thread = threading.Thread(target=self._run, name="doom", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Stop the thread. May be called twice.

        Returns:
            Whether the thread has ended. An engine that was killed in the middle of a tic never answers again.
        """
        self._is_stopped.set()
        self._is_begun.set()
        if self._thread is not None:
            self._thread.join(timeout=_NO_ANSWER_NS / SECOND_NS)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def hold(self, action: Action) -> None:
        """Hold an Action from the next tic on, for `STALE_AFTER_S` at most; its motion is spread over the rest of the
        tick."""
        with self._lock:
            self._held_ns = self._clock.now_ns()
            self._pending = self._pending.then(action)

    def look(self) -> Moment:
        """The newest Moment; the first look at an episode starts its time.

        Raises:
            RuntimeError: as `newest`.
        """
        moment = self.newest()
        if not self._is_begun.is_set():
            self._start_ns = self._clock.now_ns()
            self._is_begun.set()
        return moment

    def newest(self) -> Moment:
        """The newest Moment.

        Raises:
            RuntimeError: nothing was started yet, or the engine failed.
        """
        with self._lock:
            if self._error is not None:
                raise RuntimeError("the Doom engine failed") from self._error
            if self._moment is None:
                raise RuntimeError("call reset() before anything else")
            if self._busy_since_ns and self._clock.now_ns() - self._busy_since_ns > _NO_ANSWER_NS:
                raise RuntimeError("the Doom engine failed: it does not answer")
            return self._moment

    def _run(self) -> None:
        self._is_begun.wait()
        try:
            tick = 0
            while not self._is_stopped.is_set() and not self._play_tick(tick):
                tick += 1
                missed = (self._clock.now_ns() - self._start_ns) // _TICK_NS - tick
                if missed > _CATCH_UP_TICKS:
                    tick += missed
        except Exception as error:
            with self._lock:
                self._error = error

    def _play_tick(self, tick: int) -> bool:
        """Play the tics of a tick, each when it is due; whether the episode is over."""
        num_tics = tics_of_tick(tick)
        for tic in range(num_tics):
            deadline_ns = self._start_ns + (tick * num_tics + tic + 1) * _TICK_NS // num_tics - _LEAD_NS
            self._clock.wait_until(deadline_ns)
            if self._is_stopped.is_set():
                return True
            with self._lock:
                if self._clock.now_ns() - self._held_ns > STALE_AFTER_S * SECOND_NS:
                    self._pending = NOTHING
                action, self._pending = self._pending, self._pending.held()
            num_left = num_tics - tic
            self._episode.hold(action)
            self._busy_since_ns = self._clock.now_ns()
            moment = self._episode.advance(1, spread=num_left, draw=num_left == 1)
            self._busy_since_ns = 0
            with self._lock:
                self._moment = moment
            if moment.outcome.done:
                return True
        return False
