"""Scorers of Doom episodes: one small class for each kind of score, updated with the facts of every tick.

A score is 0 when the episode begins, higher is better, and comes from the game's own counters, never from the player.
Knows nothing about the engine's interface: `engine.py` collects the `DoomFacts`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

__all__ = ["CellsVisited", "Closeness", "DoomFacts", "Frags", "Progress", "Reward", "Score", "SecondsSurvived"]
__all__ += ["Treasure", "WayToExit"]


class _Task(Protocol):
    """What a score may know of its `tasks.DoomTask`."""

    @property
    def wad(self) -> str: ...
    @property
    def map(self) -> str: ...
    @property
    def skill(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DoomFacts:
    """The engine's counters at one tick.

    Attributes:
        seconds: game time since the episode began.
        x, y: the player's position in map units.
        health, armor, ammo: as on the status bar.
        kills, frags, deaths: since the engine started the level; frags are other players killed, less suicides.
        reward: the counter of the level's own script.
        pickups: the second counter of the level's script (100 for each good item, -100 for each bad one).
        is_dead: the player lies dead.
        is_left: the level has ended (its exit was reached, or its script ended it).
        monsters: positions of the monsters alive, empty unless the score asked for them.
    """

    seconds: float
    x: float
    y: float
    health: float
    armor: float
    ammo: float
    kills: float
    frags: float
    deaths: float
    reward: float
    pickups: float
    is_dead: bool
    is_left: bool
    monsters: tuple[tuple[float, float], ...] = ()


class Score(ABC):
    """A scorer of one episode. `update` is called with the facts of every tick after `start`.

    Attributes:
        value: the score so far.
        is_won: the task is done and the episode ends.
        facts: more numbers worth keeping.
    """

    needs_monsters: ClassVar[bool] = False

    def __init__(self, start: DoomFacts, task: _Task) -> None:
        self.start = start
        self.value = 0.0
        self.is_won = False
        self.facts: dict[str, float] = {}

    @abstractmethod
    def update(self, now: DoomFacts) -> None:
        """Take the facts of one more tick into account."""


class Reward(Score):
    """The counter of the level's own script."""

    def update(self, now: DoomFacts) -> None:
        self.value = now.reward - self.start.reward


class SecondsSurvived(Score):
    """Seconds alive."""

    def update(self, now: DoomFacts) -> None:
        self.value = now.seconds
        self.facts["pickups"] = (now.pickups - self.start.pickups) / 100


class Closeness(Score):
    """Percent of the way to the nearest monster walked, less 25 for every shot; touching it ends the episode.

    Two things touch in Doom when the boxes around them do; a player is 16 units wide to each side, the monster 31.
    """

    needs_monsters: ClassVar[bool] = True
    _TOUCH = 16.0 + 31.0 + 4.0

    def __init__(self, start: DoomFacts, task: _Task) -> None:
        super().__init__(start, task)
        self._way = self._gap(start)
        self._gap_now = self._way
        self._ammo = start.ammo
        self._num_shots = 0

    def _gap(self, facts: DoomFacts) -> float:
        """Remaining distance to the touch along the longer axis, in map units."""
        distances = (max(abs(x - facts.x), abs(y - facts.y)) for x, y in facts.monsters)
        return max(0.0, min(distances, default=math.inf) - self._TOUCH)

    def update(self, now: DoomFacts) -> None:
        if now.ammo < self._ammo:
            self._num_shots += 1
        self._ammo = now.ammo
        if now.monsters:
            self._gap_now = self._gap(now)
            self.is_won = self._gap_now == 0.0
        self.value = 100.0 * (1.0 - self._gap_now / self._way) - 25.0 * self._num_shots
        self.facts["shots"] = float(self._num_shots)


class Treasure(Score):
    """100 for the armour less the seconds that finding it took; nothing before."""

    def update(self, now: DoomFacts) -> None:
        if now.reward > self.start.reward and not self.value:
            self.value = 100.0 - now.seconds


class Progress(Score):
    """Percent of the corridor (1312 units to the east) behind the player; 100 only with the armour at its end."""

    _LENGTH = 1312.0

    def update(self, now: DoomFacts) -> None:
        if now.is_left and not now.is_dead:
            self.value = 100.0
        else:
            way = 100.0 * (now.x - self.start.x) / self._LENGTH
            self.value = max(self.value, min(way, 99.0))


class WayToExit(Score):
    """Percent of the way to the exit that was walked at best, along the level's route; 100 only with the exit."""

    def __init__(self, start: DoomFacts, task: _Task) -> None:
        from eyehand.games.doom.level_route import level_route

        super().__init__(start, task)
        self._route = level_route(task.wad, task.map, task.skill)
        self._leg = 0
        self._way = self._route.remaining(0, start.x, start.y)
        self.facts["exits"] = 0.0

    def update(self, now: DoomFacts) -> None:
        if now.is_left:
            self.value, self.facts["exits"] = 100.0, 1.0
            return
        self._leg = self._route.after(self._leg, now.x, now.y)
        share = 1.0 - self._route.remaining(self._leg, now.x, now.y) / self._way
        self.value = max(self.value, min(100.0 * share, 99.0))


class CellsVisited(Score):
    """Number of different squares of 128 x 128 map units walked on, the first not counted."""

    _CELL = 128.0

    def __init__(self, start: DoomFacts, task: _Task) -> None:
        super().__init__(start, task)
        self._cells = {self._cell(start)}

    def _cell(self, facts: DoomFacts) -> tuple[int, int]:
        return math.floor(facts.x / self._CELL), math.floor(facts.y / self._CELL)

    def update(self, now: DoomFacts) -> None:
        if not now.is_left:
            self._cells.add(self._cell(now))
        self.value = float(len(self._cells) - 1)


class Frags(Score):
    """Other players killed, less one for every suicide."""

    def update(self, now: DoomFacts) -> None:
        self.value = now.frags - self.start.frags
