"""Conversion of checkpoints from and to the reference, Open P2P."""
