"""Training from an index: the same run as from its folder, and a part of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import moving_block
from eyehand.action_space import P2P
from eyehand.cli import main
from eyehand.data.dataset import Dataset, load_dataset
from eyehand.data.indexing import build_index
from eyehand.data.split import Selection
from eyehand.errors import UserError
from eyehand.train import validation
from eyehand.train.train_config import TrainConfig, check_resumable
from eyehand.train.validation import HeldOut, copy_last_scores, marginal_scores


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


def test_what_is_not_needed_of_a_large_data_set_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run waits for its baselines: of the held-out recordings those of its clips, of the others so many frames."""
    for seed in range(24):
        moving_block.record(tmp_path / "data", seed=seed, num_frames=12)
    build_index([str(tmp_path / "data")], tmp_path / "index.parquet")
    monkeypatch.setattr(validation, "_COUNTED_STEPS", 60)
    train_part, held_out_part = load_dataset(
        [tmp_path / "index.parquet"], P2P, selection=Selection(held_out=0.4)
    ).split()
    assert min(len(train_part.episodes), len(held_out_part.episodes)) > 5
    held_out = HeldOut(held_out_part, 4, 2, num_clips=3)
    assert len(held_out.rows()) > 0
    assert _num_read(held_out_part) == len(held_out.covered.episodes) <= 3
    marginal_scores(train_part, held_out.covered, held_out.rows())
    copy_last_scores(train_part, held_out.covered, held_out.rows())
    assert 0 < _num_read(train_part) * 11 <= 60
    assert _num_read(held_out_part) <= 3


def _num_read(dataset: Dataset) -> int:
    return sum(int(dataset.store.is_loaded_E[episode.number]) for episode in dataset.episodes)


def test_runs_from_before_there_were_indexes_can_go_on(tmp_path: Path) -> None:
    config = TrainConfig(data=(tmp_path,), out=tmp_path)
    before = {key: value for key, value in config.to_json().items() if key not in ("where", "subset", "game_weights")}
    check_resumable(config, before)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_weights_are_above_zero(tmp_path: Path, weight: float) -> None:
    with pytest.raises(UserError, match="game_weights gives doom"):
        TrainConfig(data=(tmp_path,), out=tmp_path, game_weights={"doom": weight})
