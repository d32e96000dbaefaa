"""Which runtime plays: what `auto` means, what is refused, how many threads are taken."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from eyehand.errors import UserError
from eyehand.inference import runtime
from eyehand.inference.runtime import live_engine, quickest_threads, resolved
from eyehand.inference.torch_live import LivePolicy
from tiny import tiny_policy

has_openvino = importlib.util.find_spec("openvino") is not None


@pytest.mark.skipif(not has_openvino, reason="the runtime OpenVINO is not installed (pip install 'eyehand[fast]')")
def test_auto_takes_openvino_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    assert resolved("auto", policy) == "openvino"
    assert resolved("auto", policy, batch=2) == "torch"
    monkeypatch.setattr(runtime, "INT8_FROM", policy.num_parameters)
    assert resolved("auto", policy) == "openvino-int8"
    with pytest.raises(UserError, match="plays one game on the CPU"):
        resolved("openvino", policy, batch=2)


def test_one_game_on_a_gpu_is_played_by_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolved("auto", policy, device="cuda") == "cuda-graph"
    assert resolved("auto", policy, device="cuda:1", batch=2) == "torch"
    assert resolved("cuda-graph", policy) == "cuda-graph"
    assert quickest_threads(policy, "cuda-graph", 4) == 1
    with pytest.raises(UserError, match="plays one game: use --runtime torch"):
        resolved("cuda-graph", policy, device="cuda", batch=2)


def test_without_a_gpu_a_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    policy = tiny_policy()
    for play in (
        lambda: live_engine(policy, "cuda-graph"),
        lambda: live_engine(policy, device="cuda"),
        lambda: quickest_threads(policy, "cuda-graph", 2),
    ):
        with pytest.raises(UserError, match=r"needs a CUDA GPU, and there is none here: use --runtime auto\.$"):
            play()


def test_without_openvino_torch_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    policy = tiny_policy()
    assert isinstance(live_engine(policy), LivePolicy)
    with pytest.raises(UserError, match="not installed: pip install"):
        live_engine(policy, "openvino-int8")


def test_threads_stay_below_the_limit_and_torch_as_it_was() -> None:
    before = torch.get_num_threads()
    assert quickest_threads(tiny_policy(), "torch", 1) == 1
    assert quickest_threads(tiny_policy(), "torch", 2) in (1, 2)
    assert torch.get_num_threads() == before
