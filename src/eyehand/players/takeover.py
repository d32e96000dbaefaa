"""Takeover: a person interrupts an agent and lets it resume. `Takeover` is their player, `SharedGame` their game.

The agent plays until the person does anything with keyboard or mouse: at that event, on the thread that heard it,
everything that the agent holds is released, and no action of the agent's is executed until the key that lets it
resume. The agent gets every picture and executed action meanwhile, so that its history has no gap. A person at the
game's own keyboard reaches the game directly; remote input (`eyehand view`) is injected.
Ticks of the person's are recorded as a user's, the agent's as the system's; where both acted in one tick, all of it is
the system's and the person's part of a takeover is its label. Knows no X11 and no network.
"""

from __future__ import annotations

import _thread
import enum
import signal
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from eyehand.action import NOTHING, Action
from eyehand.input_event import HOTKEY, InputEvent
from eyehand.player import Decision, Observation, Player
from eyehand.players.hotkeys import PANIC, RESUME, THUMB_DOWN, THUMB_UP, TakeoverKeys
from eyehand.players.input_state import InputState

__all__ = ["Takeover", "Turn"]

_MOTION_MEMORY_NS = 250_000_000


def _interrupt() -> None:
    """Do what Ctrl-C does; where that is ignored (a script's `eyehand play &`), what SIGTERM does."""
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    _thread.interrupt_main(signal.SIGTERM if is_ignored else signal.SIGINT)


class Turn(enum.Enum):
    """Who is in control of the game."""

    AGENT = "agent"
    PERSON = "person"
    NOBODY = "nobody"


class Takeover:
    """A `Player` that is an agent and a person in turns, and the `session.ExecutedActionSource` of what the person did.

    Args:
        agent: the player until a person takes over.
        keys: the hotkeys.
        motion_px: mouse motion within a quarter of a second that takes over.
        say: called with a sentence at every change of control.
        stop: called when the panic key was pressed; by default it does what Ctrl-C does.

    Attributes:
        thumbs: thumbs up less thumbs down in this episode. is_rated: they are the game's score.
    """

    def __init__(
        self,
        agent: Player,
        keys: TakeoverKeys | None = None,
        *,
        motion_px: int = 20,
        say: Callable[[str], None] = lambda _: None,
        stop: Callable[[], None] = _interrupt,
    ) -> None:
        self.agent = agent
        self.keys = keys or TakeoverKeys()
        self.motion_px = motion_px
        self.lock = threading.RLock()
        self.turn = Turn.AGENT
        self.is_playing = self._is_to_resume = False
        self.thumbs, self.is_rated = 0, False
        self.is_paused: Callable[[], bool] = lambda: False
        self.release_except: Callable[[frozenset[str]], None] = lambda _: None
        self._say, self._stop = say, stop
        self._near, self._far = InputState(), InputState()
        self._near_hotkeys, self._far_hotkeys = self.keys.hotkeys(), self.keys.hotkeys()
        self._events: deque[InputEvent] = deque()
        self._tick_ns = self._until_ns = 0
        self._recent: deque[tuple[int, int]] = deque()
        self._changes: deque[tuple[int, Turn]] = deque()
        self._turn_at_tick = Turn.AGENT
        self._held, self._shared = NOTHING, frozenset[str]()
        self._by_agent, self._by_far = NOTHING, NOTHING

    @property
    def stage_ms(self) -> dict[str, float]:
        """The agent's, see `PolicyPlayer.stage_ms`."""
        return dict(getattr(self.agent, "stage_ms", {}))

    def reset(self, seed: int) -> None:
        """Begin an episode, with the same one in control."""
        self.agent.reset(seed)
        with self.lock:
            self._near.forget()
            self._far.forget()
            self._events.clear()
            self._tick_ns = self._until_ns = 0
            self._changes.clear()
            self._turn_at_tick = self.turn
            self._by_agent = self._by_far = self._held = NOTHING
            self.thumbs = 0
            self.is_playing = True

    def act(self, observation: Observation) -> Decision:
        """The agent's decision. Whether it is executed is decided later, by `carry_out`."""
        return self.agent.act(observation)

    def hear(self, event: InputEvent, *, is_far: bool = False) -> None:
        """Take in an input event; thread-safe. Simulated events are kept for the recording only."""
        with self.lock:
            known, hotkey = (self._far_hotkeys if is_far else self._near_hotkeys).hear(event)
            for one in known:
                self._take_in(one, is_far)
            if hotkey == PANIC:
                self.panic(event.time_ns)
            if hotkey in (THUMB_UP, THUMB_DOWN):
                self._rate(hotkey)
            self._is_to_resume |= hotkey == RESUME
            # While the person still holds RightAlt, the agent's Space would be Alt and Space: a window manager's menu.
            if self._is_to_resume and not self._near_hotkeys.is_begun(RESUME):
                self._is_to_resume = False
                self.resume(event.time_ns)

    def rate(self, up: bool, time_ns: int) -> None:
        """Thumbs up or down, by a page's button."""
        name = THUMB_UP if up else THUMB_DOWN
        with self.lock:
            for is_pressed in (True, False):
                self._take_in(InputEvent(time_ns, "key", HOTKEY + name, is_pressed), True)
            self._rate(name)

    def take_events(self) -> list[InputEvent]:
        """The events since the last call, up to the picture of the last completed tick."""
        with self.lock:
            events: list[InputEvent] = []
            while self._events and self._events[0].time_ns < self._tick_ns:
                events.append(self._events.popleft())
            return events

    def lose_far(self, time_ns: int) -> None:
        """Release everything that remote input holds: its connection is lost."""
        with self.lock:
            self._far_hotkeys = self.keys.hotkeys()  # what is held back is lost too: nobody will release it
            if self._far.is_holding:
                self._far.release(time_ns)
                self.release_except(frozenset())

    def resume(self, time_ns: int) -> None:
        """Let the agent resume."""
        with self.lock:
            if self.turn is Turn.PERSON:
                self.release_except(frozenset())
                self._change(Turn.AGENT, time_ns)
                self._say("the agent plays; any key, click or motion of the mouse takes over.")

    def panic(self, time_ns: int) -> None:
        """Release everything, execute nothing more, and end play; the message comes last."""
        with self.lock:
            if self.turn is not Turn.NOBODY:
                self._change(Turn.NOBODY, time_ns)
                try:
                    self.release_except(frozenset())
                finally:
                    self._stop()
                self._say("everything is released, play ends.")

    def carry_out(self, action: Action, now_ns: int) -> Action:
        """The action to inject now: the agent's, or the remote person's while a person plays."""
        with self.lock:
            if self.turn is Turn.AGENT:
                return action
            if self.turn is Turn.NOBODY:
                return NOTHING
            done = self._far.take(now_ns + 1)
            # A key that the agent held when the person pressed it stays down as long as the person holds it: letting
            # go of ours would take it from them, for the server knows one state of a key.
            self._shared &= self._near.keys
            return Action(done.keys | self._shared, done.buttons, done.dx, done.dy, done.scroll_dx, done.scroll_dy)

    def note_done(self, done: Action) -> None:
        """Note the executed part of `carry_out`'s action; called with the same lock held."""
        if self.turn is Turn.AGENT:
            self._by_agent = self._by_agent.then(done)
            self._held = done.held()
        else:
            # The shared keys are the person's own, and their events say how long.
            self._by_far = self._by_far.then(replace(done, keys=done.keys - self._shared))

    def executed_action(
        self, decision: Decision | None, executed: Action, until_ns: int
    ) -> tuple[Decision | None, Action]:
        """The decision and the executed action of a tick, by agent and person; see `session.ExecutedActionSource`."""
        with self.lock:
            for is_far, hotkeys in ((False, self._near_hotkeys), (True, self._far_hotkeys)):
                for event in hotkeys.settle(until_ns):
                    self._take_in(event, is_far)
            self._tick_ns, self._until_ns = self._until_ns, until_ns
            turns = [self._turn_at_tick]
            while self._changes and self._changes[0][0] < until_ns:
                turns.append(self._changes.popleft()[1])
            self._turn_at_tick = turns[-1]
            near, far, agents = self._near.take(until_ns), self._by_far, self._by_agent
            self._by_far = self._by_agent = NOTHING
        if set(turns) <= {Turn.AGENT}:
            return decision, executed
        persons = _both(near, far)
        if set(turns) == {Turn.PERSON}:
            return Decision(persons, by_user=True), persons
        if turns == [Turn.AGENT, Turn.PERSON]:
            everything = agents.then(persons)
            return Decision(everything, label=persons), everything
        everything = persons.then(agents)
        return Decision(everything), everything

    def _rate(self, hotkey: str) -> None:
        if self.is_playing and not self.is_paused():
            self.thumbs += 1 if hotkey == THUMB_UP else -1
            if self.is_rated:
                self._say(f"thumbs {hotkey.removeprefix('thumb_')}: {self.thumbs:+d}.")

    def _take_in(self, event: InputEvent, is_far: bool) -> None:
        """Keep an event, and take over if the person means it."""
        is_release = event.kind in ("key", "button") and not event.is_pressed
        is_for_game = self.is_playing and not self.is_paused()
        if is_for_game or (self.is_playing and is_release):
            self._events.append(event)
        if event.is_simulated or event.name.startswith(HOTKEY) or not (is_for_game or is_release):
            return
        state = self._far if is_far else self._near
        if state.hear(event) and self.turn is Turn.AGENT and is_for_game and self._is_meant(event):
            self._take_over(event.time_ns)

    def _take_over(self, time_ns: int) -> None:
        self._shared = self._held.keys & self._near.keys
        self.release_except(self._shared)
        self._change(Turn.PERSON, time_ns)
        self._say(f"you play; {self.keys.resume_key} gives the game back to the agent, {self.keys.panic_key} ends it.")

    def _change(self, turn: Turn, time_ns: int) -> None:
        self.turn = turn
        self._changes.append((time_ns, turn))
        self._recent.clear()
        self._held = NOTHING

    def _is_meant(self, event: InputEvent) -> bool:
        """Whether an event takes over: a press, a turn of the wheel, or more than a nudge of the mouse."""
        if event.kind in ("key", "button"):
            return event.is_pressed
        if event.kind == "wheel":
            return True
        self._recent.append((event.time_ns, abs(event.x) + abs(event.y)))
        while event.time_ns - self._recent[0][0] > _MOTION_MEMORY_NS:
            self._recent.popleft()
        return sum(px for _, px in self._recent) >= self.motion_px


def _both(one: Action, other: Action) -> Action:
    """The union of two input states, with the sum of their motion."""
    return Action(
        one.keys | other.keys,
        one.buttons | other.buttons,
        one.dx + other.dx,
        one.dy + other.dy,
        one.scroll_dx + other.scroll_dx,
        one.scroll_dy + other.scroll_dy,
    )
