"""Runs commands one after the other on a screen of its own, and marks in the trace where each begins.

    traced_commands.py CASES RESULTS

CASES holds [[name, [words]], ...] as JSON. RESULTS gets {name: [status, what is new in HOME]}.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path

from eyehand.cli import main
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.screen import OwnScreen
from patience import wait_until

_SIOCSIFFLAGS, _UP = 0x8914, 0x1


def _raise_loopback() -> None:
    """A new network has a loopback, but down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP))


def _mark(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as nowhere, contextlib.suppress(OSError):
        nowhere.connect(f"/eyehand {name}")


def _run(words: list[str]) -> int:
    if words[0] == "serve":
        threading.Thread(target=_end_when_it_listens, args=(Path(words[-1]),), daemon=True).start()
    try:
        return main([found for word in words for found in (sorted(glob.glob(word)) if "*" in word else [word])])
    except SystemExit as ended:
        return int(ended.code or 0)


def _end_when_it_listens(path: Path) -> None:
    wait_until(path.exists, "the server listens")
    os.kill(os.getpid(), signal.SIGTERM)


def _new_in_home() -> list[str]:
    home = Path.home()
    found = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
    return [path for path in found if path not in _seen and not _seen.add(path)]


_seen: set[str] = set()

if __name__ == "__main__":
    _raise_loopback()
    results = {}
    with contextlib.closing(Guard()) as guard, contextlib.closing(OwnScreen((640, 480), guard)) as screen:
        os.environ |= {"DISPLAY": screen.name, "XAUTHORITY": str(screen.authority)}
        for name, words in json.loads(Path(sys.argv[1]).read_text()):
            _mark(name)
            print(f"$ eyehand {' '.join(words)}", flush=True)
            results[name] = [_run(words), _new_in_home()]
    Path(sys.argv[2]).write_text(json.dumps(results))
    _mark("the end")
