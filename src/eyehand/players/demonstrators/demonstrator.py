"""The registry of experts by task. An expert's module is loaded on demand."""

from __future__ import annotations

import importlib

from eyehand.errors import UserError
from eyehand.game import Game, TaskInfo
from eyehand.player import Player
from eyehand.players.kinds import PlayerKind

__all__ = ["DEMONSTRATOR", "DEMONSTRATORS", "demonstrator"]

_HERE = "eyehand.players.demonstrators"

DEMONSTRATORS: dict[str, tuple[str, str]] = {
    "aim": ("combat", "Aim"),
    "approach": ("combat", "Approach"),
    "center": ("combat", "DefendCenter"),
    "line": ("combat", "DefendLine"),
    "corridor": ("combat", "Corridor"),
    "lead": ("combat", "Lead"),
    "collect": ("medikits", "Collect"),
    "poison": ("medikits", "Collect"),
    "dodge": ("dodge", "Dodge"),
    "deathmatch": ("deathmatch", "Deathmatch"),
    "home": ("navigation", "HomeDemonstrator"),
    "explore": ("navigation", "ExploreDemonstrator"),
    "e1m1": ("level", "LevelDemonstrator"),
    "map01": ("level", "LevelDemonstrator"),
}
"""Module and class for each Doom task."""


def demonstrator(game: Game) -> Player:
    """The scripted expert for this game's task.

    Raises:
        UserError: the task has no expert.
    """
    if not _can_play(game.task):
        raise UserError(
            f"There is no demonstrator for {game.task.name!r}: only doom/{', doom/'.join(DEMONSTRATORS)} have one."
        )
    module, name = DEMONSTRATORS[game.task.env_subtype]
    player: Player = getattr(importlib.import_module(f"{_HERE}.{module}"), name)(game)
    return player


def _can_play(task: TaskInfo) -> bool:
    return task.env == "doom" and task.env_subtype in DEMONSTRATORS


DEMONSTRATOR = PlayerKind(
    open=lambda name, game, options: demonstrator(game), can_play=_can_play, needs_state=True, is_expert=True
)
