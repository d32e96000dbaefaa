"""DAgger (Ross et al., arXiv 1011.0686): the learner plays, the expert labels every tick with its own action.

Learner and expert act in turns of a few seconds, so that the recordings hold the learner's own mistakes and the
expert's way out of them.
"""

from __future__ import annotations

import numpy as np

from eyehand.clock import FPS
from eyehand.player import Decision, Observation, Player

__all__ = ["Dagger"]


class Dagger:
    """A `Player` in whose turns learner and expert act.

    Args:
        learner: what it does is recorded as a system action and never learnt from.
        expert: asked at every tick; what it does is recorded as the user's.
        learner_share: the share of turns in which the learner acts, 0 to 1 (1 - beta in the paper).
        turn_s: mean length of a turn in seconds.
        fps: ticks per second.
    """

    def __init__(
        self, learner: Player, expert: Player, learner_share: float = 0.7, turn_s: float = 3.0, fps: float = FPS
    ) -> None:
        self.learner = learner
        self.expert = expert
        self.learner_share = learner_share
        self._change_probability = 1.0 / (turn_s * fps)
        self._rng = np.random.default_rng(0)
        self._is_learners_turn = True

    def reset(self, seed: int) -> None:
        self.learner.reset(seed)
        self.expert.reset(seed)
        self._rng = np.random.default_rng([seed, 0x54415547])
        self._is_learners_turn = self._draw_turn()

    def act(self, observation: Observation) -> Decision:
        # Both look at every tick, whoever acts: the learner's memory must not have holes.
        learners = self.learner.act(observation).action
        experts = self.expert.act(observation).action
        if self._rng.random() < self._change_probability:
            self._is_learners_turn = self._draw_turn()
        if self._is_learners_turn:
            return Decision(learners, by_user=False, label=experts)
        return Decision(experts, by_user=True)

    def _draw_turn(self) -> bool:
        return bool(self._rng.random() < self.learner_share)
