"""Timing of live play: what the observer notes, and the figures made of it."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.play.latency import LatencyObserver, Spread, TickTiming, TimedGame, player_stages, summarise
from eyehand.player import Decision, Observation
from eyehand.session import EpisodeStart, Session, Tick
from fake_clock import FakeClock

TASK = TaskInfo("test/still", "test", "still", ("wait", "stay"), 10.0, "ticks")
MS = 1_000_000


def tick(index: int, *, latency_ms: float | None, late_ms: float = 0.0) -> Tick:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), index * 50 * MS, index)
    decision = None if latency_ms is None else Decision(NOTHING)
    return Tick(index, frame, None, decision, NOTHING, Outcome(), round(late_ms * MS), latency_ms, latency_ms is None)


def test_late_and_missed_ticks_are_not_on_time() -> None:
    observer = LatencyObserver()
    observer.on_start(EpisodeStart(TASK, 0, None, 20.0, True, 0))
    for seen in (tick(0, latency_ms=5), tick(1, latency_ms=None), tick(4, latency_ms=7), tick(5, latency_ms=9)):
        observer.on_tick(seen)
    timing = summarise(observer.timings(), fps=20.0)
    assert (timing.num_ticks, timing.num_late, timing.num_skipped) == (6, 1, 2)
    assert timing.on_time == pytest.approx(3 / 6)
    assert timing.reaction_ms is not None
    assert timing.reaction_ms.p50 == pytest.approx(7)
    assert timing.seconds == pytest.approx(6 / 20)


def test_what_is_kept_of_a_tick_is_small() -> None:
    observer = LatencyObserver()
    observer.on_start(EpisodeStart(TASK, 0, None, 20.0, True, 0))
    tracemalloc.start()
    try:
        for index in range(10_000):
            observer.on_tick(tick(index, latency_ms=index / 7))
        assert tracemalloc.get_traced_memory()[0] / 10_000 < 100
    finally:
        tracemalloc.stop()
    assert [timing.latency_ms for timing in observer.timings()] == [index / 7 for index in range(10_000)]


def test_ticks_missed_at_the_start_of_an_episode_count_and_those_between_episodes_do_not() -> None:
    observer = LatencyObserver()
    for first in (2, 0):
        observer.on_start(EpisodeStart(TASK, 0, None, 20.0, True, 0))
        observer.on_tick(tick(first, latency_ms=1))
        observer.on_tick(tick(first + 1, latency_ms=1))
    assert [timing.num_skipped for timing in observer.timings()] == [2, 0, 0, 0]


def test_quiet_figures_leave_out_stolen_seconds() -> None:
    timings = [
        TickTiming(0.0, 0.0, 10.0, 0, steal=0.0),
        TickTiming(0.05, 0.0, None, 3, steal=0.5),
        TickTiming(0.1, 0.0, 30.0, 0, steal=0.119),
        TickTiming(0.15, 0.0, 99.0, 0, steal=math.nan),
    ]
    quiet = summarise(timings, 20.0, quiet_only=True)
    assert (quiet.num_ticks, quiet.num_late, quiet.num_skipped, quiet.on_time) == (2, 0, 0, 1.0)
    assert quiet.latency_ms is not None
    assert quiet.latency_ms.max == 30.0


def test_nothing_played_gives_no_spread() -> None:
    timing = summarise([], 20.0)
    assert (timing.num_ticks, timing.on_time, timing.latency_ms, timing.stages_ms) == (0, 0.0, None, {})
    assert Spread.of([]) is None


class SlowGame:
    """Its picture is 20 ms old when it is taken, `observe` takes 2 ms and `act` 3 ms of a fake clock."""

    task, fps, is_realtime, state = TASK, 20.0, True, None

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.num_acts = 0

    def reset(self, seed: int) -> None:
        self.num_acts = 0

    def observe(self) -> Frame:
        drawn_ns = self.clock.now_ns() - 20 * MS
        self.clock.advance(2 * MS)
        return Frame(np.zeros((2, 2, 3), np.uint8), drawn_ns)

    def act(self, action: Action) -> None:
        self.clock.advance(3 * MS)
        self.num_acts += 1

    def outcome(self) -> Outcome:
        return Outcome(done=self.num_acts >= 3)

    def release(self) -> None: ...

    def close(self) -> None: ...


class StagedPlayer:
    """Says that it spent 4 ms, on the same clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.stage_ms: dict[str, float] = {}

    def reset(self, seed: int) -> None: ...

    def act(self, observation: Observation) -> Decision:
        self.clock.advance(4 * MS)
        self.stage_ms = {"vision": 1.0, "backbone": 3.0}
        return Decision(NOTHING)


def test_stages_and_age_add_up_to_the_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(start_ns=1_000 * MS)
    monkeypatch.setattr("eyehand.play.latency.time.monotonic_ns", clock.now_ns)
    player = StagedPlayer(clock)
    game = TimedGame(SlowGame(clock), player_stages(player))
    observer = LatencyObserver(game)
    Session(game, player, [observer], clock=clock).run_episode(0)
    timings = observer.timings()
    assert len(timings) == 3
    for timing in timings:
        assert timing.age_ms == pytest.approx(20)
        assert timing.stages_ms == pytest.approx(
            {"observe": 2.0, "vision": 1.0, "backbone": 3.0, "act": 3.0, "handover": 0.0}
        )
        assert timing.latency_ms == pytest.approx(29)
        assert timing.reaction_ms == pytest.approx(9)


class OldPictures(SlowGame):
    """Its picture number k is 10 * k ms old."""

    def observe(self) -> Frame:
        return Frame(np.zeros((2, 2, 3), np.uint8), self.clock.now_ns() - 10 * MS * self.num_acts)


class CountingStages(StagedPlayer):
    """Says that decision number k took k ms."""

    def act(self, observation: Observation) -> Decision:
        self.stage_ms = {"vision": self.stage_ms.get("vision", -1.0) + 1}
        return Decision(NOTHING)


class Unchanged:
    """What was done is known one tick later, and is what the Session asked for."""

    def executed_action(
        self, decision: Decision | None, executed: Action, until_ns: int
    ) -> tuple[Decision | None, Action]:
        return decision, executed


def test_a_tick_that_is_told_late_has_its_own_stages_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(start_ns=1_000 * MS)
    monkeypatch.setattr("eyehand.play.latency.time.monotonic_ns", clock.now_ns)
    player = CountingStages(clock)
    game = TimedGame(OldPictures(clock), player_stages(player))
    observer = LatencyObserver(game)
    Session(game, player, [observer], clock=clock, source=Unchanged()).run_episode(0)
    timings = observer.timings()
    assert [timing.age_ms for timing in timings] == pytest.approx([0, 10, 20])
    assert [timing.stages_ms["vision"] for timing in timings] == [0, 1, 2]


def test_a_player_without_stages_has_none() -> None:
    assert player_stages(object())() == {}
