"""`WatchedGame`: a desktop game that a person plays, as a `Game` without injected input.

An episode is one stretch in which the game's window has the focus all the time. When it loses it `observe` raises
`Interrupted`, so that no input for other windows is recorded; the next episode begins when the window has the focus
again. The game runs on from one episode to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from eyehand.action import Action
from eyehand.desktop.x11.windows import WindowState
from eyehand.frame import Frame
from eyehand.game import Outcome
from eyehand.games.desktop.x11 import X11Game
from eyehand.players.human import HumanPlayer

__all__ = ["Interrupted", "WatchedGame"]


_LOOK_S = 0.02


class Interrupted(Exception):  # noqa: N818 - no error: the person went elsewhere
    """The window lost the focus: this stretch of play is over."""


class WatchedGame:
    """A `Game` for a Session with a `HumanPlayer`.

    Args:
        game: begun already (`reset`); the caller closes it.
        person: told when the first picture was taken.
        is_over: asked in every tick whether the stretch is to end.
    """

    is_realtime = True
    state = None

    def __init__(self, game: X11Game, person: HumanPlayer, is_over: Callable[[], bool]) -> None:
        self.task, self.fps = game.task, game.fps
        self._game = game
        self._person = person
        self._is_over = is_over
        self._index = 0

    def reset(self, seed: int) -> None:
        """Wait until the window has the focus.

        Raises:
            Interrupted: the stretch is over before it has begun.
            UserError: the window is gone, or the display.
        """
        window = self._game.window
        assert window is not None, "the game was begun"
        told: WindowState | None = None
        while (state := window.state()) is not WindowState.READY:
            self._game.check_alive(state)
            if self._is_over():
                raise Interrupted
            if state is not told:
                self._game.say(f"nothing is recorded: the window {state.value}; click into it to go on.")
                told = state
            time.sleep(_LOOK_S)
        window.watch.lost_focus()
        self._index = 0

    def observe(self) -> Frame:
        """The newest picture.

        Raises:
            Interrupted: the window has lost the focus since the last one.
            UserError: it is gone, or the display.
        """
        window = self._game.window
        assert window is not None, "the game was begun"
        picture = window.picture()
        if isinstance(picture, WindowState):
            self._game.check_alive(picture)
            raise Interrupted
        if window.watch.lost_focus():
            raise Interrupted
        frame = Frame(picture, self._game.clock.now_ns(), self._index)
        if self._index == 0:
            self._person.start_at(frame.time_ns)
        self._index += 1
        return frame

    def act(self, action: Action) -> None:
        """The person acts, not we."""

    def outcome(self) -> Outcome:
        return Outcome(done=self._is_over())

    def release(self) -> None:
        """Nothing is held by us."""

    def close(self) -> None:
        """The game is closed by who opened it."""
