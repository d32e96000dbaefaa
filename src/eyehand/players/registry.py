"""Players by name: `random`, `demonstrator`, or a checkpoint. Loads what a player needs when it is asked for."""

from __future__ import annotations

from eyehand.games.game import Game
from eyehand.players.player import Player

__all__ = ["needs_state", "open_player"]


def needs_state(name: str) -> bool:
    """Whether this player reads the game's privileged state, which is slower to provide."""
    return name == "demonstrator"


def open_player(name: str, game: Game, *, temperature: float | None = None, threads: int = 1) -> Player:
    """Make a player for a game.

    Args:
        name: `random`, `demonstrator`, or the name or folder of a checkpoint.
        game: what it is going to play; demonstrators are chosen by its task.
        temperature: of the sampling from a policy; None: as its checkpoint says.
        threads: CPU threads that a policy may use.

    Raises:
        UserError: no such player, or an unusable checkpoint.
    """
    if name == "random":
        from eyehand.players.random import RandomPlayer

        return RandomPlayer()
    if name == "demonstrator":
        from eyehand.players.demonstrators.registry import demonstrator

        return demonstrator(game)
    from eyehand.checkpoint import load_checkpoint
    from eyehand.players.policy import PolicyPlayer

    player = PolicyPlayer(load_checkpoint(name), temperature=temperature, threads=threads)
    player.warm_up()
    return player
