"""Scripted players that may look behind the picture but act only with human hands."""
