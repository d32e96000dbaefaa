"""What the machine has, and how much of it is ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COUNTED = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
from eyehand.commands.workers import make_engine
from eyehand.data.loader import default_workers
from eyehand.machine import num_cores
print(num_cores(), default_workers(), make_engine().num_workers)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_that_may_use_one_core_counts_one() -> None:
    core = min(os.sched_getaffinity(0))
    done = subprocess.run([sys.executable, "-c", COUNTED, str(core)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "1"]
