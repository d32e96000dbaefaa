"""A process is started whole: a signal that comes meanwhile is handled afterwards."""

from __future__ import annotations

import os
import signal
import socket
import threading
from multiprocessing.process import BaseProcess
from typing import cast

import pytest

from eyehand.spawned import start_whole


class _Interrupted:
    """A process in whose start this process gets Ctrl-C, by another thread than the one that starts it."""

    is_started = False

    def start(self) -> None:
        theirs, ours = socket.socketpair()
        with theirs, ours:
            theirs.setblocking(False)
            before = signal.set_wakeup_fd(theirs.fileno())
            try:
                os.kill(os.getpid(), signal.SIGINT)
                ours.recv(1)  # it has arrived
            finally:
                signal.set_wakeup_fd(before)
        self.is_started = True


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs signals as POSIX has them")
def test_ctrl_c_comes_after_the_start_whichever_thread_the_kernel_gives_it_to() -> None:
    process, end = _Interrupted(), threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            start_whole(cast(BaseProcess, process))
        assert process.is_started
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, set())
    finally:
        end.set()
        for thread in threads:
            thread.join()
