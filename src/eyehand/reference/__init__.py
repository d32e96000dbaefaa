"""Checkpoints of the reference, Open P2P, in and out."""
