"""The one loop: game x player x observers x clock. Recording, live play, evaluation and takeover are all Sessions.

    frame -> Observation(frame, instruction, executed) -> player -> Decision -> game.act -> observers

In a stepped game the loop waits for the player, so every frame gets its action. In a real-time game it never does:
the player decides on a thread of its own and always on the newest frame. A decision that comes one tick late is still
executed, for a player that is a little too slow would otherwise not move at all; a later one is dropped. Until the next
one the held state stays, without motion, and is released after `stale_after_s`. Keys are released on every way out,
before anything is waited for. Every episode has a thread and a mailbox of its own, so that a decision which comes after
its episode reaches no game. Knows no game, no player, no file format.

Where a person can act beside the player, the action executed between two pictures is known only when the second one
was captured. An `ExecutedActionSource` then gives it, and observers get a tick at the beginning of the next.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from eyehand.action import NOTHING, Action
from eyehand.clock import Clock, SystemClock, Ticks
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Game, Outcome, TaskInfo
from eyehand.player import Decision, Observation, Player

__all__ = ["EpisodeEnd", "EpisodeStart", "ExecutedActionSource", "Observer", "Session", "Tick"]

_PATIENCE_S = 2.0
"""How long a player is waited for when its episode is over."""

_HUNG_S = 30.0
"""How long it is waited for before another episode begins: it may be loading, or very slow."""


@dataclass(frozen=True, slots=True)
class EpisodeStart:
    """The facts of an episode at its start, for observers."""

    task: TaskInfo
    seed: int
    instruction: str | None
    fps: float
    is_realtime: bool
    start_ns: int


@dataclass(frozen=True, slots=True)
class Tick:
    """One iteration of the loop, for observers: a frame and the action executed on it.

    Attributes:
        index: number of the tick in the episode; gaps are ticks that the loop missed.
        frame: the observed picture.
        instruction: at this tick; None: none.
        decision: the player's last decision executed in this tick, on this frame or, late, on the one before; None:
            none was.
        executed: the action executed between this frame and the next.
        outcome: of the episode so far, after the tick.
        late_ns: how long after its deadline the tick began.
        latency_ms: from the capture of the frame to the end of `game.act`; None where the decision on this frame did
            not come within the tick, and in a stepped game.
        is_late: the game is real-time, and that decision did not come within the tick.
    """

    index: int
    frame: Frame
    instruction: str | None
    decision: Decision | None
    executed: Action
    outcome: Outcome
    late_ns: int = 0
    latency_ms: float | None = None
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class EpisodeEnd:
    """The result of an episode.

    Attributes:
        outcome: at the end.
        num_ticks: ticks with an observed frame.
        num_late: of these, ticks whose decision did not come within the tick.
        num_dropped: decisions that came too late to be executed at all.
        num_skipped: ticks that the loop itself missed.
        seconds: game time for a stepped game, wall time for a real-time one.
        is_aborted: ended by an error or by Ctrl-C.
    """

    outcome: Outcome
    num_ticks: int
    num_late: int
    num_dropped: int
    num_skipped: int
    seconds: float
    is_aborted: bool


class Observer(Protocol):
    """Receives the start, ticks and end of every episode of a Session, on the thread of the loop."""

    def on_start(self, start: EpisodeStart) -> None: ...

    def on_tick(self, tick: Tick) -> None: ...

    def on_end(self, end: EpisodeEnd) -> None:
        """Called once for every `on_start`, also after an error."""
        ...


class ExecutedActionSource(Protocol):
    """Gives the actions of a person whose input reaches the game without passing through the Session."""

    def executed_action(
        self, decision: Decision | None, executed: Action, until_ns: int
    ) -> tuple[Decision | None, Action]:
        """The decision and the executed action of the tick that ends now, the person's included.

        Args:
            decision: the player's, executed by the Session; None: none was.
            executed: the action executed by the Session.
            until_ns: capture time of the next picture; later input belongs to the next tick.
        """
        ...


class Session:
    """Runs episodes of a player in a game.

    Args:
        game: stepped or real-time; the caller closes it.
        player: chooses the actions.
        observers: called in this order.
        clock: what a real-time loop waits on.
        instruction: may be changed at any tick by assigning to `session.instruction`.
        stale_after_s: in a real-time game, how long keys stay held when no decision comes.
        source: in a real-time game, asked at the end of every tick for the executed action.
    """

    def __init__(
        self,
        game: Game,
        player: Player,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        instruction: str | None = None,
        stale_after_s: float = 0.25,
        source: ExecutedActionSource | None = None,
    ) -> None:
        self.game = game
        self.player = player
        self.observers = tuple(observers)
        self.clock: Clock = clock or SystemClock()
        self.instruction = instruction
        self.stale_after_s = stale_after_s
        self.source = source
        self.thinking: threading.Thread | None = None

    def run_episode(self, seed: int, max_seconds: float | None = None) -> EpisodeEnd:
        """Play from a reset until the episode is done or `max_seconds` (of game time) have passed.

        Raises:
            UserError: the player is still busy with a picture of the episode before.
        """
        if self.thinking is not None:
            self.thinking.join(_HUNG_S)
            if self.thinking.is_alive():
                raise UserError(
                    f"The player has hung for {_HUNG_S:g} s over a picture of the episode before: play again, with a "
                    "faster --runtime or a smaller checkpoint if it is only slow."
                )
        self.game.reset(seed)
        self.player.reset(seed)
        start = EpisodeStart(
            self.game.task, seed, self.instruction, self.game.fps, self.game.is_realtime, self.clock.now_ns()
        )
        max_ticks = None if max_seconds is None else max(1, round(max_seconds * self.game.fps))
        loop = _RealTimeLoop(self, max_ticks) if self.game.is_realtime else _SteppedLoop(self, max_ticks)
        started: list[Observer] = []
        is_aborted = True
        try:
            _call_all([lambda: self._run(loop, start, started), self.game.release])
            is_aborted = False
        finally:
            end = loop.end(is_aborted)
            _call_all([partial(observer.on_end, end) for observer in started])
        return end

    def _run(self, loop: _SteppedLoop | _RealTimeLoop, start: EpisodeStart, started: list[Observer]) -> None:
        """Run the loop; `started` gets the observers that are to be told of its end."""
        for observer in self.observers:
            started.append(observer)
            observer.on_start(start)
        loop.run()


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    """Call all of them, even if one fails; the first failure is raised afterwards."""
    failure: BaseException | None = None
    for call in calls:
        try:
            call()
        except BaseException as error:  # keys are released and files closed whatever happened before
            failure = failure or error
    if failure is not None:
        raise failure


class _SteppedLoop:
    """The loop of an episode in a stepped game, which waits for the player."""

    def __init__(self, session: Session, max_ticks: int | None) -> None:
        self.session = session
        self.max_ticks = max_ticks
        self.num_ticks = 0
        self.outcome = session.game.outcome()

    def run(self) -> None:
        session, game = self.session, self.session.game
        executed = NOTHING
        while not self.outcome.done and (self.max_ticks is None or self.num_ticks < self.max_ticks):
            frame = game.observe()
            instruction = session.instruction
            decision = session.player.act(Observation(frame, instruction, executed))
            done = game.act(decision.action)
            executed = decision.action if done is None else done
            self.outcome = game.outcome()
            tick = Tick(self.num_ticks, frame, instruction, decision, executed, self.outcome)
            self.num_ticks += 1
            for observer in session.observers:
                observer.on_tick(tick)

    def end(self, is_aborted: bool) -> EpisodeEnd:
        return EpisodeEnd(self.outcome, self.num_ticks, 0, 0, 0, self.num_ticks / self.session.game.fps, is_aborted)


class _RealTimeLoop:
    """The loop of an episode in a real-time game, with the player on a thread of its own."""

    def __init__(self, session: Session, max_ticks: int | None) -> None:
        self.session = session
        self.max_ticks = max_ticks
        self.outcome = session.game.outcome()
        self.num_ticks = 0
        self.num_late = 0
        self.num_dropped = 0
        self.ticks = Ticks(session.clock, session.game.fps)
        self.last_tick = -1
        self.held = NOTHING
        self.executed = NOTHING
        self.unfinished: Tick | None = None
        self.decided_ns = session.clock.now_ns()

    def run(self) -> None:
        with _Thinker(self.session.player, self.session.clock) as thinker:
            self.session.thinking = thinker.thread
            self.ticks = Ticks(self.session.clock, self.session.game.fps)
            try:
                while not self.outcome.done:
                    index = self.ticks.wait()
                    if self.max_ticks is not None and index >= self.max_ticks:
                        break
                    self.last_tick = index
                    self._tick(index, thinker)
            finally:
                with contextlib.suppress(Exception):  # it is released once more at the end, which raises
                    self.session.game.release()  # first: a player that hangs and a slow observer take their time
                self.num_dropped += thinker.num_replaced
                self._tell(self._finished(self.session.clock.now_ns()))

    def _tick(self, index: int, thinker: _Thinker) -> None:
        session, game, clock = self.session, self.session.game, self.session.clock
        late_ns = self.ticks.late_ns
        frame, instruction = game.observe(), session.instruction
        before = self._finished(frame.time_ns)
        thinker.offer(index, Observation(frame, instruction, self.executed))
        self._tell(before)
        decision: Decision | None = None
        executed: Action | None = None
        latency_ms: float | None = None
        while latency_ms is None:
            answer = thinker.next_decision(self.ticks.deadline_ns(index + 1))
            if answer is None:
                break
            decided_on, decision_on_it = answer
            if decided_on < index - 1:
                self.num_dropped += 1
                continue
            decision = decision_on_it
            done = game.act(decision.action)
            done = decision.action if done is None else done
            executed = done if executed is None else executed.then(done)
            self.decided_ns = clock.now_ns()
            if decided_on == index:
                latency_ms = (self.decided_ns - frame.time_ns) / 1e6
        is_late = latency_ms is None
        self.num_late += is_late
        if executed is None:
            executed = self._hold_on()
        self.held = executed.held()
        self.num_ticks += 1
        self.outcome = game.outcome()
        tick = Tick(index, frame, instruction, decision, executed, self.outcome, late_ns, latency_ms, is_late)
        self.executed = executed
        if session.source is None:
            self._tell(tick)
        else:
            self.unfinished = tick

    def _finished(self, until_ns: int) -> Tick | None:
        """The previous tick, completed by the source of executed actions; None without a source."""
        tick, self.unfinished = self.unfinished, None
        if tick is None or self.session.source is None:
            return None
        decision, self.executed = self.session.source.executed_action(tick.decision, tick.executed, until_ns)
        return replace(tick, decision=decision, executed=self.executed)

    def _tell(self, tick: Tick | None) -> None:
        if tick is not None:
            for observer in self.session.observers:
                observer.on_tick(tick)

    def _hold_on(self) -> Action:
        """Without a decision: keep the held state without motion, or release it if this has lasted too long."""
        is_stale = self.session.clock.now_ns() - self.decided_ns > self.session.stale_after_s * 1e9
        held = NOTHING if is_stale else self.held
        done = self.session.game.act(held)  # not `release`: in a shared game a person may be playing
        return held if done is None else done

    def end(self, is_aborted: bool) -> EpisodeEnd:
        seconds = (self.last_tick + 1) / self.session.game.fps
        return EpisodeEnd(
            outcome=self.outcome,
            num_ticks=self.num_ticks,
            num_late=self.num_late,
            num_dropped=self.num_dropped,
            num_skipped=self.ticks.num_skipped,
            seconds=seconds,
            is_aborted=is_aborted,
        )


class _Thinker:
    """The player's thread with a mailbox for one Observation: the newest wins, nothing queues up.

    Attributes:
        num_replaced: decisions that a newer one replaced before the loop asked for them.
        thread: the thread, which may outlive the episode when the player hangs.
    """

    def __init__(self, player: Player, clock: Clock) -> None:
        self._player = player
        self._clock = clock
        self._changed = threading.Condition()
        self._offered: tuple[int, Observation] | None = None
        self._decided: tuple[int, Decision] | None = None
        self._failure: BaseException | None = None
        self._is_closing = False
        self.num_replaced = 0
        self.thread = threading.Thread(target=self._run, name="eyehand player", daemon=True)

    def __enter__(self) -> _Thinker:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self.thread.join(_PATIENCE_S)  # one that hangs is left behind: it is a daemon

    def offer(self, tick: int, observation: Observation) -> None:
        """Put an Observation into the mailbox. It keeps the executed action of an unread one that it replaces."""
        with self._changed:
            if self._offered is not None:
                executed = self._offered[1].executed.then(observation.executed)
                observation = Observation(observation.frame, observation.instruction, executed)
            self._offered = (tick, observation)
            self._changed.notify_all()

    def next_decision(self, deadline_ns: int) -> tuple[int, Decision] | None:
        """The next Decision and the tick that it was taken on, or None if none comes before the deadline."""
        with self._changed:
            self._clock.wait_for(
                self._changed, lambda: self._failure is not None or self._decided is not None, deadline_ns
            )
            if self._failure is not None:
                raise self._failure
            decided, self._decided = self._decided, None
            return decided

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._offered is not None or self._is_closing)
                    if self._is_closing or self._offered is None:
                        return
                    (tick, observation), self._offered = self._offered, None
                decision = self._player.act(observation)
                with self._changed:
                    self.num_replaced += self._decided is not None
                    self._decided = (tick, decision)
                    self._changed.notify_all()
        except BaseException as error:  # handed to the loop, which raises it
            with self._changed:
                self._failure = error
                self._changed.notify_all()
