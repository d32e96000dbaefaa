"""Jobs with a journal: workers and drivers that are really killed lose nothing that was done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import gated_squares
from eyehand.commands.workers import make_engine
from eyehand.errors import UserError
from eyehand.jobs.job import Job, run_job
from eyehand.jobs.journal import Journal
from eyehand.jobs.local import LocalEngine
from gated_squares import NUM_FREE, NUM_ITEMS, begun, make_folder, num_noted, wait_for

SQUARES = [number**2 for number in range(NUM_ITEMS)]


def test_a_killed_worker_costs_one_try(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "gate").touch()
    (folder / "deadly").write_text("2")
    assert gated_squares.run(folder, LocalEngine(2)) == SQUARES
    assert {number: len(pids) for number, pids in begun(folder).items()} == {
        number: 2 if number == 2 else 1 for number in range(NUM_ITEMS)
    }


def test_a_killed_driver_goes_on_where_it_was_and_its_workers_end(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    command = [sys.executable, gated_squares.__file__, str(folder), "local"]
    with subprocess.Popen(command) as driver:
        wait_for(lambda: num_noted(folder) == NUM_FREE and len(begun(folder)) == NUM_FREE + 2)
        workers = [psutil.Process(pid) for pids in begun(folder).values() for pid in pids]
        driver.send_signal(signal.SIGKILL)
    _, left = psutil.wait_procs(workers, timeout=100)  # though the gate is shut: they were busy
    assert not left
    with open(folder / "journal", "ab") as file:  # the kill came in the middle of a line
        file.write(b'{"key": "squ')
    (folder / "gate").touch()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(SQUARES)
    tries = {number: len(pids) for number, pids in begun(folder).items()}
    assert tries == {number: 2 if NUM_FREE <= number < NUM_FREE + 2 else 1 for number in range(NUM_ITEMS)}


def double(number: int) -> int:
    return 2 * number


def test_what_is_not_final_is_done_again(tmp_path: Path) -> None:
    job = Job("double", double, lambda number, problem: -1, lambda result: result > 2, int)
    items = {str(number): number for number in range(4)}
    told = []
    for again in (0, 1, 2, 3), (0, 1):
        with Journal(tmp_path / "m", {}) as journal:
            assert run_job(job, items, LocalEngine(), journal, lambda *args: told.append(args)) == {
                "0": 0, "1": 2, "2": 4, "3": 6,
            }  # fmt: skip
        assert len(told) == 1 + len(again)
        assert told[0] == ("double", 4 - len(again), 4)
        assert told[-1] == ("double", 4, 4)
        told.clear()


def test_a_journal_of_another_version(tmp_path: Path) -> None:
    job = Job("double", double, lambda number, problem: -1, lambda result: True, int)
    with Journal(tmp_path / "m", {}) as journal:
        journal.add("double 1", {"half": 2})
        journal.add("double 2", 4)
        assert run_job(job, {"1": 1, "2": 2}, LocalEngine(), journal) == {"1": 2, "2": 4}
        assert journal.results == {"double 1": 2, "double 2": 4}


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "m", {}),
        pytest.raises(UserError, match=r"Another run is busy with .*: wait"),
        Journal(tmp_path / "m", {}),
    ):
        pass
    with Journal(tmp_path / "m", {}):
        pass


def test_a_manifest_of_other_options_or_garbage(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with Journal(path, {"a": (1, 2)}) as journal:
        journal.add("x", {"y": 1})
    with Journal(path, {"a": (1, 2)}) as journal:
        assert journal.results == {"x": {"y": 1}}
    with pytest.raises(UserError, match="begun with other sources or options"), Journal(path, {"a": (1, 3)}):
        pass
    path.write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="is damaged or no journal: remove it"), Journal(path, {}):
        pass


def test_engines_by_name() -> None:
    assert make_engine(workers=3) == LocalEngine(3)
    with pytest.raises(UserError, match="--workers must be above 0"):
        make_engine(workers=0)
    with pytest.raises(UserError, match="give --engine ray with it"):
        make_engine(address="localhost:1")


def crash(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_an_item_that_kills_every_worker_is_given_up_and_the_rest_goes_on(tmp_path: Path) -> None:
    sentences: list[str] = []
    job = Job("crash", crash, lambda number, said: sentences.append(said) or -number, lambda result: result >= 0, int)
    items = {str(number): number for number in range(4)}
    with Journal(tmp_path / "m", {}) as journal:
        assert list(run_job(job, items, LocalEngine(2), journal).values()) == [0, -1, 2, 3]
    assert sentences == [
        "A worker process died twice over 1 (exit status -9; often: out of memory): try again with fewer --workers."
    ]
