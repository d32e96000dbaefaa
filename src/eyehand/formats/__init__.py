"""Recordings of other formats in and out."""
