"""Self-imitation: a policy's own actions are recorded as its labels, several times from the same start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eyehand.player import Decision, Observation, Player

__all__ = ["SelfImitation"]


class SelfImitation:
    """A `Player` whose every action is also its label.

    Args:
        player: who acts.
        attempt: of several at one start: the seed of the start gives the player other draws in each.
    """

    def __init__(self, player: Player, attempt: int = 0) -> None:
        self.player, self.attempt = player, attempt

    def reset(self, seed: int) -> None:
        if self.attempt:
            seed = int(np.random.SeedSequence([seed, self.attempt]).generate_state(1)[0])
        self.player.reset(seed)

    def act(self, observation: Observation) -> Decision:
        decision = self.player.act(observation)
        return replace(decision, label=decision.action)
