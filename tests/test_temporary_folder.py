"""Temporary folders: what a killed process left is removed by the next one, and nothing of those that live."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from eyehand.temporary_folder import TemporaryFolder

HOLDER = """
import sys, time
from eyehand.temporary_folder import TemporaryFolder
folder = TemporaryFolder("test")
(folder.path / "file").touch()
print(folder.path, flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "eyehand-test-of-somebody").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".lock").touch()
    (tmp_path / "eyehand-test-link").symlink_to(tmp_path / "mine")
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        with TemporaryFolder("test") as folder:
            assert folder.stat().st_mode & 0o077 == 0
            assert (left / "file").exists()
        assert not folder.exists()
        holder.kill()
    with TemporaryFolder("another"):
        assert left.exists()
    with TemporaryFolder("test"):
        assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"eyehand-test-of-somebody", "eyehand-test-link", "mine"}
    assert (tmp_path / "mine" / ".lock").exists()
