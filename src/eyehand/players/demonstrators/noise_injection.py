"""Noise injection (DART, arXiv 1703.09327): now and then another action is done, and the expert shows how to recover.

A policy that has seen only faultless play does not know the way back from its own mistakes. In a burst of a few ticks
random Actions are executed (not the user's, labelled with what the demonstrator would have done); afterwards the
demonstrator goes on from wherever the burst has brought it, and that counts as the user's play.
"""

from __future__ import annotations

import numpy as np

from eyehand.action import Action
from eyehand.clock import FPS
from eyehand.player import Decision, Observation, Player

__all__ = ["NoiseInjection"]


class NoiseInjection:
    """A player that errs in bursts.

    Args:
        player: whose play is recorded; asked at every tick, also during a burst.
        bursts_per_s: how often a burst begins, on average, while there is none.
        start_share: in so many episodes a burst begins at the first tick, or short tasks would all begin alike.
        min_ticks, max_ticks: how long a burst lasts.
        keys: what may be held by mistake.
        may_fire: whether shots may be fired by mistake.
        fps: ticks per second.
    """

    def __init__(
        self,
        player: Player,
        bursts_per_s: float = 0.3,
        start_share: float = 0.3,
        min_ticks: int = 3,
        max_ticks: int = 10,
        keys: tuple[str, ...] = ("w", "a", "s", "d"),
        may_fire: bool = True,
        fps: float = FPS,
    ) -> None:
        self.player = player
        self.keys = keys
        self.may_fire = may_fire
        self.min_ticks = min_ticks
        self.max_ticks = max_ticks
        self.start_share = start_share
        self._begin_probability = bursts_per_s / fps
        self._draw_bursts(0)

    def reset(self, seed: int) -> None:
        self.player.reset(seed)
        self._draw_bursts(seed)

    def _draw_bursts(self, seed: int) -> None:
        """Draw this episode's bursts from this seed."""
        self._rng = np.random.default_rng([seed, 0x50455254])
        self._left_ticks = 0
        self._mistake = Action()
        if self._rng.random() < self.start_share:
            self._begin_burst()

    def act(self, observation: Observation) -> Decision:
        decision = self.player.act(observation)
        if self._left_ticks == 0 and self._rng.random() < self._begin_probability:
            self._begin_burst()
        if self._left_ticks == 0:
            return decision
        self._left_ticks -= 1
        label = decision.action if decision.by_user else decision.label
        return Decision(self._tremble(), by_user=False, label=label)

    def _begin_burst(self) -> None:
        self._left_ticks = int(self._rng.integers(self.min_ticks, self.max_ticks + 1))
        self._mistake = self._draw()

    def _draw(self) -> Action:
        """One mistake: a turn, a step, both, or standing still, perhaps with the trigger pulled."""
        keys = set()
        if self.keys and self._rng.random() < 0.6:
            keys.add(str(self._rng.choice(self.keys)))
        dx = self._rng.normal(0.0, 60.0) if self._rng.random() < 0.7 else 0.0
        buttons = {"0"} if self.may_fire and self._rng.random() < 0.15 else set()
        return Action.of(keys, buttons, max(-140.0, min(140.0, dx)))

    def _tremble(self) -> Action:
        """The mistake of this burst, with a motion that is not the same in every tick."""
        mistake = self._mistake
        return Action.of(mistake.keys, mistake.buttons, mistake.dx * self._rng.uniform(0.6, 1.2))
