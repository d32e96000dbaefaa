"""A stepped game that a clock steps: `PacedGame` plays in real time what waits for its player by itself."""

from __future__ import annotations

from typing import Any

from eyehand.action import NOTHING, Action
from eyehand.clock import SECOND_NS, Clock, SystemClock
from eyehand.frame import Frame
from eyehand.game import Game, Outcome

__all__ = ["PacedGame"]

_CATCH_UP_TICKS = 3
"""As many missed ticks are played at once; of a longer stall the rest is left out."""


class PacedGame:
    """A real-time `Game`. Each look at it first plays the ticks that are due, with what is held then.

    A session looks once a tick, so that a player that answers in time plays the very game that it plays stepped. Looks
    need not be exact: a tick counts as due half a tick early.

    Args:
        game: a stepped one, closed with this.
        clock: the clock to run by, which also stamps the pictures.
    """

    is_realtime = True

    def __init__(self, game: Game, clock: Clock | None = None) -> None:
        self.task, self.fps = game.task, game.fps
        self._game = game
        self._clock: Clock = clock or SystemClock()
        self._pending = NOTHING
        self._start_ns: int | None = None
        self._tick = 0

    @property
    def state(self) -> Any:
        return self._game.state

    def reset(self, seed: int) -> None:
        """Begin an episode; its time runs from the first look on."""
        self._game.reset(seed)
        self._pending, self._start_ns, self._tick = NOTHING, None, 0

    def observe(self) -> Frame:
        """The newest picture."""
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns
        due = round((now_ns - self._start_ns) * self.fps / SECOND_NS)
        self._tick = max(self._tick, due - _CATCH_UP_TICKS)
        while self._tick < due:
            action, self._pending = self._pending, self._pending.held()
            self._game.act(action)
            self._tick += 1
        return Frame(self._game.observe().pixels, self._clock.now_ns(), self._tick)

    def act(self, action: Action) -> None:
        """Hold and do this from the next tick on."""
        self._pending = self._pending.then(action)

    def outcome(self) -> Outcome:
        return self._game.outcome()

    def release(self) -> None:
        self._pending = NOTHING
        self._game.release()

    def close(self) -> None:
        self._game.close()
