"""The contracts of a game, an environment with pictures as observations, and of a family of games. Knows no game.

A stepped game stands still between two `act` calls and each call advances it by exactly one tick of 1 / fps seconds;
a real-time game runs on its own, `observe` gives its newest picture, and `act` changes what is held from now on.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from eyehand.action import Action
    from eyehand.frame import Frame
    from eyehand.input_event import InputEvent

__all__ = ["Game", "GameFamily", "HeardGame", "Listening", "Outcome", "Screen", "TaskInfo"]


@dataclass(frozen=True)
class TaskInfo:
    """The task of a game: name, instructions, time limit and score.

    Attributes:
        name: as typed by the user, e.g. `doom/aim`.
        env: the game's name for recordings (`doom`), the task after it (`aim`).
        instructions: the task in English, in at least two wordings; the first is the usual one.
        time_limit_s: an episode ends after this many seconds of game time.
        score: what the score counts, in a few words with its unit ("monsters killed"); "": the game tells none.
    """

    name: str
    env: str
    env_subtype: str
    instructions: tuple[str, ...]
    time_limit_s: float
    score: str


@dataclass(frozen=True)
class Outcome:
    """The state of an episode after a tick: whether it is over, and the score.

    Attributes:
        done: the episode is over (goal reached, died, or time limit).
        score: the score since the episode began; higher is better.
        facts: more numbers worth keeping (kills, health, cells visited).
    """

    done: bool = False
    score: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)


@runtime_checkable
class Game(Protocol):
    """An environment that a Session can drive.

    Attributes:
        task: instructions and score.
        fps: ticks per second of game time.
        is_realtime: whether it runs on without being acted on.
        state: privileged state for scripted experts, captured with the last `observe` (None where a game has none).
            A policy never sees it.
    """

    task: TaskInfo
    fps: float
    is_realtime: bool

    @property
    def state(self) -> Any: ...

    def reset(self, seed: int) -> None:
        """Begin an episode. Two resets with one seed give identical episodes in a stepped game."""
        ...

    def observe(self) -> Frame:
        """The newest picture. A stepped game gives the same one until it is acted on."""
        ...

    def act(self, action: Action) -> Action | None:
        """Execute an Action: its held state lasts until the next one. A stepped game advances by one tick.

        Returns:
            The executed part, where that may be less (a window that has lost the focus); None: all of it.
        """
        ...

    def outcome(self) -> Outcome:
        """The state of the episode now."""
        ...

    def release(self) -> None:
        """Release every key and button. Called on every way out; must work after an error, must not raise."""
        ...

    def close(self) -> None:
        """Release everything and end the game. May be called twice."""
        ...


class Listening(Protocol):
    """Hears the person until it is closed."""

    def check(self) -> None:
        """Raise a UserError, or what else has ended it, if it hears no more."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class HeardGame(Protocol):
    """A game whose own keyboard and mouse can be listened to."""

    def listen(self, hear: Callable[[InputEvent], None]) -> Listening:
        """Call `hear` with every event, on a thread of its own, until the result is closed. After `reset`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Screen:
    """The options of a game's screen.

    Attributes:
        own_screen: size of a screen of its own for a desktop game, for example 640x480.
        backend: what a desktop game is seen and played through: x11, or portable (mss and pynput); auto takes this
            one on Windows and macOS.
        visible: show the game, or the screen of its own, in a window where it could also run without one.
    """

    own_screen: str | None = None
    backend: Literal["auto", "x11", "portable"] = "auto"
    visible: bool = False


class GameFamily(ABC):
    """Games that are named, described and opened in one way. `games.families` holds ours; others are entry points.

    Attributes:
        modules: what must be importable to play them, and the requirement by which pip installs it.
        can_step: they wait for their player, so that players can record them, and many of them run at once.
        can_run: they run in real time by themselves; if not, a clock steps them (`games.paced`).
        can_show: they can be shown in a window. on_desktop: they are windows, with all that `Screen` says.
    """

    modules: tuple[str, ...] = ()
    requirement: str = ""
    can_step: bool = True
    can_run: bool = False
    can_show: bool = False
    on_desktop: bool = False

    @abstractmethod
    def names(self) -> Sequence[str]:
        """The full names of the games that are known (`doom/aim`), without loading anything heavy."""

    @abstractmethod
    def task(self, name: str) -> TaskInfo | None:
        """The TaskInfo of a game by its full name, without starting it; None: there is no such game."""

    def facts(self, name: str) -> Mapping[str, str | Sequence[str]]:
        """Further facts about a game by their names, for `games show`."""
        return {}

    @abstractmethod
    def open(self, name: str, *, realtime: bool, with_state: bool, screen: Screen) -> Game:
        """Start a game, see `games.families.open_game`; `realtime` only if it can run."""

    def unscored(self, name: str) -> str | None:
        """Why a game cannot be played in episodes that are scored, in a sentence; None: it can."""
        return None

    def open_scored(self, name: str, *, with_state: bool) -> Game:
        """Start a game that is played in episodes which are scored, by nobody who is there to help."""
        return self.open(name, realtime=False, with_state=with_state, screen=Screen())

    def missing(self, name: str) -> str | None:
        """A sentence about what is not installed for a game; None: all is there."""
        gone = next((module for module in self.modules if importlib.util.find_spec(module) is None), None)
        return gone and f'{name} needs {gone}, which is not installed: run `pip install "{self.requirement}"`.'
