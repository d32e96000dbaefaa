"""Which runtime plays: what `auto` means, what is refused, how many threads are taken."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from eyehand.errors import UserError
from eyehand.model import runtime
from eyehand.model.live import LivePolicy
from eyehand.model.runtime import live_engine, quickest_threads, resolved
from tiny import tiny_policy

has_openvino = importlib.util.find_spec("openvino") is not None


@pytest.mark.skipif(not has_openvino, reason="the runtime OpenVINO is not installed (pip install 'eyehand[fast]')")
def test_auto_takes_openvino_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    assert resolved("auto", policy) == "openvino"
    assert resolved("auto", policy, batch=2) == "torch"
    assert resolved("auto", policy, device="cuda") == "torch"
    monkeypatch.setattr(runtime, "INT8_FROM", policy.num_parameters)
    assert resolved("auto", policy) == "openvino-int8"
    with pytest.raises(UserError, match="plays one game on the CPU"):
        resolved("openvino", policy, batch=2)


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
