"""`Demonstrator`, the base of the Doom experts: delayed privileged state -> Intent -> motor model -> Action.

A subclass maps a `Scene` (a person's knowledge at this tick) to an `Intent`; delay and speed limits are added here, so
that no task can forget them. It may be asked for labels while another player acts: it reads the executed actions and
keeps no plan that these could break.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from eyehand.action import Action
from eyehand.game import Game
from eyehand.games.doom.state import DoomState
from eyehand.player import Decision, Observation
from eyehand.players.demonstrators.eyes import Eyes, Sighting
from eyehand.players.demonstrators.motor import MotorModel

__all__ = ["Demonstrator", "Intent", "Scene"]


@dataclass(frozen=True, slots=True)
class Scene:
    """An expert's knowledge at a tick.

    Attributes:
        state: the newest privileged state; only the player's own pose, health and weapon may be used without delay.
        sightings: the objects around, from `Eyes`.
        trigger_ticks: ticks since the trigger was pulled: the weapon fires and recovers for a while.
        executed: the action executed in the tick before.
    """

    state: DoomState
    sightings: tuple[Sighting, ...]
    trigger_ticks: int
    executed: Action


@dataclass(frozen=True, slots=True)
class Intent:
    """An expert's intent at a tick, for the motor model.

    Attributes:
        turn_deg: remaining turn of the view, positive to the right.
        drift_deg: growth of that angle per tick by the target's motion.
        keys: to hold.
        fire: hold the trigger.
    """

    turn_deg: float = 0.0
    drift_deg: float = 0.0
    keys: frozenset[str] = frozenset()
    fire: bool = False


class Demonstrator(ABC):
    """A scripted expert for one Doom task. Needs a game that was opened with its privileged state.

    Args:
        game: only its `state` is read, through `Eyes`.
    """

    trigger_cycle_ticks = 8
    """Period of fire of a held trigger."""

    def __init__(self, game: Game, eyes: Eyes | None = None, motor: MotorModel | None = None) -> None:
        self.game = game
        self.eyes = eyes or Eyes()
        self.motor = motor or MotorModel()
        self._forget()

    def reset(self, seed: int) -> None:
        self.eyes.reset()
        self.motor.reset(seed)
        self._forget()

    def act(self, observation: Observation) -> Decision:
        """The expert's action on this frame: executed, or a label if another player acts.

        Raises:
            RuntimeError: the game gives no privileged state.
        """
        state = self.game.state
        if not isinstance(state, DoomState):
            raise RuntimeError("a Doom demonstrator needs a game opened with with_state=True")
        intent = self.intend(self._scene(state, observation))
        action = self.motor.act(observation.executed, intent.turn_deg, intent.drift_deg, intent.keys, intent.fire)
        return Decision(action, by_user=True)

    @abstractmethod
    def intend(self, scene: Scene) -> Intent:
        """The Intent at this tick."""

    def _forget(self) -> None:
        self._trigger_tick = -1000

    def _scene(self, state: DoomState, observation: Observation) -> Scene:
        if "0" in observation.executed.buttons and state.tick - self._trigger_tick >= self.trigger_cycle_ticks:
            self._trigger_tick = state.tick
        return Scene(state, tuple(self.eyes.look(state)), state.tick - self._trigger_tick, observation.executed)
