"""A real Ray cluster of two nodes on this machine, and SIGKILL for a worker, a driver and a node."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import gated_squares
import moving_block
from eyehand.cli import main
from eyehand.commands.workers import make_engine
from eyehand.data.index import read_index
from eyehand.errors import UserError
from gated_squares import NUM_FREE, NUM_ITEMS, begun, make_folder, num_noted, wait_for

pytest.importorskip("ray", reason="Ray is not installed: pip install 'eyehand[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="Ray clusters are for Linux")]

SQUARES = [number**2 for number in range(NUM_ITEMS)]
NODE = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:  # on every node there must be what is to be run
        patch.setenv("PYTHONPATH", str(Path(gated_squares.__file__).parent))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield from two_nodes(Cluster)


def two_nodes(Cluster: type) -> Iterator[object]:
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    cluster.add_node(num_cpus=1, object_store_memory=NODE["object_store_memory"])
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()
    gc.collect()  # what is left of Ray's objects would crash the next process that is forked when it frees them


def tries(folder: Path) -> dict[int, int]:
    return {number: len(pids) for number, pids in sorted(begun(folder).items())}


def test_a_killed_worker_costs_one_try(cluster, tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "gate").touch()
    (folder / "deadly").write_text("2")
    assert gated_squares.run(folder, make_engine("ray", address=cluster.address)) == SQUARES
    assert tries(folder) == {number: 2 if number == 2 else 1 for number in range(NUM_ITEMS)}


def test_a_killed_driver_goes_on_where_it_was(cluster, tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    command = [sys.executable, gated_squares.__file__, str(folder), "ray", cluster.address]
    with subprocess.Popen(command) as driver:
        wait_for(lambda: num_noted(folder) == NUM_FREE and len(begun(folder)) == NUM_FREE + 2)
        driver.send_signal(signal.SIGKILL)
    (folder / "gate").touch()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(SQUARES)
    assert all(tries(folder)[number] == 1 for number in range(NUM_FREE))  # what was noted is not done again


def test_recordings_are_indexed_as_they_are_on_one_machine(cluster, tmp_path: Path, capsys) -> None:
    for seed in range(3):
        moving_block.record(tmp_path / "data", seed=seed, num_frames=5)
    (tmp_path / "data" / "block-001" / "192x192.mp4").write_bytes(b"")
    index = ["data", "index", str(tmp_path / "data"), "--out"]
    assert main([*index, str(tmp_path / "a.parquet"), "--workers", "1"]) == 0
    assert main([*index, str(tmp_path / "b.parquet"), "--engine", "ray", "--address", cluster.address]) == 0
    assert read_index(tmp_path / "a.parquet") == read_index(tmp_path / "b.parquet")
    capsys.readouterr()


def test_an_error_of_the_function_is_raised_here(cluster, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="begun"):
        gated_squares.run(tmp_path, make_engine("ray", address=cluster.address))


def test_a_killed_node_costs_what_ran_on_it(cluster, tmp_path: Path) -> None:
    """The last test: the cluster has one node less afterwards."""
    folder = make_folder(tmp_path)
    command = [sys.executable, gated_squares.__file__, str(folder), "ray", cluster.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        wait_for(lambda: num_noted(folder) == NUM_FREE and len(begun(folder)) == NUM_FREE + 2)  # one on each node
        (node,) = cluster.worker_nodes
        waiting = [psutil.Process(*begun(folder)[number]) for number in (NUM_FREE, NUM_FREE + 1)]
        cluster.remove_node(node, allow_graceful=False)  # SIGKILL; its worker ends when it notices
        wait_for(lambda: not all(each.is_running() for each in waiting))
        (folder / "gate").touch()
        printed, _ = driver.communicate()
    assert printed.strip() == str(SQUARES)
    assert all(tries(folder)[number] == 1 for number in range(NUM_FREE))
    assert sum(tries(folder).values()) > NUM_ITEMS


def test_a_cluster_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"There is no Ray cluster at 127\.0\.0\.1:1 "):
        list(make_engine("ray", address="127.0.0.1:1").run(abs, [1, 2]))
