"""The base of games on a desktop: a window that is captured and played, and that the session waits for.

While the window has not the focus, is covered or minimised, everything is released and `observe` waits, so that the
session pauses; a window that is gone is a `UserError`. A score there is where a profile says how it is read.
Knows no window system: `games.desktop.x11` plays X11 windows, `games.desktop.portable` those of other systems.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.clock import FPS, Clock, SystemClock
from eyehand.desktop.window_query import WindowState
from eyehand.errors import GameEnded
from eyehand.frame import Frame
from eyehand.game import Listening, Outcome, TaskInfo
from eyehand.games.desktop.score import ScoreWatch
from eyehand.input_event import InputEvent
from eyehand.terminal import announce

__all__ = ["LOOK_S", "DesktopGame", "GameWindow"]

LOOK_S = 0.02


class GameWindow(Protocol):
    """A window with capture and injector; see `desktop.x11.played_window.PlayedWindow`."""

    def picture(self) -> NDArray[np.uint8] | WindowState:
        """The picture, uint8 RGB (height, width, 3) or BGRX (height, width, 4), or why there is none."""
        ...

    def do(self, action: Action) -> WindowState:
        """Inject an Action if the window is ready; release everything if it is not."""
        ...

    def release(self) -> None:
        """Release everything. Never raises."""
        ...

    def release_except(self, kept: frozenset[str]) -> None:
        """Release everything but these keys. Never raises; thread-safe."""
        ...

    def close(self) -> None:
        """Release everything and free the window. May be called twice."""
        ...


class DesktopGame(ABC):
    """What both kinds share: a `GameWindow` and the Game contract. Subclasses open the window in `reset`.

    Args:
        task: what there is to do.
        clock: stamps the pictures.
        say: told when the session pauses and goes on.

    Attributes:
        is_paused: whether `observe` waits for the window; may be read on any thread.
    """

    fps = FPS
    is_realtime = True
    state = None

    def __init__(self, task: TaskInfo, clock: Clock | None = None, say: Callable[[str], None] = announce) -> None:
        self.task = task
        self.clock: Clock = clock or SystemClock()
        self.say = say
        self.window: GameWindow | None = None
        self.is_paused = False
        self._index = 0
        self._start_ns = 0
        self._score: ScoreWatch | None = None
        self._newest: NDArray[np.uint8] | None = None

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Begin a round; the seed changes nothing, for the game rolls its own dice."""

    def observe(self) -> Frame:
        """The newest picture. Waits as long as the window is not ready.

        Raises:
            UserError: the window or the display is gone.
        """
        paused: WindowState | None = None
        while True:
            window = self._window()
            picture = window.picture()
            if not isinstance(picture, WindowState):
                self.is_paused = False
                if paused is not None:
                    self.say("the window has the focus again: going on.")
                frame = Frame(picture, self.clock.now_ns(), self._index)
                self._index += 1
                self._newest = picture
                return frame
            self.is_paused = True
            window.release()
            self.check_alive(picture)
            if self.window is not window:  # another one has come in its place
                continue
            if picture is not paused:
                self.say(f"paused, everything is released: the window {picture.value}; click into it to go on.")
                paused = picture
            time.sleep(LOOK_S)

    def act(self, action: Action) -> Action | None:
        """Hold and do this from now on; nothing if the window is not ready (it may have lost the focus since the
        picture)."""
        return None if self._window().do(action) is WindowState.READY else NOTHING

    def outcome(self) -> Outcome:
        """Over when the round's time is; the score as read in the newest picture."""
        seconds = (self.clock.now_ns() - self._start_ns) / 1e9
        done = self.window is not None and seconds >= self.task.time_limit_s
        if self._score is None or self._newest is None:
            return Outcome(done)
        return self._score.outcome(self._newest, done=done)

    def release(self) -> None:
        """Release everything. Never raises."""
        if self.window is not None:
            self.window.release()

    def release_except(self, kept: frozenset[str]) -> None:
        """Release everything but these keys. Never raises; thread-safe."""
        if (window := self.window) is not None:
            window.release_except(kept)

    @abstractmethod
    def listen(self, hear: Callable[[InputEvent], None]) -> Listening:
        """Call `hear` with every event of the desktop's keyboards and mice, until the result is closed."""

    def close(self) -> None:
        """Release everything and close the window's capture. May be called twice."""
        if self.window is not None:
            self.window.close()
            self.window = None

    def check_alive(self, state: WindowState) -> None:
        """Raise a UserError if there is nothing left to play. May open another window in place of one that is gone."""
        if state is WindowState.GONE:
            raise GameEnded("The window was closed: everything is released.")

    def begin(self) -> None:
        """The round begins: wait for its first picture."""
        self._index = 0
        self.observe()
        self._index = 0
        self._start_ns = self.clock.now_ns()

    def _window(self) -> GameWindow:
        if self.window is None:
            raise RuntimeError("call reset() before anything else")
        return self.window
