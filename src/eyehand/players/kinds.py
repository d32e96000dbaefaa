"""Players by name: `random`, `demonstrator`, `remote:ADDRESS` (a model server), or the name or folder of a checkpoint.

What a kind of player needs stands in its `PlayerKind`, beside its class. Another package adds one by an entry point
`eyehand.players`, whose name is the player's (`theirs`, or `theirs:WHATEVER`). Loads what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError
from eyehand.game import Game, TaskInfo
from eyehand.inference.network_options import NetworkOptions
from eyehand.player import Player
from eyehand.registry import Registry

__all__ = ["PLAYERS", "PlayerKind", "PlayerOptions", "check_rate", "open_player", "player_kind"]


@dataclass(frozen=True, kw_only=True)
class PlayerOptions(NetworkOptions):
    """How a player is opened, as far as it has use for it.

    Attributes:
        temperature: of the sampling from a policy; None: as its checkpoint says.
        token_file: file with the secret that a server asks for.
    """

    temperature: float | None = None
    token_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class PlayerKind:
    """Players that are opened in one way.

    Attributes:
        open: makes one for a game, by its full name; raises UserError where it cannot.
        can_play: whether it has a player for a task.
        needs_state: reads the game's privileged state, which is slower to provide.
        is_expert: shows how a task is done: its actions are learnt, and noise is injected into them.
        is_checkpoint: one network plays several stepped games side by side, see `batched_rollout.rollout_of`.
    """

    open: Callable[[str, Game, PlayerOptions], Player]
    can_play: Callable[[TaskInfo], bool] = lambda task: True
    needs_state: bool = False
    is_expert: bool = False
    is_checkpoint: bool = False


PLAYERS = Registry(
    PlayerKind,
    "eyehand.players",
    {
        "random": "eyehand.players.random:RANDOM",
        "demonstrator": "eyehand.players.demonstrators.demonstrator:DEMONSTRATOR",
        "remote": "eyehand.players.remote:REMOTE",
        "checkpoint": "eyehand.players.policy:CHECKPOINT",
    },
)


def player_kind(name: str) -> PlayerKind:
    """What kind of player this is; whatever is called like none of the others is a checkpoint."""
    return PLAYERS.load(_kind_name(name))


def open_player(name: str, game: Game, options: PlayerOptions | None = None) -> Player:
    """Make a player for a game. One with a method `close` holds something until that is called.

    Raises:
        UserError: no such player, an unusable checkpoint, or none that plays this game.
    """
    with PLAYERS.blame(_kind_name(name)):
        return player_kind(name).open(name, game, options or PlayerOptions())


def check_rate(name: str, fps: float, game: Game) -> None:
    """Compare the rate that a policy was trained at with that of the game that it is to play.

    Raises:
        UserError: they differ.
    """
    if abs(fps / game.fps - 1) > 0.01:
        raise UserError(
            f"{name} was trained on {fps:g} ticks a second and {game.task.name} has {game.fps:g}: "
            "play it with a checkpoint of its own rate."
        )


def _kind_name(name: str) -> str:
    kind = name.partition(":")[0]
    return kind if kind in PLAYERS else "checkpoint"
