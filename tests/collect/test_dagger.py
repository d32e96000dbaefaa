"""Dagger: who is in control, and what is recorded of it."""

from itertools import pairwise

import numpy as np

from eyehand.action import Action
from eyehand.collect.dagger import Dagger
from eyehand.frame import Frame
from eyehand.player import Decision, Observation
from eyehand.players.random import RandomPlayer

OBSERVATION = Observation(Frame(np.zeros((4, 4, 3), np.uint8), 0))


class Fixed:
    """Always does the same, and counts how often it was asked."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.num_asked = 0

    def reset(self, seed: int) -> None:
        self.num_asked = 0

    def act(self, observation: Observation) -> Decision:
        self.num_asked += 1
        return Decision(self.action, by_user=True)


def _decisions(share: float, seed: int = 5, ticks: int = 600) -> list[Decision]:
    player = Dagger(Fixed(Action.of("a")), Fixed(Action.of("d")), learner_share=share, turn_s=1.0)
    player.reset(seed)
    return [player.act(OBSERVATION) for _ in range(ticks)]


def test_the_learners_actions_are_labelled_and_the_experts_are_the_users() -> None:
    decisions = _decisions(0.5)
    learners = Decision(Action.of("a"), by_user=False, label=Action.of("d"))
    experts = Decision(Action.of("d"), by_user=True)
    assert {learners, experts} == set(decisions)
    changes = sum(a != b for a, b in pairwise(decisions))
    assert 5 < changes < 40  # turns of about a second, half of which change who acts


def test_both_see_every_tick() -> None:
    learner, expert = Fixed(Action()), Fixed(Action())
    player = Dagger(learner, expert, learner_share=0.5)
    player.reset(1)
    for _ in range(50):
        player.act(OBSERVATION)
    assert (learner.num_asked, expert.num_asked) == (50, 50)


def test_shares_and_seeds() -> None:
    assert all(not decision.by_user for decision in _decisions(1.0))
    assert all(decision.by_user for decision in _decisions(0.0))
    assert _decisions(0.5, seed=2) == _decisions(0.5, seed=2)


def test_the_random_player_repeats_itself_for_a_seed_only() -> None:
    def play(seed: int) -> list[Action]:
        player = RandomPlayer()
        player.reset(seed)
        return [player.act(OBSERVATION).action for _ in range(200)]

    assert play(1) == play(1)
    assert play(1) != play(2)
    held = [("w" in action.keys) for action in play(1)]
    assert 0.1 < np.mean(held) < 0.5
