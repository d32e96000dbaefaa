"""Monitoring of the machine during play: CPU of our processes, memory, and time stolen by the host.

`MachineWatch.poll` is called from a live loop and takes a sample at most once a second (about a millisecond). Real-time
figures from a virtual machine mean little without the steal beside them: a hypervisor that takes the CPU away for
50 ms makes any loop late. Reads /proc on Linux; elsewhere psutil, where steal is 0 because it cannot be known.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = [
    "QUIET_STEAL",
    "MachineWatch",
    "MachineWindow",
    "cpu_name",
    "num_cores",
    "process_identity",
    "wait_without_spinning",
]

QUIET_STEAL = 0.12
"""A window in which the host took less than this share of all cores' time counts as quiet."""

_IS_LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True, slots=True)
class MachineWindow:
    """The machine's load between two samples.

    Attributes:
        start_ns, end_ns: on the monotonic clock.
        steal: share of all cores' time that the host took away, 0 to 1.
        busy: share of all cores' time used by any process, 0 to 1.
        own_cores: cores kept busy by this process and its children (1.5: one and a half cores).
        memory_bytes: resident memory of this process and its children at the end of the window.
    """

    start_ns: int
    end_ns: int
    steal: float
    busy: float
    own_cores: float
    memory_bytes: int

    @property
    def is_quiet(self) -> bool:
        return self.steal < QUIET_STEAL


@dataclass(frozen=True, slots=True)
class _Sample:
    """Counters at one moment, all times in seconds since boot or since the process began."""

    time_ns: int
    total_s: float
    steal_s: float
    idle_s: float
    own_s: dict[int, float]
    memory_bytes: int


class MachineWatch:
    """Samples the machine's load in windows of about `period_s` seconds.

    Begins at construction. `windows` holds the finished ones, oldest first.
    """

    def __init__(self, period_s: float = 1.0) -> None:
        self.windows: list[MachineWindow] = []
        self._period_ns = round(period_s * 1e9)
        self._last = _take_sample()

    def poll(self, is_last: bool = False) -> None:
        """Close the current window if it is long enough (`is_last`: whatever its length)."""
        now_ns = time.monotonic_ns()
        if now_ns - self._last.time_ns < (self._period_ns // 10 if is_last else self._period_ns):
            return
        before, after = self._last, _take_sample()
        total_s = max(after.total_s - before.total_s, 1e-9)
        idle_s, steal_s = after.idle_s - before.idle_s, after.steal_s - before.steal_s
        # A child that was born or has died since counts from or until the sample that saw it.
        own_s = sum(max(0.0, spent - before.own_s.get(pid, 0.0)) for pid, spent in after.own_s.items())
        self.windows.append(
            MachineWindow(
                start_ns=before.time_ns,
                end_ns=after.time_ns,
                steal=_share(steal_s / total_s),
                busy=_share(1.0 - (idle_s + steal_s) / total_s),
                own_cores=own_s / ((after.time_ns - before.time_ns) / 1e9),
                memory_bytes=after.memory_bytes,
            )
        )
        self._last = after

    def restart(self) -> None:
        """Begin a new window now, forgetting what happened since the last one (loading, warm-up)."""
        self._last = _take_sample()


def wait_without_spinning() -> None:
    """Let OpenMP's threads sleep while they wait for each other. Called before PyTorch is imported, or it does nothing.

    Spinning, a thread that waits takes the core of the one that it waits for as soon as any other program, or a data
    worker, runs too: on two cores, one of them busy, a training step took 35 times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def num_cores() -> int:
    """Cores that this process may use: `taskset` and batch systems may leave it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's name for a report, as far as the system tells."""
    if _IS_LINUX:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def process_identity(pid: int) -> str | None:
    """What no other process with this id has, before or after it; None: there is none, or it has ended.

    Of Linux the boot, and the clock ticks since then at which the process began: psutil's time of its beginning moves
    when somebody sets the clock.
    """
    try:
        if not _IS_LINUX:
            return str(psutil.Process(pid).create_time())
        state, *numbers = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, psutil.Error):
        return None
    return None if state in (b"Z", b"X") else f"{boot} {int(numbers[18])}"


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _take_sample() -> _Sample:
    times = psutil.cpu_times()
    # guest time is part of user time already.
    total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    own_s: dict[int, float] = {}
    memory_bytes = 0
    for pid in (os.getpid(), *_descendants(os.getpid())):
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                spent = process.cpu_times()
                own_s[pid] = spent.user + spent.system
                memory_bytes += process.memory_info().rss
        except psutil.Error:  # it ended between the listing and the reading
            continue
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    return _Sample(time.monotonic_ns(), total_s, getattr(times, "steal", 0.0), idle_s, own_s, memory_bytes)


def _descendants(pid: int) -> list[int]:
    """Process ids below `pid`. On Linux without psutil's walk over every process of the machine."""
    if not _IS_LINUX or not Path(f"/proc/{pid}/task/{pid}/children").exists():
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                children = [int(word) for word in task.read_text(encoding="ascii").split()]
            except OSError:  # the thread ended meanwhile
                continue
            found += children
            waiting += children
    return found
