"""A person at their own keyboard and mouse: a `Player` without actions, and the source of the executed ones.

The person's input reaches the game directly; the action between two pictures is known when the second one is captured.
Events are kept only during an episode (`start_at` to `stop`): of input elsewhere only the held keys are remembered.
Knows no window; a listener calls `hear`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from eyehand.action import NOTHING, Action
from eyehand.input_event import HOTKEY, InputEvent
from eyehand.player import Decision, Observation
from eyehand.players.hotkeys import Hotkeys
from eyehand.players.input_state import InputState

__all__ = ["HumanPlayer"]


class HumanPlayer:
    """One person. `hear` may be called on another thread than the rest.

    Args:
        hotkeys: combinations that are not play.
        catch_up: returns when all events so far have reached `hear`; see `Listener.catch_up`.
    """

    def __init__(self, hotkeys: Hotkeys | None = None, catch_up: Callable[[], None] = lambda: None) -> None:
        self._hotkeys = hotkeys or Hotkeys({})
        self.catch_up = catch_up
        self._lock = threading.Lock()
        self._hands = InputState()
        self._events: deque[InputEvent] = deque()
        self._batches: deque[list[InputEvent]] = deque()
        self._is_watched = False

    def hold(self, keys: frozenset[str], buttons: frozenset[str]) -> None:
        """Set keys and buttons that were down before the first event."""
        with self._lock:
            self._hands.keys.update(keys)
            self._hands.buttons.update(buttons)
            self._hands.forget()

    def hear(self, event: InputEvent) -> str | None:
        """Take in an input event. Simulated events and hotkeys are kept for the recording, but are not the person's.

        Returns:
            The name of the hotkey that it fires; None: none.
        """
        with self._lock:
            known, fired = self._hotkeys.hear(event)
            self._take_in(known)
        return fired

    def start_at(self, time_ns: int) -> None:
        """Begin the first tick, at the capture time of the first picture."""
        with self._lock:
            self._hands.take(time_ns)
            self._events_before(time_ns)
            self._batches.append([])

    def stop(self) -> None:
        """End the episode: events are no longer kept."""
        self._watch(False)

    def reset(self, seed: int) -> None:
        """Begin an episode: events are kept from now on."""
        self._watch(True)

    def _watch(self, is_watched: bool) -> None:
        with self._lock:
            self._is_watched = is_watched
            self._events.clear()
            self._batches = deque([[]])
            self._hands.forget()

    def act(self, observation: Observation) -> Decision:
        """No action: the person's input reaches the game directly."""
        return Decision(NOTHING, by_user=True)

    def executed_action(
        self, decision: Decision | None, executed: Action, until_ns: int
    ) -> tuple[Decision | None, Action]:
        """The person's action; see `session.ExecutedActionSource`."""
        self.catch_up()
        with self._lock:
            self._take_in(self._hotkeys.settle(until_ns))
            done = self._hands.take(until_ns)
            self._batches.append(self._events_before(until_ns))
        return Decision(done, by_user=True), done

    def next_events(self) -> list[InputEvent]:
        """The next batch, as `Recorder` asks for it: one when an episode starts and one for its first picture, both
        empty, then the events of the action that led to each picture. May be called on a third thread."""
        with self._lock:
            return self._batches.popleft()

    def _take_in(self, events: list[InputEvent]) -> None:
        for event in events:
            if self._is_watched:
                self._events.append(event)
            if not (event.is_simulated or event.name.startswith(HOTKEY)):
                self._hands.hear(event)
        if not self._is_watched:
            self._hands.forget()

    def _events_before(self, time_ns: int) -> list[InputEvent]:
        events: list[InputEvent] = []
        while self._events and self._events[0].time_ns < time_ns:
            events.append(self._events.popleft())
        return events
