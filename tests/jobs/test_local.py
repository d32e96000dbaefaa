"""Items over processes: results, errors, and processes that really die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from eyehand.errors import UserError
from eyehand.jobs.engine import results_of
from eyehand.jobs.local import LocalEngine
from patience import wait_until


@dataclass(frozen=True)
class Square:
    """A job: `number` squared; the file `dies_at`, if there, is removed by the worker that then kills itself."""

    number: int
    dies_at: Path | None = None
    dies_always: bool = False

    def __str__(self) -> str:
        return f"square {self.number}"


def square(job: Square) -> tuple[int, int]:
    if job.number < 0:
        raise UserError(f"{job.number} is below 0; choose a larger one.")
    if job.dies_always:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.dies_at is not None and job.dies_at.exists():
        job.dies_at.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return job.number**2, os.getpid()


def test_results_come_from_other_processes_and_none_is_left_behind() -> None:
    before = {child.pid for child in psutil.Process().children()}
    results = list(results_of(LocalEngine(2).run(square, [Square(number) for number in range(5)])))
    assert sorted(result for result, _ in results) == [0, 1, 4, 9, 16]
    assert os.getpid() not in {pid for _, pid in results}
    workers = {pid for _, pid in results}
    assert not workers & {child.pid for child in psutil.Process().children()} - before


def test_one_worker_is_this_process() -> None:
    assert list(results_of(LocalEngine(1).run(square, [Square(2), Square(3)]))) == [(4, os.getpid()), (9, os.getpid())]


def test_an_error_of_a_job_is_raised_here() -> None:
    with pytest.raises(UserError, match="-1 is below 0"):
        list(results_of(LocalEngine(2).run(square, [Square(1), Square(-1)])))


def test_a_job_whose_worker_is_killed_once_is_done_by_another(tmp_path: Path) -> None:
    mark = tmp_path / "die"
    mark.touch()
    results = list(results_of(LocalEngine(2).run(square, [Square(2), Square(3, dies_at=mark), Square(4)])))
    assert sorted(result for result, _ in results) == [4, 9, 16]
    assert not mark.exists()


def test_a_job_that_kills_its_worker_twice_is_named() -> None:
    with pytest.raises(UserError, match=r"died twice over square 3 \(exit status -9"):
        list(results_of(LocalEngine(2).run(square, [Square(2), Square(3, dies_always=True), Square(4)])))


KILLED = """
import os, sys, time
from eyehand.jobs.local import LocalEngine

def stay(number):
    if number == 0:
        print(os.getpid(), flush=True)
    else:
        time.sleep(0.01)
    while number == 0:
        try:
            time.sleep(1000)
        except SystemExit:
            pass  # as a library that does not return

if __name__ == "__main__":
    done = LocalEngine(2).run(stay, [0, 1, 2])
    next(done)
    if os.fork() == 0:  # it has what tells workers that their parent lives
        sys.stdin.read()
        os._exit(0)
    next(done)
    print("forked", flush=True)
    time.sleep(1000)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_no_worker_outlives_a_parent_that_was_killed_whoever_has_its_pipes(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        said = sorted([parent.stdout.readline(), parent.stdout.readline()])  # whichever came first
        parent.kill()
        parent.wait()
        assert said[1:] == ["forked\n"]
        worker = psutil.Process(int(said[0]))
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "the worker ends")
        parent.stdin.close()
