"""Noise injection (DART, arXiv 1703.09327): bursts of random actions, from which the expert shows how to recover.

A policy trained on faultless play cannot recover from its own mistakes. In a burst of a few ticks random Actions are
executed (not the user's, labelled with the expert's actions); afterwards the expert continues from the state that the
burst has led to, as the user.
"""

from __future__ import annotations

import numpy as np

from eyehand.action import Action
from eyehand.clock import FPS
from eyehand.player import Decision, Observation, Player

__all__ = ["NoiseInjection"]


class NoiseInjection:
    """An expert with noise injection.

    Args:
        player: the expert; asked at every tick, also during a burst.
        bursts_per_s: mean rate of bursts, outside of bursts.
        start_share: share of the episodes that begin with a burst, or short tasks would all begin alike.
        min_ticks, max_ticks: length of a burst.
        keys: that random actions may hold.
        may_fire: whether random actions may fire.
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
        """A random action: a turn, a step, both, or standing still, perhaps with the trigger pulled."""
        keys = set()
        if self.keys and self._rng.random() < 0.6:
            keys.add(str(self._rng.choice(self.keys)))
        dx = self._rng.normal(0.0, 60.0) if self._rng.random() < 0.7 else 0.0
        buttons = {"0"} if self.may_fire and self._rng.random() < 0.15 else set()
        return Action.of(keys, buttons, max(-140.0, min(140.0, dx)))

    def _tremble(self) -> Action:
        """The action of this burst, with motion that varies from tick to tick."""
        mistake = self._mistake
        return Action.of(mistake.keys, mistake.buttons, mistake.dx * self._rng.uniform(0.6, 1.2))
