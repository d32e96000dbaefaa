"""The state on disk: whole or the one before, and never code."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eyehand.errors import UserError
from eyehand.train.state import STATE_FILE, TrainingState, load_state, save_state

STATE = TrainingState(3, 1.5, {"w": torch.ones(2)}, {"w": torch.zeros(2)}, {"state": {}}, {"count": 1})


def test_it_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path, STATE)
    save_state(tmp_path, replace(STATE, step=4))
    state = load_state(tmp_path)
    assert (state.step, state.elapsed_s, state.meter) == (4, 1.5, {"count": 1})
    assert torch.equal(state.model["w"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]


def test_a_failed_write_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, STATE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left"):
        save_state(tmp_path, replace(STATE, step=9))
    assert load_state(tmp_path).step == 3


def test_missing_truncated_and_foreign_files_are_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="before its first checkpoint"):
        load_state(tmp_path)
    save_state(tmp_path, STATE)
    path = tmp_path / STATE_FILE
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", b"garbage", pickle.dumps({"step": 1})):
        path.write_bytes(damage)
        with pytest.raises(UserError, match="damaged"):
            load_state(tmp_path)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("exploded"),)  # type: ignore[return-value]


def test_code_in_a_state_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"version": 1, "step": _Bomb()}, tmp_path / STATE_FILE)
    with pytest.raises(UserError, match="damaged"):
        load_state(tmp_path)
    assert not (tmp_path / "exploded").exists()
