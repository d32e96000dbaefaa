"""`SharedGame`: a real-time game that an agent and a person play in turns; `Takeover` decides whose action is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eyehand.action import Action
from eyehand.clock import Clock, SystemClock
from eyehand.frame import Frame
from eyehand.game import Game, Listening, Outcome
from eyehand.players.takeover import Takeover

__all__ = ["SharedGame"]


class SharedGame:
    """A real-time Game that an agent and a person play in turns.

    Args:
        game: the game itself; it is closed with this one.
        takeover: decides whose actions are carried out.
        listen: begins to hear the person; called when the first episode begins, for its window is there then. None: the
            game's own keyboard and mouse cannot be heard.
        looked: called with every picture.
        clock: of the person's events.
    """

    def __init__(
        self,
        game: Game,
        takeover: Takeover,
        listen: Callable[[], Listening] | None = None,
        looked: Callable[[Frame], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self._game = game
        self._takeover = takeover
        self._listen = listen
        self._listener: Listening | None = None
        self._looked: Callable[[Frame], None] = looked
        self._clock: Clock = clock or SystemClock()
        self.task, self.fps, self.is_realtime = game.task, game.fps, game.is_realtime
        takeover.release_except = self._release_except
        takeover.is_rated = bool(getattr(game, "is_rated", False))
        takeover.is_paused = lambda: bool(getattr(game, "is_paused", False))

    @property
    def state(self) -> Any:
        return self._game.state

    def reset(self, seed: int) -> None:
        """Begin an episode. What the person does until it has begun is not for the game."""
        self._takeover.is_playing = False
        self._game.reset(seed)
        if self._listener is None and self._listen is not None:
            self._listener = self._listen()

    def observe(self) -> Frame:
        """The newest picture.

        Raises:
            UserError: the game or its window is gone, or the person cannot be heard any more: then nobody could take
                over or press the panic key.
        """
        if self._listener is not None:
            self._listener.check()
        frame = self._game.observe()
        self._looked(frame)
        return frame

    def act(self, action: Action) -> Action | None:
        """Execute the action that `Takeover.carry_out` chooses."""
        with self._takeover.lock:
            wanted = self._takeover.carry_out(action, self._clock.now_ns())
            done = self._game.act(wanted)
            done = wanted if done is None else done
            self._takeover.note_done(done)
            return done

    def outcome(self) -> Outcome:
        """The game's; its score are the person's thumbs where its profile says so."""
        outcome = self._game.outcome()
        return replace(outcome, score=float(self._takeover.thumbs)) if self._takeover.is_rated else outcome

    def release(self) -> None:
        with self._takeover.lock:
            self._game.release()

    def close(self) -> None:
        with self._takeover.lock:
            self._game.close()

    def _release_except(self, kept: frozenset[str]) -> None:
        """Release everything but these keys. Called with the lock held, on the thread of the person's event."""
        release_except = getattr(self._game, "release_except", None)
        if kept and release_except is not None:
            release_except(kept)
        else:
            self._game.release()
