"""Latency of live play: `LatencyObserver` measures every tick, `summarise` computes figures over them.

Measures, per tick: how late it began, from the capture of the frame to the end of `game.act`, how long each stage of
that took, and which ticks were late or missed; beside them the machine (own CPU, memory, host steal) once a second.
Knows no game and no policy: stages come from any player that has a `stage_ms` mapping.
"""

from __future__ import annotations

import math
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from eyehand.action import Action
from eyehand.frame import Frame
from eyehand.game import Game, Outcome
from eyehand.machine import QUIET_STEAL, MachineWatch, MachineWindow
from eyehand.session import EpisodeEnd, EpisodeStart, Tick

__all__ = ["LatencyObserver", "Spread", "TickTiming", "TimedGame", "Timing", "player_stages", "summarise"]


@dataclass(frozen=True, slots=True)
class TickTiming:
    """One tick.

    Attributes:
        time_s: when it began, in seconds since the observer's first tick.
        late_ms: after its deadline.
        latency_ms: from the capture of the picture to the end of `game.act`; None: no action came in time.
        age_ms: how old the picture was when the loop took it (a game that draws at its own rhythm has its newest
            picture ready before it is asked for).
        num_skipped: ticks that the loop missed just before this one.
        stages_ms: parts of the latency in their order. What no stage accounts for is "handover": waking the player's
            thread and the loop again.
        steal: share of the host's theft in the second around this tick (NaN until that second is over).
    """

    time_s: float
    late_ms: float
    latency_ms: float | None
    num_skipped: int
    age_ms: float = 0.0
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    steal: float = float("nan")

    @property
    def reaction_ms(self) -> float | None:
        """Frame to action: from taking the newest picture to the end of `game.act`."""
        return None if self.latency_ms is None else self.latency_ms - self.age_ms


@dataclass(frozen=True, slots=True)
class Spread:
    """How a duration is distributed, in milliseconds."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    @staticmethod
    def of(values_ms: Sequence[float]) -> Spread | None:
        """The spread of these values; None if there are none."""
        if not values_ms:
            return None
        p50, p95, p99 = (float(value) for value in np.percentile(values_ms, (50, 95, 99)))
        return Spread(float(np.mean(values_ms)), p50, p95, p99, float(max(values_ms)))


@dataclass(frozen=True, slots=True)
class Timing:
    """Figures over a number of ticks.

    Attributes:
        num_ticks: ticks due: those that ran and those that were missed.
        num_late: ticks whose action did not come in time.
        num_skipped: ticks that the loop missed altogether.
        on_time: share of the ticks due in which the action came in time.
        reaction_ms: frame to action, over the ticks in which it came in time.
        latency_ms: the same with the age that the picture had already.
        late_ms: how long after their deadlines ticks began.
        stages_ms: the parts of the latency.
        seconds: how much play this covers.
    """

    num_ticks: int
    num_late: int
    num_skipped: int
    on_time: float
    reaction_ms: Spread | None
    latency_ms: Spread | None
    late_ms: Spread | None
    stages_ms: dict[str, Spread]
    seconds: float


@dataclass(slots=True)
class FrameTiming:
    """How old a picture was when the loop took it, and how long `observe`, the player's stages and `act` on it took."""

    frame: Frame
    age_ms: float
    observe_ms: float
    player_ms: Mapping[str, float] = field(default_factory=dict)
    act_ms: float = 0.0


class TimedGame:
    """A Game that notes the timing of its last two pictures, for a tick may be told when the next one is there already.

    Args:
        game: what is played.
        stages: gives the player's stages of its last decision, in milliseconds (`player_stages`).
    """

    def __init__(self, game: Game, stages: Callable[[], Mapping[str, float]] = dict) -> None:
        self._game = game
        self._stages = stages
        self._timings: deque[FrameTiming] = deque(maxlen=2)
        self.task = game.task
        self.fps = game.fps
        self.is_realtime = game.is_realtime

    @property
    def state(self) -> Any:
        return self._game.state

    def reset(self, seed: int) -> None:
        self._game.reset(seed)

    def observe(self) -> Frame:
        start_ns = time.monotonic_ns()
        frame = self._game.observe()
        age_ms = max(0.0, (start_ns - frame.time_ns) / 1e6)
        # The latency counts from the frame's capture, so that is where its first stage begins.
        observe_ms = (time.monotonic_ns() - max(start_ns, frame.time_ns)) / 1e6
        self._timings.append(FrameTiming(frame, age_ms, observe_ms))
        return frame

    def timing_of(self, frame: Frame) -> FrameTiming:
        """Of one of the last two pictures."""
        return next(timing for timing in self._timings if timing.frame is frame)

    def act(self, action: Action) -> Action | None:
        start_ns = time.monotonic_ns()
        done = self._game.act(action)
        timing = self._timings[-1]
        timing.player_ms, timing.act_ms = self._stages(), (time.monotonic_ns() - start_ns) / 1e6
        return done

    def outcome(self) -> Outcome:
        return self._game.outcome()

    def release(self) -> None:
        self._game.release()

    def close(self) -> None:
        self._game.close()


class LatencyObserver:
    """Notes the timing of every tick and watches the machine.

    Args:
        game: where the stages are timed; None: nowhere.
    """

    def __init__(self, game: TimedGame | None = None) -> None:
        self._game = game
        # The numbers of every tick in a row, NaN for None: as objects, a day of them would take a gigabyte.
        self._numbers = array("d")
        self._stages_of = array("H")
        self._stages: dict[tuple[str, ...], int] = {}
        self._first_ns: int | None = None
        self._last_index = -1
        self._watch = MachineWatch()

    def on_start(self, start: EpisodeStart) -> None:
        self._last_index = -1
        self._watch.restart()

    def on_tick(self, tick: Tick) -> None:
        begun_ns = tick.frame.time_ns
        if self._first_ns is None:
            self._first_ns = begun_ns
        timing = None if self._game is None else self._game.timing_of(tick.frame)
        stages_ms = {} if tick.latency_ms is None or timing is None else _stages(timing, tick.latency_ms)
        self._numbers.extend(
            (
                *((begun_ns - self._first_ns) / 1e9, tick.late_ns / 1e6),
                math.nan if tick.latency_ms is None else tick.latency_ms,
                *(tick.index - self._last_index - 1, 0.0 if timing is None else timing.age_ms, *stages_ms.values()),
            )
        )
        self._stages_of.append(self._stages.setdefault(tuple(stages_ms), len(self._stages)))
        self._last_index = tick.index
        self._watch.poll()

    def on_end(self, end: EpisodeEnd) -> None:
        self._watch.poll(is_last=True)

    @property
    def windows(self) -> Sequence[MachineWindow]:
        return self._watch.windows

    @property
    def origin_ns(self) -> int:
        """What `TickTiming.time_s` counts from, on the monotonic clock."""
        return self._first_ns or 0

    def timings(self) -> list[TickTiming]:
        """Every tick so far with the steal of its second."""
        starts_s = [(window.start_ns - self.origin_ns) / 1e9 for window in self.windows]
        numbers, names = iter(self._numbers), list(self._stages)
        timings = []
        for stages in self._stages_of:
            time_s, late_ms, latency_ms, num_skipped, age_ms = islice(numbers, 5)
            timings.append(
                TickTiming(
                    *(time_s, late_ms, None if math.isnan(latency_ms) else latency_ms, int(num_skipped), age_ms),
                    stages_ms=dict(zip(names[stages], numbers, strict=False)),
                    steal=self.windows[max(0, bisect_right(starts_s, time_s) - 1)].steal if starts_s else math.nan,
                )
            )
        return timings


def _stages(timing: FrameTiming, latency_ms: float) -> dict[str, float]:
    stages = {"observe": timing.observe_ms, **timing.player_ms, "act": timing.act_ms}
    return {**stages, "handover": max(0.0, latency_ms - timing.age_ms - sum(stages.values()))}


def player_stages(player: object) -> Callable[[], Mapping[str, float]]:
    """Where a player's stage times are read from: its `stage_ms`, or nothing where it has none."""

    def stages() -> Mapping[str, float]:
        found = getattr(player, "stage_ms", None)
        return dict(found) if isinstance(found, Mapping) else {}

    return stages


def summarise(timings: Sequence[TickTiming], fps: float, quiet_only: bool = False) -> Timing:
    """Figures over these ticks, or over those in seconds with less than `QUIET_STEAL` stolen."""
    if quiet_only:
        timings = [timing for timing in timings if timing.steal < QUIET_STEAL]
    latencies = [timing.latency_ms for timing in timings if timing.latency_ms is not None]
    reactions = [timing.reaction_ms for timing in timings if timing.reaction_ms is not None]
    num_skipped = sum(timing.num_skipped for timing in timings)
    num_due = len(timings) + num_skipped
    names = dict.fromkeys(name for timing in timings for name in timing.stages_ms)
    stages = {name: Spread.of([t.stages_ms[name] for t in timings if name in t.stages_ms]) for name in names}
    return Timing(
        num_ticks=num_due,
        num_late=len(timings) - len(latencies),
        num_skipped=num_skipped,
        on_time=len(latencies) / num_due if num_due else 0.0,
        reaction_ms=Spread.of(reactions),
        latency_ms=Spread.of(latencies),
        late_ms=Spread.of([timing.late_ms for timing in timings]),
        stages_ms={name: spread for name, spread in stages.items() if spread is not None},
        seconds=num_due / fps,
    )
