"""Doom as a game, through ViZDoom."""
