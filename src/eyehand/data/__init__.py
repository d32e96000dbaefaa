"""Recordings as training data: sources, indexes, checks, splits, the loader."""
