"""One policy that plays several games at once: `Seats` gathers what its seats see and decides for all in one batch.

Each game has a session of its own on a thread of its own; a seat is the player of that session. A tick is decided when
every seated game has come to its own, so the games go on in step, and a batch costs little more than one decision.
For stepped games only: in real time nobody may wait for another game.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from eyehand.player import Decision, Observation
from eyehand.players.policy import BatchPolicyPlayer

__all__ = ["Seat", "Seats"]

Result = TypeVar("Result")


class Seats:
    """The places at one `BatchPolicyPlayer`, as many as its batch."""

    def __init__(self, player: BatchPolicyPlayer) -> None:
        self._player = player
        self._changed = threading.Condition()
        self._seated: set[int] = set()
        self._seen: dict[int, Observation] = {}
        self._decided: dict[int, Decision] = {}
        self._failure: BaseException | None = None

    def play(self, parts: Sequence[Callable[[Seat], Result]]) -> list[Result]:
        """Let every part play with a seat of its own, all at the same time; returns what they return, in order.

        Raises:
            ValueError: more parts than seats.
            Exception: the first failure of a part, after all have ended.
        """
        if len(parts) > self._player.batch:
            raise ValueError(f"{len(parts)} parts want to play with {self._player.batch} seats")
        self._failure = None
        self._seated = set(range(len(parts)))
        with ThreadPoolExecutor(max(1, len(parts)), "eyehand seat") as pool:
            futures = [pool.submit(self._sit, part, index) for index, part in enumerate(parts)]
        return [future.result() for future in futures]

    def _sit(self, part: Callable[[Seat], Result], index: int) -> Result:
        try:
            return part(Seat(self, index))
        finally:
            with self._changed:
                self._seated.discard(index)
                self._seen.pop(index, None)
                self._decide_if_all_are_there()

    def reset(self, index: int, seed: int) -> None:
        """A new episode begins at this seat."""
        with self._changed:
            self._player.reset(index, seed)

    def act(self, index: int, observation: Observation) -> Decision:
        """Wait for the others, then the decision for this seat."""
        with self._changed:
            self._seen[index] = observation
            self._decide_if_all_are_there()
            self._changed.wait_for(lambda: index in self._decided or self._failure is not None)
            if self._failure is not None:
                raise RuntimeError("the policy failed at another seat") from self._failure
            return self._decided.pop(index)

    def _decide_if_all_are_there(self) -> None:
        """Decide for all seats once each of them has seen its frame; `_changed` is held."""
        if not self._seen or set(self._seen) != self._seated:
            return
        try:
            decisions = self._player.act([self._seen.get(index) for index in range(self._player.batch)])
        except BaseException as error:
            self._failure = error
        else:
            self._decided |= {index: decisions[index] for index in self._seen}
        self._seen.clear()
        self._changed.notify_all()


class Seat:
    """A `Player` whose decisions are made together with those of the other seats."""

    def __init__(self, seats: Seats, index: int) -> None:
        self._seats = seats
        self._index = index

    def reset(self, seed: int) -> None:
        self._seats.reset(self._index, seed)

    def act(self, observation: Observation) -> Decision:
        return self._seats.act(self._index, observation)
