"""The contract of a player: observations in, decisions out. People, policies, experts and mixtures are players."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame

__all__ = ["Decision", "Observation", "Player"]


@dataclass(frozen=True, slots=True)
class Observation:
    """The input of a player at a tick.

    Attributes:
        frame: the newest picture.
        instruction: in words; None: none.
        executed: the action executed since the previous Observation of this episode, which need not be this player's
            (its decision was late, another player acted, noise was injected).
    """

    frame: Frame
    instruction: str | None = None
    executed: Action = NOTHING


@dataclass(frozen=True, slots=True)
class Decision:
    """The action that a player chooses, and how to record it.

    Attributes:
        action: to execute.
        by_user: whether the action is a person's or an expert's, which is a learning target; a policy's own actions
            and injected noise are not.
        label: the expert's action where another one was executed (DAgger, noise injection): the learning target
            instead of `action`.
    """

    action: Action
    by_user: bool = False
    label: Action | None = None


class Player(Protocol):
    """Chooses an action for every observation."""

    def reset(self, seed: int) -> None:
        """Forget the last episode; draw all randomness of the next one from this seed."""
        ...

    def act(self, observation: Observation) -> Decision:
        """The decision for one tick. May take long: a real-time Session drops late ones."""
        ...
