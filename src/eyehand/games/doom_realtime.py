"""Doom in real time: a thread plays one tic every 1/35 s on absolute deadlines, with whatever the hands hold then.

The engine stays synchronous, so real time has exactly the dynamics of stepped play: the motion of an Action is turned
once, spread over the tics of the next 1/20 s. (The engine's own asynchronous mode repeats a turn for as many tics as
happen to pass.) The engine works in its own process without Python's global lock, so the thread costs next to nothing.
"""

from __future__ import annotations

import threading

from eyehand.action import NOTHING, Action
from eyehand.clock import SECOND_NS, Clock, Lateness
from eyehand.games.doom_controls import TICKS_PER_SECOND, TICS_PER_SECOND
from eyehand.games.doom_episode import DoomEpisode, Moment

__all__ = ["RealTimePlay"]

_CATCH_UP_TICS = 4
"""As many missed tics are played at once, so that a stall of 0.1 s does not slow the game; more are left out."""

_NO_ANSWER_NS = 5 * SECOND_NS
"""An engine that takes this long for one tic is given up."""


class RealTimePlay:
    """Runs the episodes of one `DoomEpisode` by the clock. Every method may be called from any thread.

    Args:
        episode: what to play; nobody else touches it between `start` and `stop`.
        clock: the clock to run by.

    Attributes:
        lateness: how long after its deadline each tic was finished, for the episode that runs or ran last.
    """

    def __init__(self, episode: DoomEpisode, clock: Clock) -> None:
        self._episode = episode
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopped = threading.Event()
        self._pending = NOTHING
        self._pending_until_ns = 0
        self._moment: Moment | None = None
        self._error: Exception | None = None
        self._busy_since_ns = 0
        self.lateness = Lateness()

    def start(self, moment: Moment) -> None:
        """Let time run from this moment on."""
        self.lateness = Lateness()
        self._is_stopped.clear()
        self._pending, self._error, self._moment, self._busy_since_ns = NOTHING, None, moment, 0
        self._thread = threading.Thread(target=self._run, name="doom", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Stand still. May be called twice.

        Returns:
            Whether the thread has ended. An engine that was killed in the middle of a tic never answers again.
        """
        self._is_stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=_NO_ANSWER_NS / SECOND_NS)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True

    def hold(self, action: Action) -> None:
        """The hands hold this from the next tic on; its motion is added to what is still to be turned."""
        with self._lock:
            self._pending = self._pending.then(action)
            self._pending_until_ns = self._clock.now_ns() + SECOND_NS // TICKS_PER_SECOND

    def newest(self) -> Moment:
        """The newest moment.

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
        try:
            start_ns, tic = self._clock.now_ns(), 0
            while not self._is_stopped.is_set():
                tic += 1
                deadline_ns = start_ns + tic * SECOND_NS // TICS_PER_SECOND
                self._clock.wait_until(deadline_ns)
                if self._is_stopped.is_set() or self._play_tic(deadline_ns):
                    return
                missed = (self._clock.now_ns() - start_ns) * TICS_PER_SECOND // SECOND_NS - tic
                if missed > _CATCH_UP_TICS:
                    self.lateness.num_skipped += missed
                    tic += missed
        except Exception as error:
            with self._lock:
                self._error = error

    def _play_tic(self, deadline_ns: int) -> bool:
        """Play the tic that is due; whether the episode is over."""
        with self._lock:
            action, until_ns = self._pending, self._pending_until_ns
            self._pending = action.held()
        self._episode.hold(action)
        num_left = max(1, -(-(until_ns - deadline_ns) * TICS_PER_SECOND // SECOND_NS))
        self._busy_since_ns = self._clock.now_ns()
        moment = self._episode.advance(1, spread=num_left)
        self._busy_since_ns = 0
        self.lateness.late_ns.append(self._clock.now_ns() - deadline_ns)
        with self._lock:
            self._moment = moment
        return moment.outcome.done
