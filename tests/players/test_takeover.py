"""Takeover: who is in control at every moment, what reaches the game, and what is recorded of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyehand.action import NOTHING, Action
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.input_event import InputEvent
from eyehand.play.shared_game import SharedGame
from eyehand.player import Decision, Observation
from eyehand.players.hotkeys import TakeoverKeys
from eyehand.players.input_state import InputState
from eyehand.players.takeover import Takeover, Turn
from eyehand.recording.reader import Recording
from eyehand.recording.recorder import Recorder
from eyehand.session import EpisodeEnd, EpisodeStart, Session, Tick
from fake_clock import FakeClock

TICK_NS = 50_000_000
AGENT = Action.of(["w"], ["0"], dx=3)


class Agent:
    """Holds W and fires, always, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[Action] = []

    def reset(self, seed: int) -> None: ...

    def act(self, observation: Observation) -> Decision:
        self.told.append(observation.executed)
        return Decision(AGENT)


class HeldGame:
    """A small game that knows what is held. Before its picture number k a person does `script[k]`."""

    task = TaskInfo("test/held", "test", "held", ("play", "win"), 10.0, "nothing")
    fps = 20.0
    is_realtime = True
    state = None

    def __init__(self, clock: FakeClock, num_ticks: int) -> None:
        self.clock, self.num_ticks = clock, num_ticks
        self.script: dict[int, Callable[[], None]] = {}
        self.index = 0
        self.held = NOTHING
        self.done: list[Action] = []
        self.is_paused = False

    def reset(self, seed: int) -> None: ...

    def observe(self) -> Frame:
        # The person acts in the middle of the tick before, as far as the events say.
        self.script.get(self.index, lambda: None)()
        frame = Frame(np.full((8, 8, 3), self.index, np.uint8), self.clock.now_ns(), self.index)
        self.index += 1
        return frame

    def act(self, action: Action) -> None:
        self.held = action.held()
        self.done.append(action)

    def outcome(self) -> Outcome:
        return Outcome(self.index >= self.num_ticks)

    def release_except(self, kept: frozenset[str]) -> None:
        self.held = Action(self.held.keys & kept)

    def release(self) -> None:
        self.held = NOTHING

    def close(self) -> None: ...


class Log:
    def __init__(self) -> None:
        self.ticks: list[Tick] = []

    def on_start(self, start: EpisodeStart) -> None: ...

    def on_tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def on_end(self, end: EpisodeEnd) -> None: ...


class Play:
    """One episode of agent and person at a `HeldGame`."""

    def __init__(self, num_ticks: int = 8, **options: object) -> None:
        self.clock = FakeClock()
        self.game = HeldGame(self.clock, num_ticks)
        self.agent = Agent()
        self.said: list[str] = []
        self.stopped: list[bool] = []
        self.takeover = Takeover(
            self.agent,
            TakeoverKeys("F9", "F12"),
            say=self.said.append,
            stop=lambda: self.stopped.append(True),
            **options,  # type: ignore[arg-type]
        )
        self.shared = SharedGame(self.game, self.takeover, clock=self.clock)
        self.log = Log()

    def at(self, tick: int, *events: InputEvent, is_far: bool = False) -> None:
        """In the middle of the tick before picture number `tick` the person does this."""

        def hear() -> None:
            for event in events:
                self.takeover.hear(event, is_far=is_far)

        self.game.script[tick] = hear

    def run(self, *observers: object) -> list[Tick]:
        session = Session(self.shared, self.takeover, [self.log, *observers], self.clock, source=self.takeover)  # type: ignore[list-item]
        session.run_episode(0)
        return self.log.ticks


def key(tick: int, name: str, is_pressed: bool = True, is_simulated: bool = False) -> InputEvent:
    """In the middle of the tick before picture number `tick`."""
    return InputEvent(tick * TICK_NS - TICK_NS // 2, "key", name, is_pressed, is_simulated=is_simulated)


def motion(tick: int, dx: int, dy: int = 0) -> InputEvent:
    return InputEvent(tick * TICK_NS - TICK_NS // 2, "mouse_delta", x=dx, y=dy)


def test_a_key_takes_over_at_once_and_the_hotkey_lets_the_agent_resume() -> None:
    play = Play(8)
    held_after: list[Action] = []
    play.at(3, key(3, "a"))
    hear = play.game.script[3]
    play.game.script[3] = lambda: (hear(), held_after.append(play.game.held))  # type: ignore[assignment, func-returns-value]
    play.at(5, key(5, "a", False), motion(5, 40))
    play.at(6, key(6, "F9"), key(6, "F9", False))
    ticks = play.run()
    assert held_after == [NOTHING], "everything of the agent's was released at the event, not at the next tick"
    assert [tick.executed for tick in ticks] == [
        *(AGENT, AGENT),
        Action.of(["a"], dx=3),  # taken over in the middle: the agent's motion, the person's key
        Action.of(["a"]),
        Action.of(dx=40),
        NOTHING,  # resumed in the middle: the agent acts from the next tick on
        *(AGENT, AGENT),
    ]
    assert play.game.done[3:6] == [NOTHING] * 3, "nothing of the agent's reached the game"
    assert [tick.decision and tick.decision.by_user for tick in ticks] == [False] * 3 + [True] * 2 + [False] * 3
    assert ticks[2].decision == Decision(Action.of(["a"], dx=3), label=Action.of(["a"]))
    assert ticks[5].decision == Decision(NOTHING)
    assert play.agent.told == [NOTHING, *(tick.executed for tick in ticks[:-1])], "the agent learns what was done"
    assert ["you play" in text for text in play.said] == [True, False]


def test_the_recording_says_who_did_what(tmp_path: Path) -> None:
    play = Play(8)
    play.at(3, key(3, "a"))
    play.at(6, key(6, "F9"), key(6, "a", False))
    recorder = Recorder(tmp_path, "both")
    play.run(recorder)
    with Recording.open(recorder.recordings[0]) as recording:
        users = [recording.user_action(frame) for frame in range(7)]
        executed = [recording.executed(frame) for frame in range(7)]
        system = [annotation.system_action.is_known for annotation in recording.annotations[1:]]
    persons, both = Action.of(["a"]), Action.of(["a"], dx=3)
    assert users == [None, None, persons, persons, persons, None, None]
    assert executed == [AGENT, AGENT, both, persons, persons, NOTHING, AGENT]
    assert system == [True, True, True, False, False, True, True]


@pytest.mark.parametrize(
    ("events", "is_taken"),
    [
        ([motion(3, 19)], False),
        ([motion(3, 10, -10)], True),
        ([motion(3, 19), motion(9, 19)], False),
        ([motion(3, 12), motion(4, -12)], True),
        ([InputEvent(1, "wheel", y=120)], True),
        ([InputEvent(1, "button", "0", True)], True),
        ([InputEvent(1, "button", "0", False)], False),
        ([key(3, "a", is_simulated=True)], False),
        ([key(3, "F9")], False),
        ([InputEvent(1, "mouse_position", x=100, y=100)], False),
    ],
)
def test_what_takes_over(events: list[InputEvent], is_taken: bool) -> None:
    play = Play()
    play.takeover.reset(0)
    for event in events:
        play.takeover.hear(event)
    assert play.takeover.turn is (Turn.PERSON if is_taken else Turn.AGENT)


def test_the_keys_of_a_hotkey_neither_take_over_nor_are_they_play() -> None:
    play = Play(12)
    play.takeover.keys = TakeoverKeys()
    play.takeover._near_hotkeys = play.takeover.keys.hotkeys()
    hotkey = [("RightAlt", True), ("Home", True), ("Home", False), ("RightAlt", False)]
    for first in (1, 6):
        for tick, (name, is_pressed) in enumerate(hotkey, first):
            play.at(tick, key(tick, name, is_pressed))
    play.at(5, key(5, "a"), key(5, "a", False))
    ticks = play.run()
    assert [tick.executed for tick in ticks[:4]] == [AGENT] * 4, "the agent plays on"
    assert [sorted(tick.executed.keys) for tick in ticks[4:7]] == [["a"], [], []]
    assert not {"RightAlt", "Home"} & set().union(*(tick.executed.keys for tick in ticks))
    assert ticks[-1].executed == AGENT


def test_the_agent_does_not_resume_while_the_keys_of_the_hotkey_are_held() -> None:
    """Its Space would be Alt and Space to a window manager, whose menu then takes the keyboard."""
    takeover = Takeover(Agent(), TakeoverKeys("RightAlt+Home"))
    takeover.reset(0)
    takeover.hear(key(1, "a"))
    events = [("RightAlt", True), ("Home", True), ("a", False), ("Home", False), ("RightAlt", False)]
    turns = []
    for tick, (name, is_pressed) in enumerate(events, 2):
        takeover.hear(key(tick, name, is_pressed))
        turns.append(takeover.turn)
    assert turns == [Turn.PERSON] * 4 + [Turn.AGENT]


def test_a_key_that_may_begin_a_hotkey_takes_over_when_it_is_held() -> None:
    play = Play(16)
    play.takeover._near_hotkeys = TakeoverKeys().hotkeys()
    play.at(2, key(2, "RightAlt"))
    ticks = play.run()
    held = [tick.index for tick in ticks if "RightAlt" in tick.executed.keys]
    assert held == list(range(held[0], 16)), "from then on"
    assert 10 <= held[0] <= 12, "half a second is ten ticks"


def test_a_held_key_that_repeats_after_the_agent_resumed_does_not_take_over_again() -> None:
    play = Play()
    play.takeover.reset(0)
    play.takeover.hear(key(1, "a"))
    play.takeover.hear(key(2, "F9"))
    play.takeover.hear(key(3, "a"))
    assert play.takeover.turn is Turn.AGENT
    play.takeover.hear(key(4, "a", False))
    play.takeover.hear(key(5, "a"))
    assert play.takeover.turn is Turn.PERSON


def test_a_key_that_both_hold_stays_down_until_the_person_lets_go() -> None:
    play = Play(9)
    held: dict[int, Action] = {}
    play.at(3, key(3, "w"))
    play.at(6, key(6, "w", False))
    for tick in (4, 5, 8):
        play.game.script[tick] = lambda tick=tick: held.update({tick: play.game.held})  # type: ignore[misc]
    ticks = play.run()
    assert held == {4: Action.of(["w"]), 5: Action.of(["w"]), 8: NOTHING}
    assert [sorted(tick.executed.keys) for tick in ticks[3:7]] == [["w"], ["w"], [], []]


def test_the_panic_key_releases_everything_and_ends_play() -> None:
    play = Play(6)
    play.at(3, key(3, "F12"))
    play.run()
    assert play.stopped == [True]
    assert play.takeover.turn is Turn.NOBODY
    assert play.game.done[3:] == [NOTHING] * 3
    play.takeover.hear(key(9, "a"))
    play.takeover.hear(key(9, "F9"))
    assert play.takeover.turn is Turn.NOBODY


@pytest.mark.parametrize(("is_ignored", "ends"), [(False, KeyboardInterrupt), (True, SystemExit)])
def test_the_panic_key_ends_play_where_ctrl_c_is_ignored(is_ignored: bool, ends: type[BaseException]) -> None:
    """A script's `eyehand play &` begins with SIGINT ignored."""

    def leave(*_: object) -> None:
        raise SystemExit(143)

    wanted = {signal.SIGINT: signal.SIG_IGN if is_ignored else signal.default_int_handler, signal.SIGTERM: leave}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        with pytest.raises(ends):
            Takeover(Agent()).panic(0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_play_has_stopped_before_anybody_is_told() -> None:
    play = Play(6)
    told_after: list[bool] = []
    play.takeover._say = lambda _: told_after.append(bool(play.stopped))
    play.takeover.panic(0)
    assert told_after == [True]


def test_play_stops_even_if_the_keys_cannot_be_released() -> None:
    def fail(kept: frozenset[str]) -> None:
        raise OSError("the desktop is gone")

    play = Play(6)
    play.takeover.release_except = fail
    with pytest.raises(OSError, match="is gone"):
        play.takeover.panic(0)
    assert play.stopped == [True]
    assert play.takeover.carry_out(AGENT, 1) == NOTHING


def test_a_person_far_away_is_carried_out_by_the_hands_of_the_game() -> None:
    play = Play(8)
    play.at(3, key(3, "a"), motion(3, 25), is_far=True)
    play.at(5, key(5, "d"), key(5, "d", False), is_far=True)
    play.game.script[6] = lambda: play.takeover.lose_far(6 * TICK_NS)
    ticks = play.run()
    assert [action.keys for action in play.game.done[3:]] == [{"a"}, {"a"}, {"a", "d"}, set(), set()]
    assert [action.dx for action in play.game.done[3:5]] == [25, 0]
    assert [tick.executed for tick in ticks[3:]] == play.game.done[3:]
    assert all(tick.decision is not None and tick.decision.by_user for tick in ticks[3:])


def test_a_person_far_away_plays_while_the_agent_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    play, goes_on = Play(12), threading.Event()

    def hang(observation: Observation) -> Decision:
        goes_on.wait()
        return Decision(NOTHING)

    monkeypatch.setattr(play.agent, "act", hang)
    monkeypatch.setattr(play.clock, "wait_for", lambda condition, is_true, deadline_ns: is_true())
    play.at(9, key(9, "a"), is_far=True)
    play.game.script[11] = goes_on.set
    ticks = play.run()
    assert [action.keys for action in play.game.done[8:11]] == [set(), {"a"}, {"a"}]
    assert [tick.executed.keys for tick in ticks[8:11]] == [set(), {"a"}, {"a"}]


def test_a_key_held_back_for_a_person_whose_connection_is_lost_is_never_pressed() -> None:
    takeover = Takeover(Agent())
    takeover.reset(0)
    takeover.hear(InputEvent(1, "key", "RightAlt", True), is_far=True)
    takeover.lose_far(2)
    takeover.executed_action(None, NOTHING, 10 * TICK_NS + 1_000_000_000)
    assert takeover.turn is Turn.AGENT
    takeover.hear(InputEvent(2_000_000_000, "key", "w", True), is_far=True)
    takeover.hear(InputEvent(2_000_000_001, "key", "Home", True), is_far=True)
    assert takeover.turn is Turn.PERSON  # and Home alone is no hotkey
    assert takeover.carry_out(NOTHING, 2_000_000_002).keys == {"w", "Home"}


def test_what_is_typed_while_the_session_pauses_is_not_the_games() -> None:
    play = Play(6)
    play.takeover.reset(0)
    play.game.is_paused = True
    play.takeover.hear(key(1, "a"))
    play.takeover.hear(motion(1, 100))
    assert play.takeover.turn is Turn.AGENT
    play.game.is_paused = False
    play.takeover.hear(key(2, "b"))
    assert play.takeover.turn is Turn.PERSON
    assert play.takeover.executed_action(None, NOTHING, 3 * TICK_NS)[1] == Action.of(["b"])


@pytest.mark.parametrize("is_rated", [True, False])
def test_a_persons_thumbs_are_the_score_where_the_game_says_so_and_always_recorded(
    is_rated: bool, tmp_path: Path
) -> None:
    play = Play(12)
    play.takeover._near_hotkeys = TakeoverKeys().hotkeys()
    play.takeover.is_rated = is_rated
    for first, name in ((2, "PageUp"), (5, "PageDown")):
        for tick, (pressed, is_pressed) in enumerate([("RightAlt", True), (name, True), (name, False)], first):
            play.at(tick, key(tick, pressed, is_pressed))
        play.at(first + 2, key(first + 2, name, False), key(first + 2, "RightAlt", False))
    play.game.script[8] = lambda: play.takeover.rate(True, play.clock.now_ns())
    play.game.script[9] = lambda: play.takeover.rate(True, play.clock.now_ns())
    recorder = Recorder(tmp_path, "agent", take_events=play.takeover.take_events)
    ticks = play.run(recorder)
    scores = [tick.outcome.score for tick in ticks]
    assert scores == ([0, 0, 0, 1, 1, 1, 0, 0, 1, 2, 2, 2] if is_rated else [0] * 12)
    assert {tick.executed for tick in ticks} == {AGENT}, "to rate is not to take over"
    with Recording.open(recorder.recordings[0]) as recording:
        events = [event for frame in range(recording.num_frames) for event in recording.events_before(frame)]
    pressed = [event.name for event in events if event.is_pressed and event.name.startswith("hotkey:thumb")]
    assert pressed.count("hotkey:thumb_up") == 4, "RightAlt, PageUp, and two buttons of the page"
    assert pressed.count("hotkey:thumb_down") == 2


@pytest.mark.parametrize("keys", [("F9", "F9"), ("Hyper", "F12")])
def test_hotkeys_that_cannot_be_are_said(keys: tuple[str, str]) -> None:
    with pytest.raises(UserError):
        Takeover(Agent(), TakeoverKeys(*keys))


names = st.sampled_from("wasd")
events = st.lists(
    st.tuples(st.integers(0, 999), st.one_of(st.tuples(names, st.booleans()), st.tuples(st.integers(-9, 9)))),
    max_size=40,
)


@given(events=events, tick=st.integers(1, 200))
def test_a_persons_ticks_hold_every_motion_and_every_press(
    events: list[tuple[int, tuple[str, bool] | tuple[int]]], tick: int
) -> None:
    state = InputState()
    pressed: list[tuple[int, str]] = []
    total = 0
    for time_ns, what in sorted(events, key=lambda event: event[0]):
        if len(what) == 1:
            total += what[0]
            assert state.hear(InputEvent(time_ns, "mouse_delta", x=what[0]))
        elif state.hear(InputEvent(time_ns, "key", what[0], what[1])) and what[1]:
            pressed.append((time_ns, what[0]))
    actions = [state.take(end) for end in range(tick, 1000 + tick, tick)]
    assert sum(action.dx for action in actions) == total
    assert all(name in actions[time_ns // tick].keys for time_ns, name in pressed)
    assert actions[-1].keys >= state.keys
