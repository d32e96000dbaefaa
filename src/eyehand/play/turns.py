"""Who played when: `TurnsObserver` notes the stretches of a play in which a person or the agent was in control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eyehand.session import EpisodeEnd, EpisodeStart, Tick

__all__ = ["PlayedTurn", "TurnsObserver", "num_takeovers", "persons_share"]


@dataclass(frozen=True, slots=True)
class PlayedTurn:
    """A stretch of ticks of one player.

    Attributes:
        start_s, end_s: in seconds of wall time since the first tick of the play.
        is_person: whether a person was in control; else the agent.
        num_ticks: ticks in it.
    """

    start_s: float
    end_s: float
    is_person: bool
    num_ticks: int


class TurnsObserver:
    """Notes who acted in every tick, all episodes in a row."""

    def __init__(self) -> None:
        self.turns: list[PlayedTurn] = []
        self._first_ns: int | None = None

    def on_start(self, start: EpisodeStart) -> None: ...

    def on_tick(self, tick: Tick) -> None:
        if self._first_ns is None:
            self._first_ns = tick.frame.time_ns
        now_s = (tick.frame.time_ns - self._first_ns) / 1e9
        is_person = tick.decision is not None and tick.decision.by_user
        if self.turns:
            self.turns[-1] = replace(self.turns[-1], end_s=now_s)
        if not self.turns or self.turns[-1].is_person != is_person:
            self.turns.append(PlayedTurn(now_s, now_s, is_person, 0))
        self.turns[-1] = replace(self.turns[-1], num_ticks=self.turns[-1].num_ticks + 1)

    def on_end(self, end: EpisodeEnd) -> None: ...


def persons_share(turns: Sequence[PlayedTurn]) -> float:
    """The share of the ticks in which a person was in control."""
    return sum(turn.num_ticks for turn in turns if turn.is_person) / (sum(turn.num_ticks for turn in turns) or 1)


def num_takeovers(turns: Sequence[PlayedTurn]) -> int:
    """How often a person took over."""
    return sum(turn.is_person for turn in turns)
