"""An observer's work on a thread of its own, so that a Session's ticks stay on time while videos are encoded.

Everything is handed over in order and nothing is left out: when the thread is far behind, the Session waits for it (and
counts the ticks that it misses meanwhile). The thread yields to the game where the system lets it (Linux: niceness).
Knows no recordings.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable

from eyehand.session import EpisodeEnd, EpisodeStart, Observer, Tick

__all__ = ["BackgroundObserver"]

_MOST_WAITING = 40
_NICENESS = 5


class BackgroundObserver:
    """Tells another observer, on a thread of its own.

    What that one raises is raised by the next call here; `on_end` returns when it has dealt with everything.

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
        self._failure = None
        self._thread = threading.Thread(target=self._work, name="eyehand recorder", daemon=True)
        self._thread.start()
        self._waiting.put(lambda: self._observer.on_start(start))

    def on_tick(self, tick: Tick) -> None:
        self._waiting.put(lambda: self._observer.on_tick(tick))
        if self._failure is not None:
            raise self._failure

    def on_end(self, end: EpisodeEnd) -> None:
        if self._thread is None:
            return
        self._waiting.put(None)
        self._thread.join()
        self._thread = None
        failure, self._failure = self._failure, None
        self._observer.on_end(end)  # also after a failure: files are to be closed
        if failure is not None:
            raise failure

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
