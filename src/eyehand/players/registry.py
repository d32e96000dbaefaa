"""Players by name: `random`, `demonstrator`, or a checkpoint. Loads what a player needs when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eyehand.errors import UserError
from eyehand.game import Game
from eyehand.player import Player

if TYPE_CHECKING:
    from eyehand.inference.runtime import Runtime

__all__ = ["needs_state", "open_player"]


def needs_state(name: str) -> bool:
    """Whether this player reads the game's privileged state, which is slower to provide."""
    return name == "demonstrator"


def open_player(
    name: str, game: Game, *, temperature: float | None = None, threads: int = 1, runtime: Runtime = "auto"
) -> Player:
    """Make a player for a game.

    Args:
        name: `random`, `demonstrator`, or the name or folder of a checkpoint.
        game: what it is going to play; demonstrators are chosen by its task.
        temperature: of the sampling from a policy; None: as its checkpoint says.
        threads: most CPU threads that a policy may use; fewer are taken if it is not quicker with them.
        runtime: what a policy runs on, see `inference.runtime`.

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
    from eyehand.inference.runtime import quickest_threads
    from eyehand.players.policy import PolicyPlayer

    if threads < 1:
        raise UserError(f"A policy cannot run on {threads} threads: give --threads 1 or more.")
    checkpoint = load_checkpoint(name)
    if threads > 1:
        threads = quickest_threads(checkpoint.policy, runtime, threads)
    player = PolicyPlayer(checkpoint, temperature=temperature, threads=threads, runtime=runtime)
    player.warm_up()
    return player
