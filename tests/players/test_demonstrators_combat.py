"""Demonstrators of Doom: human speed, noise injection, and that each plays its task well."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyehand.action import NOTHING, Action
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Game
from eyehand.games.doom.objects import DoomObject
from eyehand.games.doom.state import DoomState
from eyehand.games.doom.tasks import DOOM_TASKS
from eyehand.games.families import open_game
from eyehand.player import Decision, Observation
from eyehand.players.demonstrators.demonstrator import DEMONSTRATORS, demonstrator
from eyehand.players.demonstrators.eyes import Eyes, Sighting, bearing_deg
from eyehand.players.demonstrators.motor import MotorLimits, MotorModel
from eyehand.players.demonstrators.noise_injection import NoiseInjection
from eyehand.players.random import RandomPlayer
from eyehand.session import EpisodeEnd, EpisodeStart, Session, Tick

EMPTY_ROOM = DoomState(
    *(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    *(100.0, 0.0, 50.0, 2, 0, 0, False),
    objects=(),
    depth=None,
    sectors=(),
    screen_width=320,
    screen_height=240,
)


def imp(x: float, y: float, *, is_visible: bool = True, number: int = 1) -> DoomObject:
    return DoomObject(number, "DoomImp", x, y, 0.0, 180.0, 0.0, 0.0, is_visible, None)


def room(tick: int, *objects: DoomObject, angle_deg: float = 0.0) -> DoomState:
    return dataclasses.replace(EMPTY_ROOM, tick=tick, objects=objects, angle_deg=angle_deg)


# ---- motor model --------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-180.0, 180.0), min_size=1, max_size=40), st.integers(0, 9))
def test_the_motor_model_keeps_its_limits_of_speed_and_acceleration(turns_deg: list[float], seed: int) -> None:
    motor, limits = MotorModel(), MotorLimits()
    motor.reset(seed)
    last = NOTHING
    for turn_deg in turns_deg:
        action = motor.act(last, turn_deg)
        assert abs(action.dx) <= limits.max_turn_px
        started_from = abs(last.dx) if last.dx * action.dx > 0 else 0
        assert abs(action.dx) <= started_from + limits.max_speedup_px
        last = action


def test_the_motor_model_turns_to_an_angle_and_stays_there() -> None:
    motor = MotorModel()
    left_deg, last = 90.0, NOTHING
    for _ in range(30):
        last = motor.act(last, left_deg)
        left_deg -= last.dx / 10
    assert abs(left_deg) < 0.5


def test_the_motor_model_resumes_from_the_executed_action() -> None:
    limits = MotorLimits()
    assert MotorModel().act(NOTHING, 90.0).dx <= limits.max_speedup_px
    assert MotorModel().act(Action(dx=80), 90.0).dx > limits.max_speedup_px


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_motor_model_does_not_flicker(wishes: list[tuple[bool, bool]]) -> None:
    motor, limits = MotorModel(), MotorLimits()
    held = [motor.act(NOTHING, keys="w" if walk else "", fire=fire) for walk, fire in wishes]
    for is_down in ([bool(a.keys) for a in held], [bool(a.buttons) for a in held]):
        changes = [i for i in range(1, len(is_down)) if is_down[i] != is_down[i - 1]]
        assert all(b - a >= limits.min_hold_ticks for a, b in itertools.pairwise(changes))


def test_the_motor_model_reaches_the_intended_keys() -> None:
    motor = MotorModel()
    for _ in range(MotorLimits().min_hold_ticks + 1):
        action = motor.act(NOTHING, keys="wa", fire=True)
    assert action.keys == {"w", "a"}
    assert action.buttons == {"0"}
    for _ in range(MotorLimits().min_hold_ticks + 1):
        action = motor.act(NOTHING)
    assert not action.is_held


# ---- eyes ---------------------------------------------------------------------------------------------------------


def look(eyes: Eyes, *states: DoomState) -> list[list[Sighting]]:
    return [eyes.look(state) for state in states]


def test_what_appears_is_noticed_after_the_reaction_time() -> None:
    eyes = Eyes(delay_ticks=3)
    seen = look(eyes, *(room(t, *([imp(200, 50)] if t >= 5 else [])) for t in range(12)))
    assert [len(s) for s in seen] == [0] * 8 + [1] * 4


def test_a_change_of_way_is_noticed_after_the_reaction_time() -> None:
    eyes = Eyes(delay_ticks=3)
    states = [room(t, imp(400, 10.0 * min(t, 20))) for t in range(40)]
    y = [s[0].y for s in look(eyes, *states) if s]
    assert y[10 - 3] == pytest.approx(100.0)  # carried forward while it walks evenly
    assert y[22 - 3] == pytest.approx(220.0)  # it stopped at 200, but nobody knows yet
    assert y[-1] == pytest.approx(200.0)


def test_the_own_pose_is_known_at_once() -> None:
    eyes = Eyes(delay_ticks=3)
    *_, seen = look(eyes, *(room(t, imp(100, 0)) for t in range(6)), room(6, imp(100, 0), angle_deg=30.0))
    assert seen[0].bearing_deg == pytest.approx(30.0)


def test_what_was_never_in_the_picture_is_not_known_and_what_left_it_is_forgotten() -> None:
    eyes = Eyes(delay_ticks=3, memory_ticks=10)
    hidden, shown = imp(100, 0, is_visible=False, number=1), imp(100, 50, number=2)
    states = [room(t, hidden, shown if t < 5 else imp(100, 50, is_visible=False, number=2)) for t in range(30)]
    known = [[(s.id, s.is_in_view) for s in seen] for seen in look(eyes, *states)]
    assert known[7] == [(2, True)]
    assert known[8] == [(2, False)]
    assert known[17] == [(2, False)]
    assert known[18] == []


def test_bearing_is_positive_to_the_right() -> None:
    assert bearing_deg(EMPTY_ROOM, 100.0, -100.0) == pytest.approx(45.0)
    assert bearing_deg(EMPTY_ROOM, 100.0, 100.0) == pytest.approx(-45.0)


# ---- noise injection ----------------------------------------------------------------------------------------------


class Walker:
    """Walks straight on and remembers what it was told."""

    def __init__(self) -> None:
        self.executed: list[Action] = []

    def reset(self, seed: int) -> None:
        self.executed.clear()

    def act(self, observation: Observation) -> Decision:
        self.executed.append(observation.executed)
        return Decision(Action.of("w"), by_user=True)


def noisy_play(seed: int, num_ticks: int = 2000) -> tuple[list[Decision], Walker]:
    walker = Walker()
    player = NoiseInjection(walker, bursts_per_s=0.3)
    player.reset(seed)
    frame = Frame(np.zeros((1, 1, 3), np.uint8), 0)
    decisions, executed = [], NOTHING
    for _ in range(num_ticks):
        decisions.append(player.act(Observation(frame, executed=executed)))
        executed = decisions[-1].action
    return decisions, walker


def test_a_mistake_is_not_the_users_but_labelled_with_what_the_user_would_have_done() -> None:
    decisions, _ = noisy_play(1)
    mistakes = [d for d in decisions if not d.by_user]
    assert mistakes
    assert all(d.label == Action.of("w") for d in mistakes)
    assert any(d.action != Action.of("w") for d in mistakes)
    assert all(d == Decision(Action.of("w"), by_user=True) for d in decisions if d.by_user)


def test_bursts_are_short_and_as_frequent_as_asked_for() -> None:
    decisions, _ = noisy_play(2, 20000)
    by_user = np.array([d.by_user for d in decisions])
    starts = np.flatnonzero(by_user[:-1] & ~by_user[1:])
    ends = np.flatnonzero(~by_user[:-1] & by_user[1:])
    lengths = ends[: len(starts)] - starts[: len(ends)]
    assert lengths.min() >= 3
    assert np.median(lengths) <= 10
    assert len(starts) / 1000 == pytest.approx(0.3, abs=0.07)


def test_some_episodes_begin_with_a_mistake() -> None:
    begins = [not noisy_play(seed, 1)[0][0].by_user for seed in range(200)]
    assert np.mean(begins) == pytest.approx(0.3, abs=0.1)


def test_the_demonstrator_is_asked_at_every_tick_and_told_what_was_executed() -> None:
    decisions, walker = noisy_play(3, 300)
    assert walker.executed == [NOTHING, *(d.action for d in decisions[:-1])]


def test_injected_noise_follows_the_seed() -> None:
    assert noisy_play(4, 300)[0] == noisy_play(4, 300)[0]
    assert noisy_play(4, 300)[0] != noisy_play(5, 300)[0]


# ---- play ---------------------------------------------------------------------------------------------------------


class Watcher:
    """Keeps every executed Action."""

    def __init__(self) -> None:
        self.actions: list[Action] = []

    def on_start(self, start: EpisodeStart) -> None:
        self.actions.clear()

    def on_tick(self, tick: Tick) -> None:
        self.actions.append(tick.executed)

    def on_end(self, end: EpisodeEnd) -> None:
        pass


@dataclasses.dataclass(frozen=True)
class Trial:
    """How to try a task: so many episodes of so many seconds; by how much the mean score must exceed random play's."""

    margin: float
    num_episodes: int = 1
    seconds: float | None = None


TRIALS = {
    "aim": Trial(20.0, num_episodes=4),
    "approach": Trial(100.0, num_episodes=2),
    "center": Trial(8.0, seconds=20.0),
    "line": Trial(8.0, seconds=15.0),
    "collect": Trial(8.0, seconds=25.0),
    "poison": Trial(8.0, seconds=25.0),
    "dodge": Trial(5.0, seconds=20.0),
    "corridor": Trial(50.0),
    "lead": Trial(0.5, num_episodes=4),
    "deathmatch": Trial(1.0, seconds=60.0),
}
SLOW = frozenset(("line", "poison", "dodge", "deathmatch"))


@pytest.fixture(scope="module", params=[pytest.param(t, marks=[pytest.mark.slow] if t in SLOW else []) for t in TRIALS])
def game(request: pytest.FixtureRequest) -> Iterator[Game]:
    game = open_game(f"doom/{request.param}", with_state=True)
    yield game
    game.close()


def test_demonstrator_beats_random_at_human_speed(game: Game) -> None:
    trial, limits, watcher = TRIALS[game.task.env_subtype], MotorLimits(), Watcher()
    scores: dict[str, list[float]] = {"random": [], "demonstrator": []}
    for name, player in (("random", RandomPlayer()), ("demonstrator", demonstrator(game))):
        session = Session(game, player, observers=(watcher,))
        for seed in range(trial.num_episodes):
            scores[name].append(session.run_episode(seed, trial.seconds).outcome.score)
            if name == "demonstrator":
                motions = [abs(action.dx) for action in watcher.actions]
                assert max(motions) <= limits.max_turn_px
                assert all(b - a <= limits.max_speedup_px for a, b in itertools.pairwise(motions))
    assert np.mean(scores["demonstrator"]) >= np.mean(scores["random"]) + trial.margin


def test_a_task_without_demonstrator_is_the_users_error() -> None:
    class Chess:
        task = dataclasses.replace(DOOM_TASKS["aim"].info, name="chess/mate", env="chess", env_subtype="mate")

    with pytest.raises(UserError, match="chess/mate"):
        demonstrator(Chess())  # type: ignore[arg-type]


def test_every_task_of_doom_has_a_demonstrator() -> None:
    assert set(DEMONSTRATORS) == set(DOOM_TASKS)
