"""Session: the loop in stepped and real time, its pairing of frames and actions, and every way out."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from eyehand.action import NOTHING, Action
from eyehand.clock import SystemClock
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.player import Decision, Observation
from eyehand.session import EpisodeEnd, EpisodeStart, Session, Tick
from fake_clock import FakeClock

TASK = TaskInfo("test/echo", "test", "echo", ("move", "go"), 10.0, "pixels moved")


class EchoGame:
    """A small real game: the picture shows the motion of the last action; the score is its sum."""

    task = TASK
    fps = 20.0
    state = None

    def __init__(self, clock: FakeClock | SystemClock, is_realtime: bool = False, num_ticks: int = 5) -> None:
        self.is_realtime = is_realtime
        self.clock = clock
        self.num_ticks = num_ticks
        self.acted: list[Action] = []
        self.num_released = 0

    def reset(self, seed: int) -> None:
        self.acted = []

    def observe(self) -> Frame:
        shown = self.acted[-1].dx if self.acted else 0
        return Frame(np.full((4, 4, 3), shown, np.uint8), self.clock.now_ns(), len(self.acted))

    def act(self, action: Action) -> None:
        self.acted.append(action)

    def outcome(self) -> Outcome:
        return Outcome(len(self.acted) >= self.num_ticks, float(sum(action.dx for action in self.acted)))

    def release(self) -> None:
        self.num_released += 1

    def close(self) -> None:
        pass


class CountingPlayer:
    """Moves by 1, 2, 3, ... and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[Observation] = []

    def reset(self, seed: int) -> None:
        self.told = []

    def act(self, observation: Observation) -> Decision:
        self.told.append(observation)
        return Decision(Action.of(["w"], dx=len(self.told)), by_user=True)


class Log:
    def __init__(self) -> None:
        self.start: EpisodeStart | None = None
        self.ticks: list[Tick] = []
        self.ends: list[EpisodeEnd] = []

    def on_start(self, start: EpisodeStart) -> None:
        self.start = start

    def on_tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def on_end(self, end: EpisodeEnd) -> None:
        self.ends.append(end)


def test_stepped_every_frame_gets_its_action() -> None:
    game, player, log = EchoGame(FakeClock()), CountingPlayer(), Log()
    end = Session(game, player, [log], FakeClock(), "move").run_episode(seed=7)
    assert [action.dx for action in game.acted] == [1, 2, 3, 4, 5]
    assert [tick.executed.dx for tick in log.ticks] == [1, 2, 3, 4, 5]
    # Frame i shows what was executed before it.
    assert [int(tick.frame.pixels[0, 0, 0]) for tick in log.ticks] == [0, 1, 2, 3, 4]
    assert [observation.executed.dx for observation in player.told] == [0, 1, 2, 3, 4]
    assert all(observation.instruction == "move" for observation in player.told)
    assert (end.num_ticks, end.outcome.score, end.seconds, end.is_aborted) == (5, 15.0, 0.25, False)
    assert log.start is not None
    assert log.start.seed == 7
    assert game.num_released == 1
    assert log.ends == [end]


def test_max_seconds_end_an_episode() -> None:
    game = EchoGame(FakeClock(), num_ticks=1000)
    assert Session(game, CountingPlayer()).run_episode(0, max_seconds=0.5).num_ticks == 10


def test_real_time_acts_on_every_tick_when_the_player_keeps_up() -> None:
    clock = FakeClock()
    game, player, log = EchoGame(clock, is_realtime=True, num_ticks=40), CountingPlayer(), Log()
    end = Session(game, player, [log], clock).run_episode(0)
    assert (end.num_ticks, end.num_late, end.num_skipped) == (40, 0, 0)
    assert [tick.index for tick in log.ticks] == list(range(40))
    assert clock.now_ns() == 39 * 50_000_000
    assert [observation.executed.dx for observation in player.told] == list(range(40))


class StuckPlayer(CountingPlayer):
    """Keeps a key down, and once it is known to be down thinks about a frame until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck_on: int | None = None
        self.may_go = threading.Event()

    def act(self, observation: Observation) -> Decision:
        decision = super().act(observation)
        if self.stuck_on is None and observation.executed.keys:
            self.stuck_on = len(self.told)
            assert self.may_go.wait(timeout=60)
        return decision


class LettingGo(Log):
    """Lets the stuck player go on when its key was released, and ends the game when it has acted again."""

    def __init__(self, player: StuckPlayer, game: EchoGame) -> None:
        super().__init__()
        self.player, self.game = player, game
        self.stuck: list[Tick] = []

    def on_tick(self, tick: Tick) -> None:
        super().on_tick(tick)
        if self.player.may_go.is_set():
            if tick.decision is not None:
                self.game.num_ticks = 0
        elif self.player.stuck_on is not None:
            self.stuck.append(tick)
            if tick.executed == NOTHING:
                self.player.may_go.set()


def test_real_time_never_waits_drops_late_actions_and_lets_go_of_stale_keys() -> None:
    clock = SystemClock()
    game, player = EchoGame(clock, is_realtime=True, num_ticks=10**6), StuckPlayer()
    log = LettingGo(player, game)
    end = Session(game, player, [log], clock, stale_after_s=1.0).run_episode(0, max_seconds=120.0)
    held = Action.of(["w"])
    assert end.num_late == sum(tick.is_late for tick in log.ticks)
    undecided = [tick for tick in log.stuck if tick.decision is None]
    assert len(undecided) >= 2  # ticks went on while the player was stuck
    assert undecided[0].executed == held  # keys stay held, motion does not repeat
    assert undecided[-1].executed == NOTHING  # and are released when nothing comes for too long
    assert game.num_released >= 2
    # The decision on that frame came far too late: it was never executed.
    stuck_on = player.stuck_on
    assert stuck_on is not None
    assert stuck_on not in [action.dx for action in game.acted]
    assert end.num_dropped >= 1
    # The player goes on with the newest frame, and is told what was really executed meanwhile.
    assert log.ticks[-1].decision is not None
    assert player.told[stuck_on].frame.time_ns > player.told[stuck_on - 1].frame.time_ns + 500_000_000
    assert player.told[stuck_on].executed == NOTHING


class FailingPlayer(CountingPlayer):
    def act(self, observation: Observation) -> Decision:
        decision = super().act(observation)
        if len(self.told) == 3:
            raise RuntimeError("the player broke")
        return decision


@pytest.mark.parametrize("is_realtime", [False, True])
def test_a_failing_player_releases_the_keys_and_closes_the_observers(is_realtime: bool) -> None:
    clock = FakeClock()
    game, log = EchoGame(clock, is_realtime), Log()
    with pytest.raises(RuntimeError, match="the player broke"):
        Session(game, FailingPlayer(), [log], clock).run_episode(0)
    assert game.num_released >= 1
    assert [end.is_aborted for end in log.ends] == [True]
    assert len(log.ticks) == 2


class Failing(Log):
    def on_end(self, end: EpisodeEnd) -> None:
        raise OSError("disk full")


def test_every_observer_is_told_of_the_end_even_if_one_fails() -> None:
    game, log = EchoGame(FakeClock()), Log()
    with pytest.raises(OSError, match="disk full"):
        Session(game, CountingPlayer(), [Failing(), log]).run_episode(0)
    assert len(log.ends) == 1
    assert game.num_released == 1


class StuckKeysGame(EchoGame):
    def release(self) -> None:
        raise UserError("The display is gone.")


@pytest.mark.parametrize("is_realtime", [False, True])
def test_every_observer_is_told_of_the_end_even_if_the_keys_cannot_be_released(is_realtime: bool) -> None:
    clock, log, second = FakeClock(), Log(), Log()
    with pytest.raises(UserError, match="display is gone"):
        Session(StuckKeysGame(clock, is_realtime), CountingPlayer(), [log, second], clock).run_episode(0)
    assert [end.is_aborted for end in (*log.ends, *second.ends)] == [True, True]
    with pytest.raises(RuntimeError, match="the player broke"):  # what came first is told
        Session(StuckKeysGame(clock, is_realtime), FailingPlayer(), [log], clock).run_episode(0)
    assert len(log.ends) == 2


class Interrupting(Log):
    def on_tick(self, tick: Tick) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("is_realtime", [False, True])
def test_ctrl_c_releases_the_keys(is_realtime: bool) -> None:
    clock = FakeClock()
    game, log = EchoGame(clock, is_realtime), Log()
    with pytest.raises(KeyboardInterrupt):
        Session(game, CountingPlayer(), [log, Interrupting()], clock).run_episode(0)
    assert game.num_released >= 1
    assert log.ends[0].is_aborted


class ReleasingGame(EchoGame):
    """Tells a hung player when its keys are released."""

    def __init__(self, player: HungPlayer) -> None:
        super().__init__(SystemClock(), is_realtime=True, num_ticks=10**6)
        self.player = player

    def release(self) -> None:
        super().release()
        self.player.is_released.set()


class HungPlayer(CountingPlayer):
    """Presses a key, then hangs over the next picture until `goes_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.goes_on, self.is_released = threading.Event(), threading.Event(), threading.Event()
        self.num_inside = self.most_inside = 0

    def act(self, observation: Observation) -> Decision:
        self.num_inside += 1
        self.most_inside = max(self.most_inside, self.num_inside)
        decision = super().act(observation)
        if observation.executed.keys and not self.goes_on.is_set():
            self.hangs.set()
            assert self.goes_on.wait(timeout=60)
            decision = Decision(Action.of(["x"]))
        self.num_inside -= 1
        return decision


class EndingHung(Log):
    """Presses Ctrl-C when the player hangs."""

    def __init__(self, player: HungPlayer) -> None:
        super().__init__()
        self.player = player

    def on_tick(self, tick: Tick) -> None:
        super().on_tick(tick)
        if self.player.hangs.is_set() and not self.player.goes_on.is_set():
            raise KeyboardInterrupt


def test_ctrl_c_with_a_hung_player_releases_the_keys_before_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    player = HungPlayer()
    game = ReleasingGame(player)
    released: list[bool] = []
    join = threading.Thread.join

    def joined(thread: threading.Thread, timeout: float | None = None) -> None:
        released.append(player.is_released.is_set())
        player.goes_on.set()
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", joined)
    with pytest.raises(KeyboardInterrupt):
        Session(game, player, [EndingHung(player)], stale_after_s=1000).run_episode(0)
    assert released == [True]


def test_a_decision_of_an_abandoned_call_reaches_no_game_and_no_episode_begins_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("eyehand.session._PATIENCE_S", 0.0)
    monkeypatch.setattr("eyehand.session._HUNG_S", 0.0)
    player = HungPlayer()
    game = ReleasingGame(player)
    session = Session(game, player, [EndingHung(player)])
    with pytest.raises(KeyboardInterrupt):
        session.run_episode(0)
    with pytest.raises(UserError, match="has hung"):
        session.run_episode(1, max_seconds=0.2)
    monkeypatch.setattr("eyehand.session._HUNG_S", 60.0)
    player.goes_on.set()
    game.num_ticks = 5
    session.run_episode(1)
    assert player.most_inside == 1, "the player was never asked by two episodes at once"
    assert all("x" not in action.keys for action in game.acted)
