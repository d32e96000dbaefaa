"""A network small enough to train inside a test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import moving_block
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.presets import PRESETS


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiny` among the presets, and one thread, so that sums are always taken in the same order."""
    torch.set_num_threads(1)
    monkeypatch.setitem(PRESETS, "tiny", tiny)


def tiny() -> PolicyConfig:
    return PolicyConfig(
        history_steps=8,
        width=32,
        num_layers=1,
        num_q_heads=2,
        num_kv_heads=1,
        ffn_hidden=64,
        text_dim=256,
        vision="pocket",
        vision_widths=(8, 8, 8, 8),
        decoder_layers=1,
        decoder_q_heads=2,
        decoder_kv_heads=1,
        decoder_ffn_hidden=32,
        dropout=0.1,
        text_encoder="wordllama",
    )


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(5):
        moving_block.record(root, seed=seed, num_frames=40)
    return root
