"""Demonstrators that go somewhere: `HomeDemonstrator` to the armour, `ExploreDemonstrator` around a whole level."""

from __future__ import annotations

from typing import cast

import numpy as np

from eyehand.games.doom_state import DoomState
from eyehand.games.game import Game
from eyehand.players.demonstrators.hands import Hands
from eyehand.players.demonstrators.navigator import Gait, Navigator, Steering
from eyehand.players.player import Decision, Observation

__all__ = ["HomeDemonstrator"]


class HomeDemonstrator:
    """Walks the shortest way to the armour.

    Args:
        game: a Doom game with privileged state.
    """

    def __init__(self, game: Game) -> None:
        self._game = game
        self._hands = Hands()
        self._navigator = Navigator(Gait())
        self.reset(0)

    def reset(self, seed: int) -> None:
        self._hands.reset(seed)
        self._navigator.reset()

    def act(self, observation: Observation) -> Decision:
        state = cast(DoomState, self._game.state)
        steering = self._steer(state, observation)
        action = self._hands.act(observation.executed, steering.turn_deg, keys=steering.keys)
        return Decision(action, by_user=True)

    def _steer(self, state: DoomState, observation: Observation) -> Steering:
        armour = [thing for thing in state.objects if thing.name == "GreenArmor"]
        if not armour:
            return self._navigator.follow(state, observation.executed, np.zeros((0, 2)))
        return self._navigator.go_to(state, observation.executed, armour[0].x, armour[0].y)
