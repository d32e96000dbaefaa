"""The tasks of Doom: level, difficulty, time limit, score, and instructions in English, listed in `tasks.toml`.

All levels come with the vizdoom package (its scenarios and Freedoom), nothing is downloaded. Importing this
module does not load the engine, so that the command line can list tasks quickly.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eyehand.game import TaskInfo
from eyehand.games.doom import scores

__all__ = ["DOOM_TASKS", "DoomTask"]


@dataclass(frozen=True)
class DoomTask:
    """A task in Doom.

    Attributes:
        name: as typed after `doom/`.
        wad: a file of the vizdoom package (a scenario's, freedoom1.wad or freedoom2.wad), or the path of a game.
        instructions: the task in English, in several wordings; the first is the usual one.
        time_limit_s: an episode ends after this many seconds of game time.
        score: what the score counts, in words; scorer: its class.
        map: the level within the file.
        skill: 1 (easiest) to 5.
        engine_args: more arguments for the engine.
        num_bots: how many of the engine's own players take part; more than 0 makes it a deathmatch.
        is_free_look: whether mouse dy tilts the view.
        is_heading_random: whether the seed also decides where the player looks when the episode begins (for levels in
            which nothing else would differ from one episode to the next).
    """

    name: str
    wad: str
    instructions: tuple[str, ...]
    time_limit_s: float
    score: str
    scorer: type[scores.Score]
    map: str = "MAP01"
    skill: int = 3
    engine_args: str = ""
    num_bots: int = 0
    is_free_look: bool = False
    is_heading_random: bool = False

    @property
    def info(self) -> TaskInfo:
        """The task's TaskInfo."""
        return TaskInfo(f"doom/{self.name}", "doom", self.name, self.instructions, self.time_limit_s, self.score)


def _read() -> Iterator[DoomTask]:
    """The tasks of tasks.toml."""
    for name, values in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items():
        values |= {"instructions": tuple(values["instructions"]), "scorer": getattr(scores, values["scorer"])}
        yield DoomTask(name, **values)


DOOM_TASKS: dict[str, DoomTask] = {task.name: task for task in _read()}
"""Every task by the name typed after `doom/`."""
