"""Scripted experts for Doom: they read the game's privileged state and act through a motor model at human speed."""
