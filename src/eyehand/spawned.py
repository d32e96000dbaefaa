"""`start_whole`: starts a spawned process that a signal neither cuts off half-started nor ends while it loads."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Set
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess

__all__ = ["heed", "start_whole"]

_ENDS: Set[signal.Signals] = {getattr(signal, name) for name in {"SIGINT", "SIGTERM", "SIGHUP"} & set(dir(signal))}


def start_whole(process: BaseProcess) -> None:
    """Start a process of multiprocessing's "spawn"; Ctrl-C, SIGTERM and SIGHUP are handled here once it has started.

    It begins with these signals blocked: its target calls `heed` when it has said what they mean to it.
    """
    with _handlers_wait():
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            process.start()
            return
        resource_tracker.ensure_running()  # it is started with the first process, and would let them through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed() -> None:
    """Let the signals through that `start_whole` has blocked, in the process that it has started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)


@contextlib.contextmanager
def _handlers_wait() -> Iterator[None]:
    """The main thread's Python handlers run after this.

    To block the signals is not enough: the kernel gives them to another thread, of a numerical library for example, and
    Python then calls the handler in the main thread all the same.
    """
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: handler for number in _ENDS if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in came:
            signal.raise_signal(missed)
