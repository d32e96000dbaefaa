"""The contract of a player: who acts. Humans, policies, demonstrators, replays and mixtures of them are players."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame

__all__ = ["Decision", "Observation", "Player"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What a player is told at a tick.

    Attributes:
        frame: the newest picture.
        instruction: what to do, in words; None: nothing was said.
        executed: what was really done since the previous Observation of this episode, which need not be what
            this player asked for (dropped, taken over, perturbed).
    """

    frame: Frame
    instruction: str | None = None
    executed: Action = NOTHING


@dataclass(frozen=True, slots=True)
class Decision:
    """What a player wants, and how it is to be recorded.

    Attributes:
        action: what to do.
        by_user: whether the action counts as a person's (or demonstrator's), which a policy should learn; a
            policy's own actions and injected perturbations do not.
        label: what the user would have done instead, where that is known although the action was not the user's
            (a demonstrator watching a policy). It is a learning target; the action is what happened.
    """

    action: Action
    by_user: bool = False
    label: Action | None = None


class Player(Protocol):
    """Decides what to do from what it sees."""

    def reset(self, seed: int) -> None:
        """Forget the last episode; draw all randomness of the next one from this seed."""
        ...

    def act(self, observation: Observation) -> Decision:
        """Decide on one tick. May take long: a real-time Session drops what comes late."""
        ...
