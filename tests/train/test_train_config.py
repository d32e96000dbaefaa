"""Options: nonsense is refused in one sentence, and a run is only resumed as what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eyehand.errors import UserError
from eyehand.train.sizes import Sizes, Trial, choose_sizes
from eyehand.train.train_config import CONFIG_FILE, TrainConfig, check_resumable, read_config

CONFIG = TrainConfig(data=(Path("d"),), out=Path("o"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_size", 0), ("lr", 0.0), ("action_corruption", 1.5), ("steps", -1), ("minutes", -2.0), ("data", ())],
)
def test_nonsense_is_refused(name: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"\b{name}\b"):
        replace(CONFIG, **{name: value})  # type: ignore[arg-type]


def test_steps_are_the_default_budget() -> None:
    assert CONFIG.max_steps == 20_000
    assert replace(CONFIG, minutes=1.0).max_steps is None
    assert replace(CONFIG, minutes=1.0, steps=5).max_steps == 5


def test_what_shapes_the_result_must_agree_on_resume(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text(json.dumps(CONFIG.to_json()))
    started_with = read_config(tmp_path)
    check_resumable(replace(CONFIG, steps=9, workers=3, device="cpu", resume=True), started_with)
    with pytest.raises(UserError, match=r"lr = 0.0005, not 0.1"):
        check_resumable(replace(CONFIG, lr=0.1), started_with)


def test_a_run_from_before_an_option_existed_had_its_default(tmp_path: Path) -> None:
    started_with = CONFIG.to_json()
    del started_with["compression"]
    check_resumable(CONFIG, started_with)
    with pytest.raises(UserError, match=r"started with compression = 0.0, not 0.5"):
        check_resumable(replace(CONFIG, compression=0.5), started_with)


def test_no_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run to resume"):
        read_config(tmp_path)
    (tmp_path / CONFIG_FILE).write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read_config(tmp_path)
    (tmp_path / CONFIG_FILE).write_text("[" * 100_000)
    with pytest.raises(UserError, match="damaged"):
        read_config(tmp_path)
    (tmp_path / CONFIG_FILE).unlink()
    (tmp_path / CONFIG_FILE).mkdir()
    with pytest.raises(UserError, match=r"config.json cannot be read \(Is a directory\)"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["steps", "minutes"])
def test_a_run_that_ends_before_it_begins_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} is 0: it must be"):
        TrainConfig((tmp_path,), tmp_path, **{name: 0})  # type: ignore[arg-type]


def test_sizes_that_are_not_given_fit_the_time_the_memory_and_the_device(tmp_path: Path) -> None:
    config = TrainConfig((tmp_path,), tmp_path, minutes=4)
    fast, slow, tight = Trial(10_000, 100_000), Trial(20, 100_000), Trial(10_000, 40)
    assert choose_sizes(config, fast, 192, is_gpu=False) == Sizes(16, 192)
    assert choose_sizes(config, fast, 192, is_gpu=True) == Sizes(32, 120)
    assert choose_sizes(config, Trial(300, 100_000), 192, is_gpu=False) == Sizes(7, 16)
    assert choose_sizes(config, slow, 192, is_gpu=False) == Sizes(4, 16)
    assert choose_sizes(replace(config, minutes=400), slow, 192, is_gpu=False) == Sizes(16, 48)
    assert choose_sizes(replace(config, minutes=None), slow, 192, is_gpu=False) == Sizes(8, 192)
    assert choose_sizes(config, tight, 192, is_gpu=True) == Sizes(2, 16)
    assert choose_sizes(config, fast, 8, is_gpu=False) == Sizes(16, 8)
    assert choose_sizes(replace(config, batch_size=3, clip_steps=500), slow, 192, is_gpu=False) == Sizes(3, 192)


def test_a_resumed_run_goes_on_with_the_sizes_that_were_chosen(tmp_path: Path) -> None:
    config = TrainConfig((tmp_path,), tmp_path)
    chosen = replace(config, batch_size=4, clip_steps=16)
    assert check_resumable(config, chosen.to_json()) == chosen
    with pytest.raises(UserError, match="batch_size = 4, not 5"):
        check_resumable(replace(config, batch_size=5), chosen.to_json())
