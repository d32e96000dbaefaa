"""Options of every command that works through many recordings: who does the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eyehand.jobs.engine import Engine, make_engine

__all__ = ["Workers"]


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the work.

    Attributes:
        workers: recordings that are worked on at once. Default: one per core.
        engine: local (processes of this machine), or ray (a Ray cluster, which must see the same files).
        address: of the Ray cluster's head, HOST:PORT. Default: $RAY_ADDRESS, or the cluster this machine is part of.
    """

    workers: int | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None

    def make_engine(self) -> Engine:
        """The engine that these options name. Errors as of `jobs.engine.make_engine`."""
        return make_engine(self.engine, self.workers, self.address)
