"""`WatchedGame`: a desktop game that a person plays, as a `Game` without injected input.

An episode is one stretch in which the game's window has the focus all the time, is seen whole and keeps its size. When
that ends `observe` raises `Interrupted`, so that no input for other windows, no black part and no squeezed picture is
recorded; the next episode begins when the window is there again. The game runs on from one episode to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.desktop.x11.windows import WindowState
from eyehand.frame import Frame
from eyehand.game import Outcome
from eyehand.games.desktop.x11 import X11Game
from eyehand.players.human import HumanPlayer

__all__ = ["Interrupted", "WatchedGame"]


_LOOK_S = 0.02


class Interrupted(Exception):  # noqa: N818 - no error: the person went elsewhere
    """The window lost the focus, is not seen whole any more or has another size: this stretch of play is over."""


class WatchedGame:
    """A `Game` for a Session with a `HumanPlayer`.

    Args:
        game: begun already (`reset`); the caller closes it.
        person: told when the first picture was taken.
        ask: how the stretch stands, asked in every tick.

    Attributes:
        trouble: why nothing is recorded now, as what follows "the window"; None: it is. May be read on any thread.
    """

    is_realtime = True
    state = None

    def __init__(self, game: X11Game, person: HumanPlayer, ask: Callable[[], Outcome]) -> None:
        self.task, self.fps = game.task, game.fps
        self.trouble: str | None = None
        self._game = game
        self._person = person
        self._ask = ask
        self._index = 0
        self._shape: tuple[int, ...] = ()

    def reset(self, seed: int) -> None:
        """Wait until the window has the focus and is seen whole.

        Raises:
            Interrupted: the stretch is over before it has begun.
            UserError: the window is gone, or the display.
        """
        window = self._game.window
        assert window is not None, "the game was begun"
        told: str | None = None
        while isinstance(picture := self._whole_picture(), str):
            if self._ask().done:
                raise Interrupted
            if picture != told:
                self.trouble = told = picture
                self._game.say(f"nothing is recorded: the window {picture}.")
            time.sleep(_LOOK_S)
        self.trouble = None
        window.watch.lost_focus()
        self._index, self._shape = 0, picture.shape

    def observe(self) -> Frame:
        """The newest picture.

        Raises:
            Interrupted: the window has lost the focus since the last one, is not seen whole, or has another size.
            UserError: it is gone, or the display.
        """
        window = self._game.window
        assert window is not None, "the game was begun"
        picture = self._whole_picture()
        if isinstance(picture, str) or window.watch.lost_focus():
            raise Interrupted
        if picture.shape != self._shape:
            height, width = picture.shape[:2]
            self._game.say(f"the window is {width}x{height} now: a new recording begins.")
            raise Interrupted
        frame = Frame(picture, self._game.clock.now_ns(), self._index)
        if self._index == 0:
            self._person.start_at(frame.time_ns)
        self._index += 1
        return frame

    def act(self, action: Action) -> None:
        """The person acts, not we."""

    def outcome(self) -> Outcome:
        return self._ask()

    def release(self) -> None:
        """Nothing is held by us."""

    def close(self) -> None:
        """The game is closed by who opened it."""

    def _whole_picture(self) -> NDArray[np.uint8] | str:
        """The picture, or why it is not to be recorded."""
        window = self._game.window
        assert window is not None, "the game was begun"
        picture = window.picture()
        if isinstance(picture, WindowState):
            self._game.check_alive(picture)
            return f"{picture.value}; click into it to go on"
        return window.flaw or picture
