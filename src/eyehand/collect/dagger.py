"""A pupil plays, a teacher says what it would have done (DAgger, Ross et al., arXiv 1011.0686).

Every tick carries the teacher's action as its label. The hands change between the two by turns of a few seconds, so
that the recordings hold the pupil's own mistakes and the teacher's way out of them.
"""

from __future__ import annotations

import numpy as np

from eyehand.player import Decision, Observation, Player

__all__ = ["Taught"]


class Taught:
    """A player whose hands alternate between pupil and teacher.

    Args:
        pupil: what it does counts as a system action and is never learned.
        teacher: asked at every tick; what it does counts as the user's.
        pupil_share: the share of turns that the pupil has, 0 to 1.
        turn_s: mean length of a turn in seconds.
        fps: ticks per second.
    """

    def __init__(
        self, pupil: Player, teacher: Player, pupil_share: float = 0.7, turn_s: float = 3.0, fps: float = 20.0
    ) -> None:
        self.pupil = pupil
        self.teacher = teacher
        self.pupil_share = pupil_share
        self._change_probability = 1.0 / (turn_s * fps)
        self._rng = np.random.default_rng(0)
        self._is_pupils_turn = True

    def reset(self, seed: int) -> None:
        self.pupil.reset(seed)
        self.teacher.reset(seed)
        self._rng = np.random.default_rng([seed, 0x54415547])
        self._is_pupils_turn = self._draw_turn()

    def act(self, observation: Observation) -> Decision:
        # Both look at every tick, whoever acts: the pupil's memory must not have holes.
        pupils = self.pupil.act(observation).action
        teachers = self.teacher.act(observation).action
        if self._rng.random() < self._change_probability:
            self._is_pupils_turn = self._draw_turn()
        if self._is_pupils_turn:
            return Decision(pupils, by_user=False, label=teachers)
        return Decision(teachers, by_user=True)

    def _draw_turn(self) -> bool:
        return bool(self._rng.random() < self.pupil_share)
