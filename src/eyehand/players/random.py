"""A player that knows nothing: the floor that every score is measured against."""

from __future__ import annotations

import numpy as np

from eyehand.action import NOTHING, Action
from eyehand.player import Decision, Observation
from eyehand.players.kinds import PlayerKind

__all__ = ["RANDOM", "RandomPlayer"]


class RandomPlayer:
    """Presses random keys of a shooter for random times and moves the mouse at random.

    Every key and button changes its state on its own, so that presses last about a quarter of a second: a player
    that rolled new dice at every tick would hardly leave its place and make too low a floor.
    """

    _KEYS = ("w", "a", "s", "d", "Space", "LeftShift")

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._action = NOTHING

    def reset(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 0x52414E44])
        self._action = NOTHING

    def act(self, observation: Observation) -> Decision:
        keys = {key for key in self._KEYS if self._toggle(key in self._action.keys)}
        buttons = {"0"} if self._toggle("0" in self._action.buttons) else set()
        motion = self._rng.normal(0.0, 40.0, size=2)
        self._action = Action.of(keys, buttons, motion[0], motion[1] / 8)
        return Decision(self._action)

    def _toggle(self, is_held: bool) -> bool:
        return bool(self._rng.random() >= 0.2) if is_held else bool(self._rng.random() < 0.08)


RANDOM = PlayerKind(open=lambda name, game, options: RandomPlayer())
