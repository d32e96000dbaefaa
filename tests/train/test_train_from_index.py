"""Training from an index: the same run as from its folder, and a part of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eyehand.cli import main
from eyehand.data.indexing import build_index
from eyehand.errors import UserError
from eyehand.train.config import TrainConfig, check_resumable


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "lr" in line]


def test_an_index_trains_like_its_folder_and_a_subset_unlike_it(recordings: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.parquet"
    build_index([str(recordings)], index)
    common = ["--preset", "tiny", "--batch-size", "2", "--log-every", "1", "--device", "cpu", "--workers", "0"]
    common += ["--held-out", "0.2", "--eval-every", "100"]
    assert main(["train", "--data", str(recordings), "--out", str(tmp_path / "a"), *common, "--steps", "2"]) == 0
    assert main(["train", "--data", str(index), "--out", str(tmp_path / "b"), *common, "--steps", "2"]) == 0
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    part = ["--where", "num_frames = 40", "--subset", "6", "--game-weights", "paper", "2"]
    assert main(["train", "--data", str(index), "--out", str(tmp_path / "c"), *common, *part, "--steps", "1"]) == 0
    assert losses(tmp_path / "c") != losses(tmp_path / "a")[:1]
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    assert (config["where"], config["subset"], config["game_weights"]) == ("num_frames = 40", 6, {"paper": 2.0})


def test_runs_from_before_there_were_indexes_can_go_on(tmp_path: Path) -> None:
    config = TrainConfig(data=(tmp_path,), out=tmp_path)
    before = {key: value for key, value in config.to_json().items() if key not in ("where", "subset", "game_weights")}
    check_resumable(config, before)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_weights_are_above_zero(tmp_path: Path, weight: float) -> None:
    with pytest.raises(UserError, match="game_weights gives doom"):
        TrainConfig(data=(tmp_path,), out=tmp_path, game_weights={"doom": weight})
