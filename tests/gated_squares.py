"""A job to be killed in the middle of: squares of numbers, of which the later ones wait for a gate to open.

    python gated_squares.py FOLDER ENGINE [ADDRESS]     squares 0 to 7 into FOLDER/journal, with two workers

FOLDER/begun gets an empty file for every try at a number, named NUMBER-PID; FOLDER/gate opens the gate; the first
worker that takes the number of FOLDER/deadly kills itself and takes that file with it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eyehand.commands.workers import make_engine
from eyehand.jobs.engine import Engine
from eyehand.jobs.job import Job, run_job
from eyehand.jobs.journal import Journal

NUM_ITEMS = 8
NUM_FREE = 4
"""Numbers from here on wait for the gate."""


@dataclass(frozen=True)
class Number:
    folder: Path
    value: int

    def __str__(self) -> str:
        return f"number {self.value}"


def square(number: Number) -> int:
    (number.folder / "begun" / f"{number.value}-{os.getpid()}").touch()
    deadly = number.folder / "deadly"
    if deadly.exists() and int(deadly.read_text()) == number.value:
        deadly.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if number.value >= NUM_FREE:
        wait_for((number.folder / "gate").exists)
    return number.value**2


def wait_for(condition: Callable[[], object], seconds: float = 200) -> None:
    """Until it holds; whoever waits too long has found a fault."""
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.02)


SQUARE = Job("square", square, lambda number, problem: -1, lambda result: result >= 0, int)


def make_folder(folder: Path) -> Path:
    (folder / "begun").mkdir()
    return folder


def begun(folder: Path) -> dict[int, set[int]]:
    """By number the processes that have begun with it."""
    pids: dict[int, set[int]] = {}
    for path in (folder / "begun").iterdir():
        number, pid = map(int, path.name.split("-"))
        pids.setdefault(number, set()).add(pid)
    return pids


def num_noted(folder: Path) -> int:
    """Results in the journal."""
    path = folder / "journal"
    return path.read_bytes().count(b'"result"') if path.exists() else 0


def run(folder: Path, engine: Engine) -> list[int]:
    with Journal(folder / "journal", {"squares": NUM_ITEMS}) as journal:
        return list(run_job(SQUARE, {str(n): Number(folder, n) for n in range(NUM_ITEMS)}, engine, journal).values())


def main() -> None:
    folder, name, *address = sys.argv[1:]
    print(run(Path(folder), make_engine(name, 2, *address)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
