"""Data sets to and from hubs and file systems."""
