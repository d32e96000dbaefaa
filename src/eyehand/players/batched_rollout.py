"""Batched rollout: one policy plays several stepped games at once, one forward pass a tick for all of them.

Each game has a session of its own on a thread of its own; a `RolloutPlayer` is the player of that session. A tick is
decided when every game that still plays has come to its own, so the games go on in step, and a batch costs little more
than one decision. For stepped games only: in real time nobody may wait for another game.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from eyehand.checkpoint import checkpoint_digest, find_checkpoint, load_checkpoint
from eyehand.game import Game
from eyehand.player import Decision, Observation
from eyehand.players.kinds import check_rate
from eyehand.players.policy import BatchPolicyPlayer

__all__ = ["BatchedRollout", "RolloutPlayer", "rollout_of"]

Result = TypeVar("Result")


class BatchedRollout:
    """Plays as many games at once as the batch of a `BatchPolicyPlayer` holds."""

    def __init__(self, player: BatchPolicyPlayer) -> None:
        self.checkpoint = player.checkpoint
        self._player = player
        self._changed = threading.Condition()
        self._playing: set[int] = set()
        self._seen: dict[int, Observation] = {}
        self._decided: dict[int, Decision] = {}
        self._failure: BaseException | None = None

    def play(self, parts: Sequence[Callable[[RolloutPlayer], Result]]) -> list[Result]:
        """Let every part play as one player of the batch, all at the same time; returns what they return, in order.

        Raises:
            ValueError: more parts than the batch holds.
            Exception: the policy's failure or the first of a part, after all have ended.
            KeyboardInterrupt: Ctrl-C; the parts end at their next tick.
        """
        if len(parts) > self._player.batch:
            raise ValueError(f"{len(parts)} games do not fit into a batch of {self._player.batch}")
        self._failure = None
        self._playing = set(range(len(parts)))
        with ThreadPoolExecutor(max(1, len(parts)), "eyehand rollout") as pool:
            futures = [pool.submit(self._play_one, part, index) for index, part in enumerate(parts)]
            try:
                wait(futures)
            except BaseException as error:  # the pool would wait until every game is over
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
        if self._failure is not None:
            raise self._failure
        return [future.result() for future in futures]

    def _play_one(self, part: Callable[[RolloutPlayer], Result], index: int) -> Result:
        try:
            return part(RolloutPlayer(self, index))
        finally:
            with self._changed:
                self._playing.discard(index)
                self._seen.pop(index, None)
                self._decided.pop(index, None)
                self._decide_if_all_are_there()

    def reset(self, index: int, seed: int) -> None:
        """A new episode begins at this place of the batch."""
        with self._changed:
            self._player.reset(index, seed)

    def act(self, index: int, observation: Observation) -> Decision:
        """Wait for the others, then the decision for this one."""
        with self._changed:
            self._seen[index] = observation
            self._decide_if_all_are_there()
            self._changed.wait_for(lambda: index in self._decided or self._failure is not None)
            if self._failure is not None:
                raise RuntimeError("the batch has ended") from self._failure
            return self._decided.pop(index)

    def _decide_if_all_are_there(self) -> None:
        """Decide for all once each of them has seen its frame; `_changed` is held."""
        if not self._seen or set(self._seen) != self._playing:
            return
        try:
            decisions = self._player.act([self._seen.get(index) for index in range(self._player.batch)])
        except BaseException as error:
            self._failure = error
        else:
            self._decided |= {index: decisions[index] for index in self._seen}
        self._seen.clear()
        self._changed.notify_all()


class RolloutPlayer:
    """A `Player` whose decisions are made together with those of the rest of the batch."""

    def __init__(self, rollout: BatchedRollout, index: int) -> None:
        self._rollout = rollout
        self._index = index

    def at(self, game: Game) -> RolloutPlayer:
        """This, to play a game; see `check_rate`."""
        check_rate(self._rollout.checkpoint.name, self._rollout.checkpoint.fps, game)
        return self

    def reset(self, seed: int) -> None:
        self._rollout.reset(self._index, seed)

    def act(self, observation: Observation) -> Decision:
        return self._rollout.act(self._index, observation)


def rollout_of(checkpoint: str, batch: int) -> BatchedRollout:
    """That of this process, made anew only when the checkpoint is another one: it takes longer than a short episode."""
    folder = find_checkpoint(checkpoint)
    return _rollout(folder, checkpoint_digest(folder), batch)


@lru_cache(maxsize=1)
def _rollout(folder: Path, digest: str, batch: int) -> BatchedRollout:
    player = BatchPolicyPlayer(load_checkpoint(folder), batch, threads=1)
    player.warm_up()
    return BatchedRollout(player)
