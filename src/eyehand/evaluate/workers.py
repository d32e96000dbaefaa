"""Jobs over processes, in which a process that dies is noticed, named and survived by the others.

The standard pools say only that "a process was terminated abruptly" and lose which job it had; here the job is named,
tried once more, and only then given up. Workers are spawned, own one core each, and end with us.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Generic, TypeVar

from eyehand.errors import UserError

__all__ = ["run_jobs"]

Job = TypeVar("Job")
Result = TypeVar("Result")

_NUM_TRIES = 2
_END_TIMEOUT_S = 5.0


@dataclass(eq=False)
class _Worker(Generic[Job]):
    process: BaseProcess
    connection: Connection
    job: Job | None = None


def run_jobs(function: Callable[[Job], Result], jobs: Sequence[Job], num_workers: int) -> Iterator[Result]:
    """Yield the result of every job, in the order in which they are finished.

    Args:
        function: importable by name; runs in the worker. What it raises is raised here.
        jobs: picklable; worked off in this order. `str(job)` names a job in messages.
        num_workers: processes; 1 runs everything in this process.

    Raises:
        UserError: a worker died twice over the same job (killed, out of memory, a crash of a library).
    """
    if num_workers <= 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    waiting = deque((job, 1) for job in jobs)
    tries: dict[int, int] = {}
    workers: list[_Worker[Job]] = []
    try:
        while waiting or any(worker.job is not None for worker in workers):
            while waiting and len(workers) < min(num_workers, len(jobs)):
                workers.append(_start(function))
            for worker in workers:
                if worker.job is None and waiting:
                    worker.job, tries[id(worker)] = waiting.popleft()
                    with contextlib.suppress(OSError):  # it died already: found out below
                        worker.connection.send(worker.job)
            for ready in wait([worker.connection for worker in workers if worker.job is not None]):
                worker = next(worker for worker in workers if worker.connection is ready)
                try:
                    result, error = worker.connection.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    waiting.appendleft(_retry(worker, tries.pop(id(worker))))
                    continue
                if error is not None:
                    raise error
                worker.job = None
                yield result
    finally:
        _end(workers)


def _start(function: Callable[[Job], Result]) -> _Worker[Job]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(function, theirs), name="eyehand worker")
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _retry(worker: _Worker[Job], num_tries: int) -> tuple[Job, int]:
    """The job of a worker that died and the number of its next try."""
    worker.process.join(_END_TIMEOUT_S)
    worker.connection.close()
    assert worker.job is not None
    if num_tries >= _NUM_TRIES:
        raise UserError(
            f"A worker process died {num_tries} times over {worker.job} (exit status {worker.process.exitcode}; "
            f"often: out of memory); try again with fewer --workers."
        )
    return worker.job, num_tries + 1


def _end(workers: Sequence[_Worker[Job]]) -> None:
    """Idle workers end when their pipe closes; busy ones are told to close their game, then killed."""
    for worker in workers:
        worker.connection.close()
        if worker.job is not None:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(_END_TIMEOUT_S)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()


def _work(function: Callable[[Job], Result], connection: Connection) -> None:
    """The worker: jobs in, (result, error) out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that owns us
    signal.signal(signal.SIGTERM, _leave)  # as an exception, so that games are closed on the way out
    os.environ["OMP_NUM_THREADS"] = "1"
    with contextlib.suppress(EOFError, OSError):
        while True:
            job = connection.recv()
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            try:
                connection.send((function(job), None))
            except Exception as error:
                error.add_note(f"while a worker was busy with {job}")
                connection.send((None, error))


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
