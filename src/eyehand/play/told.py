"""What a play tells the person in words: who plays and how to take over, and why actions come late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eyehand.clock import FPS
from eyehand.game import TaskInfo
from eyehand.players.hotkeys import TakeoverKeys
from eyehand.session import EpisodeEnd, EpisodeStart, Tick
from eyehand.terminal import clock_time, counted

__all__ = ["PaceObserver", "introduction", "lateness"]

_ON_TIME = 0.9
"""The share of ticks on time below which a person sees that the agent is slow."""
_LOOK_TICKS, _SAY_TICKS = 200, 1200
"""How many ticks are judged together, and how many pass before it is said again: 10 s and a minute at 20 Hz."""
_LARGE_PX = 1280


def introduction(
    name: str,
    facts: Mapping[str, Any],
    task: TaskInfo,
    seconds: float | None,
    instruction: str | None,
    keys: TakeoverKeys | None,
    how: str,
) -> list[str]:
    """The sentences at the beginning of a play.

    Args:
        name: who plays; facts: of its training, see `Checkpoint.facts`, empty for what was not trained.
        task: what is played.
        seconds: for how long; None: until the person leaves.
        instruction: None: none.
        keys: of the takeover; None: nobody can take over.
        how: the person takes over.
    """
    length = "until you leave the game" if seconds is None else f"for {clock_time(seconds)}"
    said = [f"{name} plays {task.name} {length}" + (f": “{instruction}”." if instruction else ".")]
    games = _games(facts)
    if games:
        trained = ", ".join(sorted(games, key=lambda game: -games[game])[:3]) + (" and others" * (len(games) > 3))
        frames = facts.get("frames")
        behind = f", {clock_time(frames / FPS)} long," if isinstance(frames, int) else ""
        known = "" if task.env in games else " It has never seen this game: do not expect much."
        said.append(f"it was trained on {counted(sum(games.values()), 'recording')}{behind} of {trained}.{known}")
    if keys is None:
        said.append(f"{how}; Ctrl-C here ends it.")
    else:
        said.append(f"{how}; {keys.resume_key} gives it back to the agent, {keys.panic_key} ends play.")
    return said


def _games(facts: Mapping[str, Any]) -> dict[str, int]:
    """The recordings by game that a checkpoint was trained on, which others may have written."""
    games = facts.get("games")
    return {str(g): n for g, n in games.items() if isinstance(n, int)} if isinstance(games, dict) else {}


def lateness(on_time: float, width_px: int, *, with_video: bool) -> str | None:
    """A sentence about actions that come late, and what to do about it; None: few do.

    Args:
        on_time: the share of ticks whose action came in time.
        width_px: of the game's picture.
        with_video: a video is written.
    """
    if on_time >= _ON_TIME:
        return None
    advice = ["play a smaller window (--own-screen 1280x720)"] if width_px > _LARGE_PX else []
    advice += ["write no video (--no-video)"] if with_video else []
    advice += ["close other programs", "take a smaller checkpoint"]
    return f"only {on_time:.0%} of the actions came in time, so it plays worse than it can: {' or '.join(advice[:3])}."


class PaceObserver:
    """Says while it plays, at most once a minute, that many actions come late.

    Args:
        say: told the sentence.
        with_video: a video is written.

    Attributes:
        width_px: of the last picture.
    """

    def __init__(self, say: Callable[[str], None], *, with_video: bool) -> None:
        self.width_px = 0
        self._say, self._with_video = say, with_video
        self._num_due = self._num_late = 0
        self._unsaid_ticks = _SAY_TICKS
        self._last_index = -1

    def on_start(self, start: EpisodeStart) -> None:
        self._last_index = -1

    def on_tick(self, tick: Tick) -> None:
        num_due = tick.index - self._last_index
        self._last_index, self.width_px = tick.index, tick.frame.captured.shape[1]
        self._num_due += num_due
        self._num_late += num_due - 1 + tick.is_late
        self._unsaid_ticks += num_due
        if self._num_due < _LOOK_TICKS:
            return
        on_time = 1 - self._num_late / self._num_due
        self._num_due = self._num_late = 0
        sentence = lateness(on_time, self.width_px, with_video=self._with_video)
        if sentence is not None and self._unsaid_ticks >= _SAY_TICKS:
            self._unsaid_ticks = 0
            self._say(sentence)

    def on_end(self, end: EpisodeEnd) -> None: ...
