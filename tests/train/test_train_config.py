"""Options: nonsense is refused in one sentence, and a run is only resumed as what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from eyehand.errors import UserError
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
