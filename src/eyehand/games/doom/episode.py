"""Doom episodes on one engine, in tics: Actions in, Moments out. Shared by stepped and real-time play.

A `Moment` is the picture, privileged state and outcome of one tic. Knows nothing about ticks or waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from eyehand.action import NOTHING, Action
from eyehand.clock import Clock
from eyehand.frame import Frame
from eyehand.game import Outcome
from eyehand.games.doom.controls import LOOK, TICKS_PER_SECOND, TICS_PER_SECOND, TURN, AngleMotion, held_buttons
from eyehand.games.doom.engine import DoomEngine
from eyehand.games.doom.scores import DoomFacts, Score
from eyehand.games.doom.state import DoomState
from eyehand.games.doom.tasks import DoomTask

__all__ = ["DoomEpisode", "Moment"]


@dataclass(frozen=True, slots=True)
class Moment:
    """The picture, the privileged state and the outcome of one tic."""

    frame: Frame
    state: DoomState | None
    outcome: Outcome


class DoomEpisode:
    """Plays a task on an engine, tic by tic.

    Args:
        task: level and score.
        engine: an engine for this task.
        with_state: capture the state with every picture.
        clock: stamps the pictures.
    """

    def __init__(self, task: DoomTask, engine: DoomEngine, *, with_state: bool, clock: Clock) -> None:
        self._task = task
        self._engine = engine
        self._with_state = with_state
        self._clock = clock
        self._tics = 0
        self._start: DoomFacts
        self._scorer: Score

    def begin(self, seed: int) -> Moment:
        """Start an episode; returns its first Moment."""
        self._engine.begin(seed)
        self._tics = 0
        self._buttons = held_buttons(NOTHING)
        self._turn, self._look = AngleMotion(), AngleMotion()
        self._start = self._engine.facts(0.0)
        self._scorer = self._task.scorer(self._start, self._task)
        self._moment = self._capture(self._start, index=0)
        return self._moment

    def hold(self, action: Action) -> None:
        """Hold an Action from now on; its motion is added to the remaining turn."""
        self._buttons = held_buttons(action)
        self._turn.add(action.dx)
        if self._task.is_free_look:
            self._look.add(action.dy)

    def advance(self, num_tics: int, *, spread: int, draw: bool = True) -> Moment:
        """Play `num_tics` tics, with the remaining motion spread evenly over the next `spread` tics.

        Without `draw` the Moment is the last one, unless the episode ends. No effect after its end.
        """
        if self._moment.outcome.done:
            return self._moment
        for tic in range(num_tics):
            share = max(1, spread - tic)
            buttons = list(self._buttons)
            buttons[TURN] = self._turn.take(share)
            buttons[LOOK] = self._look.take(share)
            self._engine.advance(buttons, draw=draw and tic == num_tics - 1)
            self._tics += 1
            if self._engine.is_over:
                break
        if not draw and not self._engine.is_over:
            return self._moment
        facts = self._engine.facts(self._tics / TICS_PER_SECOND)
        self._scorer.update(facts)
        self._moment = self._capture(facts, self._moment.frame.index + 1)
        return self._moment

    def _capture(self, facts: DoomFacts, index: int) -> Moment:
        is_over = self._engine.is_over
        is_late = self._tics >= self._task.time_limit_s * TICS_PER_SECOND
        outcome = Outcome(
            done=is_over or is_late or self._scorer.is_won,
            score=self._scorer.value,
            facts={
                "seconds": facts.seconds,
                "health": max(0.0, facts.health),
                "ammo": max(0.0, facts.ammo),
                "kills": facts.kills - self._start.kills,
                "deaths": facts.deaths - self._start.deaths,
                **self._scorer.facts,
            },
        )
        if is_over and index > 0:
            # The engine draws nothing once a level is over: the last picture stays, as it does for a person.
            frame = Frame(self._moment.frame.pixels, self._clock.now_ns(), index)
            state = self._moment.state
            return Moment(frame, None if state is None else replace(state, is_dead=facts.is_dead), outcome)
        frame = Frame(self._engine.picture(), self._clock.now_ns(), index)
        tick = self._tics * TICKS_PER_SECOND // TICS_PER_SECOND
        return Moment(frame, self._engine.state(tick, facts, self._start) if self._with_state else None, outcome)
