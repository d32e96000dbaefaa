"""`Demonstrator`, the base of the Doom experts: privileged state, delayed as a person sees it, to intent, to Action.

A `Demonstrator` decides from a `Scene` (what a person would know at this tick) on an `Intent` (what a person would
want); delay and speed limits are added here, so that no task can forget them. It may be asked for its Decision at
every tick although somebody else acts: it looks at what was really executed and keeps no plan that this could break.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from eyehand.game import Game
from eyehand.games.doom.state import DoomState
from eyehand.player import Decision, Observation
from eyehand.players.demonstrators.eyes import Eyes, Sighting
from eyehand.players.demonstrators.motor import MotorModel

__all__ = ["Demonstrator", "Intent", "Scene"]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a demonstrator knows at a tick.

    Attributes:
        state: the newest privileged state; only the player's own pose, health and weapon may be taken from it
            without delay.
        sightings: the things around, as `Eyes` tell them.
        trigger_ticks: since when the weapon has been firing or recovering: ticks since the trigger was pulled.
        hurt_ticks: ticks since the last damage was noticed.
    """

    state: DoomState
    sightings: tuple[Sighting, ...]
    trigger_ticks: int
    hurt_ticks: int


@dataclass(frozen=True, slots=True)
class Intent:
    """What a demonstrator wants to do at a tick.

    Attributes:
        turn_deg: angle still to be turned, positive to the right.
        drift_deg: how fast that angle grows by itself, per tick.
        keys: to be held.
        fire: hold the trigger.
    """

    turn_deg: float = 0.0
    drift_deg: float = 0.0
    keys: frozenset[str] = frozenset()
    fire: bool = False


class Demonstrator(ABC):
    """A scripted player of one Doom task. Needs a game that was opened with its privileged state.

    Args:
        game: what is played; only its `state` is read, by nobody but the eyes.
    """

    trigger_cycle_ticks = 8
    """After so many ticks a held trigger fires again."""

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
        """What the demonstrator does, or would do, on this frame.

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
        """What to want, given what is known."""

    def _forget(self) -> None:
        self._trigger_tick = -1000
        self._hurt_tick = -1000
        self._health = 0.0

    def _scene(self, state: DoomState, observation: Observation) -> Scene:
        if "0" in observation.executed.buttons and state.tick - self._trigger_tick >= self.trigger_cycle_ticks:
            self._trigger_tick = state.tick
        if state.health < self._health:
            self._hurt_tick = state.tick + self.eyes.delay_ticks
        self._health = state.health
        return Scene(
            state=state,
            sightings=tuple(self.eyes.look(state)),
            trigger_ticks=state.tick - self._trigger_tick,
            hurt_ticks=state.tick - self._hurt_tick,
        )
