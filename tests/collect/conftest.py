"""The echo game and its player, as fixtures."""

from echo_game import echo_game, fidget, shown

__all__ = ["echo_game", "fidget", "shown"]
