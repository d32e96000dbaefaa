"""Options of every command that works through many recordings: who does the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from eyehand.errors import UserError
from eyehand.jobs.engine import Engine
from eyehand.machine import num_cores
from eyehand.option_rules import OnlyWith

__all__ = ["EngineName", "Workers", "make_engine"]

EngineName = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the work.

    Attributes:
        workers: recordings that are worked on at once. Default: one per core.
        engine: local (processes of this machine), or ray (a Ray cluster, which must see the same files).
        address: of the Ray cluster's head, HOST:PORT. Default: $RAY_ADDRESS, or the cluster this machine is part of.
    """

    workers: int | None = None
    engine: EngineName = "local"
    address: Annotated[str | None, OnlyWith("engine=ray")] = None

    def make_engine(self) -> Engine:
        """The engine that these options name. Errors as of `make_engine`."""
        return make_engine(self.engine, self.workers, self.address)


def make_engine(name: EngineName = "local", workers: int | None = None, address: str | None = None) -> Engine:
    """The engine of this name.

    Args:
        name: `local` or `ray`.
        workers: items at once; None: as many as there are cores.
        address: of the Ray cluster's head, HOST:PORT; None: $RAY_ADDRESS, or the cluster that this machine is part of.

    Raises:
        UserError: there is no such cluster, Ray is not installed, or the numbers make no sense.
    """
    if workers is not None and workers < 1:
        raise UserError("--workers must be above 0: leave it out to use every core.")
    if name == "ray":
        from eyehand.jobs.ray_cluster import RayEngine

        return RayEngine(address, workers)
    if address is not None:
        raise UserError("--address names a Ray cluster: give --engine ray with it.")
    from eyehand.jobs.local import LocalEngine

    return LocalEngine(workers or num_cores())
