"""`eyehand data`, by the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import moving_block
from eyehand.cli import main


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(3):
        moving_block.record(root, seed=seed, num_frames=10 + seed, task="other" if seed == 2 else "block")
    return root


def test_index_and_list(recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    data = shutil.copytree(recordings, tmp_path / "data")
    (data / "block-000" / "annotation.proto").write_bytes(b"\xff" * 50)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "index", "data", "--out", "index.parquet", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "annotation.proto is damaged" in printed
    assert "wrote index.parquet: 2 recordings, and 1 that cannot be used" in printed
    assert main(["data", "list", "index.parquet", "--where", "env_subtype = 'other'", "--as-json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in listed["recordings"]] == ["other-002"]
    assert listed["summary"]["total"]["num_frames"] == 12
    assert main(["data", "list", "index.parquet"]) == 0
    printed = capsys.readouterr().out
    assert "paper/block" in printed
    assert "recordings that cannot be used: 1" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["index", "missing", "--out", "x.parquet"], "There is nothing at"),
        (["list", "missing.parquet"], "is missing: make it with"),
        (["list", "index.parquet", "--where", "env = 'none'"], "No recording of index.parquet fits"),
        (["list", "index.parquet", "--where", "sneed"], "cannot be understood"),
    ],
)
def test_mistakes_end_with_2_and_one_sentence(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch, arguments, sentence
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "index", str(recordings), "--out", "index.parquet", "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["data", *arguments]) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1
