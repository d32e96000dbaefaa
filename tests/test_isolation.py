"""Tests know nothing of each other: what `conftest.py` promises to each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from programs import begin_test, need


@pytest.mark.parametrize("test", ["one", "another"])
def test_memory_holds_nothing_of_another_test(test: str) -> None:
    memory = fsspec.filesystem("memory")
    assert memory.ls("/") == []
    memory.pipe("/set/file", test.encode())


def test_a_program_that_nobody_asked_for_is_not_started() -> None:
    need("ps")
    subprocess.run(["ps"], capture_output=True, check=True)
    begin_test()
    with pytest.raises(AssertionError, match=r"must call need\('ps'\)"):
        subprocess.run(["ps"], capture_output=True, check=True)


def test_what_is_missing_is_skipped_by_the_name_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.skip.Exception, match=r"^Xephyr is not installed \(apt install xserver-xephyr\)$"):
        need("Xephyr")


def test_a_skip_that_is_not_on_the_list_is_a_failure_where_everything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "test_module.py").write_text(
        "import pytest\npytest.importorskip('not_there', reason='it is not there')\n"
    )
    (tmp_path / "test_skips.py").write_text(
        "import pytest\n"
        "def test_listed(): pytest.skip('lerobot is not installed')\n"
        "def test_unlisted(): pytest.skip('somebody forgot to install it')\n"
        "@pytest.mark.xfail\ndef test_known(): assert False\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-q", "--continue-on-collection-errors", str(tmp_path)]
    for forbids, counts in (("1", "1 failed, 1 skipped, 1 xfailed, 1 error"), ("", "3 skipped, 1 xfailed")):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "EYEHAND_FORBID_SKIPS": forbids}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert f"\n{counts} in " in done.stdout
        assert ("Skipped, and not in skips.txt: somebody forgot to install it" in done.stdout) == bool(forbids)
        assert ("Skipped, and not in skips.txt: it is not there" in done.stdout) == bool(forbids)
