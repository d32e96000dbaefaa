"""`eyehand bench live` measures what it says, on real networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import moving_block
from eyehand.bench.live import bench_live
from eyehand.cli import main
from eyehand.errors import UserError


def test_it_measures_ours_and_the_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "deep" / "bench.json"
    assert main(["bench", "live", "--runtime", "torch", "--ticks", "6", "--baseline", "--json", str(target)]) == 0
    told = capsys.readouterr().out
    assert "pocket-doom" in told
    assert "times as fast as the baseline" in told
    result = json.loads(target.read_text())
    assert result["runtime"] == "torch"
    assert result["num_ticks"] == 6
    assert result["baseline"]["p50"] > 0
    assert 0 < result["ticks"]["p50"] <= result["ticks"]["max"]
    assert set(result["stages_ms"]) == {"resize", "vision", "backbone", "decoder"}
    assert result["ratio"]["low"] <= result["ratio"]["value"] <= result["ratio"]["high"]
    assert result["memory_bytes"] > 1e8


def test_it_says_what_a_runtime_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino", reason="the runtime OpenVINO is not installed (pip install 'eyehand[fast]')")
    moving_block.record(tmp_path / "one", seed=0, num_frames=20)
    options = ["--runtime", "openvino-int8", "--ticks", "2", "--data", str(tmp_path), "--clips", "1"]
    assert main(["bench", "live", *options]) == 0
    told = capsys.readouterr().out.replace("\n", " ")
    assert "on openvino-int8" in told
    kl = float(told.split("KL mean ")[1].split(",")[0])
    agreement = float(told.split("nats a slot; ")[1].split("%")[0])
    assert 0 < kl < 1e-2
    assert agreement > 80


def test_a_runtime_that_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "live", "--runtime", "cuda-graph"]) == 2
    assert "needs a CUDA GPU, and there is none here" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match="leave out --baseline"):
        bench_live(preset_name="pocket", runtime="cuda-graph", is_baseline=True)


def test_wrong_use_is_the_users_error() -> None:
    for wrong in ({}, {"checkpoint": "pocket-doom", "preset_name": "pocket"}):
        with pytest.raises(UserError, match="either --checkpoint or --preset"):
            bench_live(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Unknown preset 'huge'"):
        bench_live(preset_name="huge")
    with pytest.raises(UserError, match="At least one tick"):
        bench_live(preset_name="pocket", ticks=0)
