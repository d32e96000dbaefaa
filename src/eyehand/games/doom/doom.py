"""Doom as a Game: 20 ticks a second over an engine of 35 tics a second, stepped or in real time.

Stepped, each `act` advances one tick (2, 2, 2, 1, ... tics), and one seed gives one episode, picture by picture. In
real time a `RealTimePlay` runs the very same tics on the clock, `observe` gives the newest picture, and `act` changes
the held input. Key bindings are in `controls`, tasks in `tasks`, the engine in `engine`.
"""

from __future__ import annotations

import contextlib

from eyehand.action import NOTHING, Action
from eyehand.clock import Clock, SystemClock
from eyehand.frame import Frame
from eyehand.game import Outcome
from eyehand.games.doom.controls import TICKS_PER_SECOND, tics_of_tick
from eyehand.games.doom.engine import DoomEngine
from eyehand.games.doom.episode import DoomEpisode, Moment
from eyehand.games.doom.realtime import RealTimePlay
from eyehand.games.doom.state import DoomState
from eyehand.games.doom.tasks import DoomTask

__all__ = ["DoomGame"]


class DoomGame:
    """A Doom task as a Game. The engine starts with the first `reset`.

    Args:
        task: level, instructions and score.
        realtime: run on by the clock instead of waiting for `act`.
        visible: show the engine's window.
        with_state: provide `state` (slower; the pictures are the same).
        screen: width and height of the picture in pixels.
        clock: the clock of real time, which also stamps the pictures.

    Raises:
        UserError: vizdoom is not installed, or it cannot draw pictures of this size.
    """

    def __init__(
        self,
        task: DoomTask,
        *,
        realtime: bool = False,
        visible: bool = False,
        with_state: bool = False,
        screen: tuple[int, int] = (320, 240),
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.task = task.info
        self.fps = float(TICKS_PER_SECOND)
        self.is_realtime = realtime
        self._engine = DoomEngine(task, visible=visible, with_state=with_state, screen=screen)
        self._episode = DoomEpisode(task, self._engine, with_state=with_state, clock=clock)
        self._play = RealTimePlay(self._episode, clock) if realtime else None
        self._tick = 0
        self._moment: Moment | None = None

    @property
    def state(self) -> DoomState | None:
        """The privileged state of the last picture that `observe` gave; None without `with_state`."""
        return None if self._moment is None else self._moment.state

    def reset(self, seed: int) -> None:
        """Begin an episode with nothing held."""
        if self._play is not None and not self._play.stop():
            raise RuntimeError("the Doom engine failed: it does not answer")
        self._tick = 0
        self._moment = self._episode.begin(seed)
        if self._play is not None:
            self._play.start(self._moment)

    def observe(self) -> Frame:
        """The newest picture."""
        if self._play is not None:
            self._moment = self._play.look()
        return self._current().frame

    def act(self, action: Action) -> None:
        """Execute an Action; stepped, for one tick. No effect once the episode is over."""
        if self._play is not None:
            self._play.hold(action)
        elif not self._current().outcome.done:
            num_tics = tics_of_tick(self._tick)
            self._tick += 1
            self._episode.hold(action)
            self._moment = self._episode.advance(num_tics, spread=num_tics)

    def outcome(self) -> Outcome:
        """Whether the episode is over, and its score."""
        return self._current().outcome if self._play is None else self._play.newest().outcome

    def release(self) -> None:
        """Release all input. A no-op in a stepped game, in which input lasts for its tick only."""
        if self._play is not None:
            with contextlib.suppress(Exception):
                self._play.hold(NOTHING)

    def close(self) -> None:
        """End the engine. May be called twice, and at any time."""
        if self._play is None or self._play.stop():
            self._engine.close()
        else:
            self._engine.abandon()

    def _current(self) -> Moment:
        if self._moment is None:
            raise RuntimeError("call reset() before anything else")
        return self._moment
