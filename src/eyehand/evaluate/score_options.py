"""Options of closed-loop scores, as the command line and the library have them. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from eyehand.option_rules import NotWith

__all__ = ["EvaluateOptions"]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Scores from play.

    Attributes:
        checkpoint: the agent: a bundled checkpoint's name or a folder. Default: only random and demonstrator play.
        game: a family (doom), one game (doom/aim), or several with commas between; or a desktop game whose profile says
            how it is scored (chromium-bsu).
        episodes: seeded episodes for each game and player.
        workers: processes. Default: one per core.
        seed: the first seed; training data is recorded from seed 1,000,000 on, so that nothing here was seen before.
        instruction: what the agent is told in every game. Default: the game's own instructions in turn.
        baselines: a result of an earlier run, whose episodes of random and demonstrator are taken over.
        swap: two games on one map with a comma between (doom/aim,doom/approach): the agent also plays each of them
            with the other's instruction.
    """

    checkpoint: str | None = None
    game: Annotated[str, NotWith("data")] = "doom"
    episodes: Annotated[int, NotWith("data")] = 30
    workers: Annotated[int | None, NotWith("data")] = None
    seed: Annotated[int, NotWith("data")] = 0
    instruction: Annotated[str | None, NotWith("data")] = None
    baselines: Annotated[Path | None, NotWith("data")] = None
    swap: Annotated[str | None, NotWith("data")] = None
