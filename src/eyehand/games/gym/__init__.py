"""Gymnasium environments as games, and games as Gymnasium environments."""
