"""`LocalEngine`: items over processes of this machine; one that dies is replaced, and its item tried again.

The standard pools say only that "a process was terminated abruptly" and lose the item that it worked on. Workers are
spawned, use one core each, and end with their parent, however it ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, TypeVar

from eyehand.jobs.engine import Done
from eyehand.spawned import heed, start_whole
from eyehand.terminal import show_what_python_prints

__all__ = ["LocalEngine"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_END_TIMEOUT_S = 5
_LOOK_S = 1.0


@dataclass(eq=False)
class _Worker:
    """A worker process; `task` is the number of its item, and the number of this attempt at it."""

    process: BaseProcess
    connection: Connection
    task: tuple[int, int] | None = None


@dataclass(frozen=True)
class LocalEngine:
    """An engine of local processes; with one worker, or one item, this process does all the work.

    Attributes:
        num_workers: processes.
        num_tries: so many workers may die on an item before it is given up.
    """

    num_workers: int = 1
    num_tries: int = 2

    def run(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Item, Result]]:
        """See `Engine.run`."""
        if self.num_workers <= 1 or len(items) <= 1:
            for number, item in enumerate(items):
                yield Done(number, item, function(item))
            return
        waiting = deque((number, 1) for number in range(len(items)))
        workers: list[_Worker] = []
        try:
            while waiting or any(worker.task is not None for worker in workers):
                while waiting and len(workers) < min(self.num_workers, len(items)):
                    workers.append(_start(function))
                for worker in workers:
                    if worker.task is None and waiting:
                        worker.task = waiting.popleft()
                        with contextlib.suppress(OSError):  # it died already: found out below
                            worker.connection.send(items[worker.task[0]])
                for ready in wait([worker.connection for worker in workers if worker.task is not None]):
                    worker = next(worker for worker in workers if worker.connection is ready)
                    assert worker.task is not None
                    number, num_tries = worker.task
                    try:
                        result, error = worker.connection.recv()
                    except (EOFError, OSError):
                        workers.remove(worker)
                        status = _bury(worker)
                        if num_tries < self.num_tries:
                            waiting.appendleft((number, num_tries + 1))
                        else:
                            yield Done(number, items[number], None, _given_up(items[number], num_tries, status))
                        continue
                    if error is not None:
                        raise error
                    worker.task = None
                    yield Done(number, items[number], result)
        finally:
            _end(workers)


def _given_up(item: object, num_tries: int, status: int | None) -> str:
    times = "twice" if num_tries > 1 else "once"
    return (
        f"A worker process died {times} over {item} (exit status {status}; often: out of memory): try again with fewer "
        "--workers."
    )


def _start(function: Callable[[Any], object]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(function, theirs), name="eyehand worker")
    start_whole(process)
    theirs.close()
    return _Worker(process, ours)


def _bury(worker: _Worker) -> int | None:
    """Join a dead worker and return its exit status."""
    worker.process.join(_END_TIMEOUT_S)
    worker.connection.close()
    return worker.process.exitcode


def _end(workers: Sequence[_Worker]) -> None:
    """End the workers: idle ones when their pipe closes, busy ones by SIGTERM, then SIGKILL."""
    for worker in workers:
        worker.connection.close()
        if worker.task is not None:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(_END_TIMEOUT_S)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()


def _work(function: Callable[[Any], object], connection: Connection) -> None:
    """A worker's main loop: receives items and sends (result, error) until the pipe closes."""
    for name in {"SIGINT", "SIGHUP"} & set(dir(signal)):  # they are for the process that owns us
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)  # as an exception, so that games are closed on the way out
    heed()
    show_what_python_prints()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    with contextlib.suppress(EOFError, OSError):
        while True:
            item = connection.recv()
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            try:
                connection.send((function(item), None))
            except Exception as error:
                error.add_note(f"while a worker was busy with {item}")
                connection.send((None, error))


def _end_with_parent() -> None:
    """End at once when the parent is killed: it may be restarted, and two workers must not write the same file."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        while parent.is_alive() and os.getppid() == parent.pid:  # its sentinel may live on in what it has forked
            parent.join(_LOOK_S)
        if hasattr(signal, "alarm"):  # the kernel's: it also ends an interpreter that hangs on its way out
            signal.alarm(_END_TIMEOUT_S)
        os.kill(os.getpid(), signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
