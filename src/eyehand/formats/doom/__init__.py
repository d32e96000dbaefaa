"""Doom demos as recordings: people's play with exact labels."""
