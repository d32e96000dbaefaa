"""Desktop windows as games."""
