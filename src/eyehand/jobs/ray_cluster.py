"""`RayEngine`: items over the cores of a Ray cluster, behind `--engine ray`.

One task per item, a few of them queued per core. A task whose worker or node dies is restarted elsewhere; nodes
may come and go. Results are small and come back to this process, so nothing is lost with a node. Recordings and
outputs must lie where every node sees them under the same name, and eyehand be installed on each.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from eyehand.errors import UserError
from eyehand.jobs.engine import Done

__all__ = ["RayEngine"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_NUM_TRIES = 4
"""A cluster loses workers for reasons of its own: an item has to kill more of them than on one machine."""

_CONNECT_S = 10.0

_AHEAD = 2
"""Tasks under way per core, so that no core waits for this process."""


class RayEngine:
    """An engine on a Ray cluster, joined when first needed and left when a run ends."""

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        """Args:
        address: of the head, HOST:PORT; None: $RAY_ADDRESS, or the cluster that this machine is part of.
        workers: tasks at once; None: as many as the cluster has cores.

        Raises:
            UserError: Ray is not installed.
        """
        try:
            import ray
        except ImportError as error:
            raise UserError("A Ray cluster needs one more package: run `pip install 'eyehand[ray]'`.") from error
        self._ray: Any = ray
        self._address = address or os.environ.get("RAY_ADDRESS") or "auto"
        self._workers = workers

    @property
    def num_workers(self) -> int:
        """Number of tasks at once; the cluster's cores if it is joined."""
        if self._workers is not None:
            return self._workers
        return max(1, int(self._ray.cluster_resources().get("CPU", 1))) if self._ray.is_initialized() else 1

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Item, Result]]:
        """See `Engine.run`. An item is given up after four workers died on it.

        Raises:
            UserError: there is no such cluster, or it went away.
        """
        if not items:
            return
        ray = self._ray
        with self._joined():
            start = ray.remote(num_cpus=1, max_retries=0)(function).remote
            waiting = deque((number, 1) for number in range(len(items)))
            running: dict[Any, tuple[int, int]] = {}
            while waiting or running:
                room = self.num_workers * (_AHEAD if self._workers is None else 1)
                while waiting and len(running) < room:
                    number, num_tries = waiting.popleft()
                    running[start(items[number])] = number, num_tries
                (ready,), _ = ray.wait(list(running), num_returns=1)
                number, num_tries = running.pop(ready)
                try:
                    result = ray.get(ready)
                except ray.exceptions.RayTaskError as error:  # what the function raised
                    raise (error.cause or error) from None
                except ray.exceptions.RayError as error:
                    if num_tries < _NUM_TRIES:
                        waiting.append((number, num_tries + 1))  # last: a node that is lost takes a while to be noticed
                    else:
                        yield Done(number, items[number], None, _given_up(items[number], num_tries, error))
                    continue
                yield Done(number, items[number], result)

    @contextlib.contextmanager
    def _joined(self) -> Iterator[None]:
        """Join the cluster; on exit all tasks are cancelled and it is left."""
        ray = self._ray
        if ray.is_initialized():
            yield
            return
        try:
            _check_reachable(self._address)  # Ray itself would try for minutes
            ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            place = "" if self._address == "auto" else f" at {self._address}"
            raise UserError(
                f"There is no Ray cluster{place} ({str(error).splitlines()[0].rstrip('.')}): start one "
                "with `ray start --head`, or give its --address."
            ) from error
        with contextlib.redirect_stdout(sys.stderr):  # Ray tells of lost nodes where our results go
            try:
                yield
            finally:
                ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise OSError or ValueError if nothing listens at HOST:PORT; Ray checks other addresses."""
    if address != "auto" and "://" not in address:
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()


def _given_up(item: object, num_tries: int, error: Exception) -> str:
    what = type(error).__name__
    return f"Ray lost {num_tries} workers over {item} ({what}; often: out of memory): try again with fewer --workers."
