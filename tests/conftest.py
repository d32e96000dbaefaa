"""What holds for every test: programs are asked for, skips can be forbidden, nothing in memory is handed on."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from programs import begin_test, need

SKIPS = Path(__file__).with_name("skips.txt")
"""Skips that are right where everything is installed: a regular expression a line, and after # why."""

# No test fails because the machine is busy.
hypothesis.settings.register_profile("eyehand", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("eyehand")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores Ctrl-C, and so would the commands that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_FORBIDS_SKIPS = os.environ.get("EYEHAND_FORBID_SKIPS") == "1"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    begin_test()
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            need(name)


@pytest.fixture
def heeds_hangup() -> Iterator[None]:
    """Commands that a test starts end with their terminal, also where the tests themselves were started by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    return _without_unlisted_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    return _without_unlisted_skip((yield))


def _without_unlisted_skip(report):
    """With EYEHAND_FORBID_SKIPS=1 a skip for a reason that is not in skips.txt is a failure."""
    if _FORBIDS_SKIPS and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        listed = [line.split(" # ")[0].strip() for line in SKIPS.read_text().splitlines()]
        if not any(re.fullmatch(line, reason) for line in listed if line and not line.startswith("#")):
            report.outcome, report.longrepr = "failed", f"Skipped, and not in {SKIPS.name}: {reason}"
    return report


@pytest.fixture(autouse=True)
def _forget_memory() -> Iterator[None]:
    """What a test put into fsspec's memory:// is gone for the next one."""
    yield
    if memory := sys.modules.get("fsspec.implementations.memory"):
        memory.MemoryFileSystem.store.clear()
        memory.MemoryFileSystem.pseudo_dirs[:] = [""]
