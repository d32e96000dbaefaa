"""A person who plays with their own hands: a `Player` that does nothing, and the source of what was done.

The person's input reaches the game without us; what they did between two pictures is known when the second one is
there. Events are kept only while somebody watches a game (`start_at` to `stop`): what is typed elsewhere is nobody's
business, and only which keys are down is remembered. Knows no window; told of events by whoever hears them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from eyehand.action import NOTHING, Action
from eyehand.input_event import HOTKEY, InputEvent
from eyehand.player import Decision, Observation
from eyehand.players.input_state import InputState

__all__ = ["HumanPlayer"]


class HumanPlayer:
    """One person. `hear` may be called on another thread than the rest.

    Args:
        catch_up: returns when everything that has happened has been heard; see `Listener.catch_up`.
    """

    def __init__(self, catch_up: Callable[[], None] = lambda: None) -> None:
        self.catch_up = catch_up
        self._lock = threading.Lock()
        self._hands = InputState()
        self._events: deque[InputEvent] = deque()
        self._batches: deque[list[InputEvent]] = deque()
        self._is_watched = False

    def hold(self, keys: frozenset[str], buttons: frozenset[str]) -> None:
        """This is down already, though no event said so."""
        with self._lock:
            self._hands.keys.update(keys)
            self._hands.buttons.update(buttons)
            self._hands.forget()

    def hear(self, event: InputEvent) -> None:
        """This happened. Simulated events are recorded and are not the person's; hotkeys neither."""
        with self._lock:
            if self._is_watched:
                self._events.append(event)
            if not (event.is_simulated or event.name.startswith(HOTKEY)):
                self._hands.hear(event)
            if not self._is_watched:
                self._hands.forget()

    def start_at(self, time_ns: int) -> None:
        """The first picture was taken: what is done from then on counts."""
        with self._lock:
            self._hands.take(time_ns)
            self._events_before(time_ns)
            self._batches.append([])

    def stop(self) -> None:
        """Nobody watches any more."""
        with self._lock:
            self._is_watched = False
            self._events.clear()
            self._batches.clear()
            self._hands.forget()

    def reset(self, seed: int) -> None:
        """Somebody watches from now on."""
        with self._lock:
            self._is_watched = True
            self._events.clear()
            self._batches.clear()
            self._hands.forget()

    def act(self, observation: Observation) -> Decision:
        """Nothing: the person's hands are their own."""
        return Decision(NOTHING, by_user=True)

    def executed_action(
        self, decision: Decision | None, executed: Action, until_ns: int
    ) -> tuple[Decision | None, Action]:
        """What the person did; see `session.ExecutedActionSource`."""
        self.catch_up()
        with self._lock:
            done = self._hands.take(until_ns)
            self._batches.append(self._events_before(until_ns))
        return Decision(done, by_user=True), done

    def next_events(self) -> list[InputEvent]:
        """The events before the next picture: none before the first, then those of the action that led to it."""
        with self._lock:
            return self._batches.popleft()

    def _events_before(self, time_ns: int) -> list[InputEvent]:
        events: list[InputEvent] = []
        while self._events and self._events[0].time_ns < time_ns:
            events.append(self._events.popleft())
        return events
