"""Behaviour cloning of recordings."""
