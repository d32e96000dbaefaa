"""Benchmarks of `eyehand bench`: the latency of a tick, and what a faster runtime costs in accuracy."""
