"""`BackgroundObserver` calls another observer on a thread of its own, so that ticks stay on time while it encodes.

All calls are made, in order: when 40 of them wait, the Session waits too (and counts the ticks that it misses), but not
for one that hangs. The thread yields to the game where the system
lets it (Linux: niceness). Knows no recordings.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from eyehand.errors import UserError
from eyehand.session import EpisodeEnd, EpisodeStart, Observer, Tick

__all__ = ["BackgroundObserver"]

_MOST_WAITING = 40
_NICENESS = 5
_PATIENCE_S = 30.0
"""Work that does not go on for so long hangs: a disk or a network that does not answer."""


class BackgroundObserver:
    """An observer that calls another one on a thread of its own.

    What that one raises is raised by the next call here; `on_end` returns when it has dealt with everything. One that
    hangs is a UserError, and is told nothing more, for the thread is still in it.

    Attributes:
        cpu_s: CPU time that the thread took in the episodes that are over.
    """

    def __init__(self, observer: Observer) -> None:
        self.cpu_s = 0.0
        self._observer = observer
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_WAITING)
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def on_start(self, start: EpisodeStart) -> None:
        if self._thread is not None:
            raise _hung()
        self._failure = None
        self._thread = threading.Thread(target=self._work, name="eyehand recorder", daemon=True)
        self._thread.start()
        self._hand_over(lambda: self._observer.on_start(start))

    def on_tick(self, tick: Tick) -> None:
        self._hand_over(lambda: self._observer.on_tick(tick))
        if self._failure is not None:
            raise self._failure

    def on_end(self, end: EpisodeEnd) -> None:
        if self._thread is None:
            return
        self._hand_over(None)
        while self._thread.is_alive():
            num_waiting = self._waiting.qsize()
            self._thread.join(_PATIENCE_S)
            if self._thread.is_alive() and self._waiting.qsize() == num_waiting:
                raise _hung()
        self._thread = None
        failure, self._failure = self._failure, None
        # Also after a failure: files are to be closed, and what came after it is missing.
        self._observer.on_end(end if failure is None else replace(end, is_aborted=True))
        if failure is not None:
            raise failure

    def _hand_over(self, task: Callable[[], None] | None) -> None:
        try:
            self._waiting.put(task, timeout=_PATIENCE_S)
        except queue.Full:
            raise _hung() from None

    def _work(self) -> None:
        if sys.platform.startswith("linux"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while (task := self._waiting.get()) is not None:
            if self._failure is not None:
                continue  # what is left is taken out of the Session's way
            try:
                task()
            except BaseException as error:  # handed to the Session, which raises it
                self._failure = error
        self.cpu_s += time.thread_time()


def _hung() -> UserError:
    return UserError(
        f"Writing the recording has not gone on for {_PATIENCE_S:g} s: does the disk or the network answer? What was "
        "written until then stays readable."
    )
