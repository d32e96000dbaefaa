"""The recording format of Open P2P: written, read, inspected."""
