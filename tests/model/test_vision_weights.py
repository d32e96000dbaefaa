"""ImageNet weights in torchvision's and timm's naming become the trunk's; anything else is one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from eyehand.errors import UserError
from eyehand.model.vision import EfficientNetTrunk
from eyehand.model.vision_weights import read_vision_weights, timm_name, torchvision_name


def _torchvision(own: str) -> str:
    return "features." + torchvision_name(own)


def _random_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = EfficientNetTrunk().state_dict()
    return {
        name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor + 3
        for name, tensor in state.items()
    }


def _write(path: Path, state: dict[str, Tensor], rename: Callable[[str], str]) -> Path:
    """A file as those projects publish it: with the later stages and the classifier."""
    rest = {"classifier.weight": torch.zeros(4, 1280), "features.6.0.block.0.0.weight": torch.zeros(672, 112, 1, 1)}
    save_file({**{rename(own): tensor for own, tensor in state.items()}, **rest}, path)
    return path


@pytest.mark.parametrize("rename", [_torchvision, timm_name])
def test_every_weight_finds_its_place(tmp_path: Path, rename: Callable[[str], str]) -> None:
    state = _random_state()
    read = read_vision_weights(str(_write(tmp_path / "b0.safetensors", state, rename)))
    trunk = EfficientNetTrunk()
    trunk.load_state_dict(read)
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(tensor, state[name]) or name.endswith("num_batches_tracked"), name


def test_the_names_are_those_of_the_two_projects() -> None:
    """Spot checks from both projects' public files, where the two differ most: first stage, gates, norms."""
    assert {own: (torchvision_name(own), timm_name(own)) for own in EXAMPLES} == EXAMPLES
    names = list(EfficientNetTrunk().state_dict())
    for rename in (torchvision_name, timm_name):
        assert len({rename(name) for name in names}) == len(names)


EXAMPLES = {
    "stem.conv.weight": ("0.0.weight", "conv_stem.weight"),
    "stem.norm.running_var": ("0.1.running_var", "bn1.running_var"),
    "stages.0.0.depthwise.conv.weight": ("1.0.block.0.0.weight", "blocks.0.0.conv_dw.weight"),
    "stages.0.0.depthwise.norm.bias": ("1.0.block.0.1.bias", "blocks.0.0.bn1.bias"),
    "stages.0.0.gate.fc1.weight": ("1.0.block.1.fc1.weight", "blocks.0.0.se.conv_reduce.weight"),
    "stages.0.0.project.conv.weight": ("1.0.block.2.0.weight", "blocks.0.0.conv_pw.weight"),
    "stages.0.0.project.norm.weight": ("1.0.block.2.1.weight", "blocks.0.0.bn2.weight"),
    "stages.3.2.expand.conv.weight": ("4.2.block.0.0.weight", "blocks.3.2.conv_pw.weight"),
    "stages.3.2.depthwise.conv.weight": ("4.2.block.1.0.weight", "blocks.3.2.conv_dw.weight"),
    "stages.3.2.depthwise.norm.running_mean": ("4.2.block.1.1.running_mean", "blocks.3.2.bn2.running_mean"),
    "stages.3.2.gate.fc2.bias": ("4.2.block.2.fc2.bias", "blocks.3.2.se.conv_expand.bias"),
    "stages.3.2.project.conv.weight": ("4.2.block.3.0.weight", "blocks.3.2.conv_pwl.weight"),
    "stages.4.0.project.norm.bias": ("5.0.block.3.1.bias", "blocks.4.0.bn3.bias"),
}


def test_half_precision_becomes_float32_and_a_missing_counter_is_no_loss(tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in _random_state().items() if tensor.is_floating_point()}
    read = read_vision_weights(str(_write(tmp_path / "b0.safetensors", state, timm_name)))
    EfficientNetTrunk().load_state_dict(read)
    assert {tensor.dtype for tensor in read.values()} == {torch.float32, torch.int64}


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "b0.safetensors"
    with pytest.raises(UserError, match="There is no file"):
        read_vision_weights(str(path))
    path.write_bytes(b"not a safetensors file")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        read_vision_weights(str(path))
    save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="holds no EfficientNet-B0"):
        read_vision_weights(str(path))
    whole = _random_state()
    for own, change, message in (
        ("stages.2.1.gate.fc1.weight", None, r"lacks blocks\.2\.1\.se\.conv_reduce\.weight"),
        ("stem.conv.weight", torch.zeros(40, 3, 3, 3), r"has the shape \(40, 3, 3, 3\)"),
        ("stem.norm.bias", torch.full((32,), torch.nan), "does not hold finite numbers"),
    ):
        state = {name: tensor for name, tensor in whole.items() if name != own}
        _write(path, state if change is None else {**state, own: change}, timm_name)
        with pytest.raises(UserError, match=message):
            read_vision_weights(str(path))
    with pytest.raises(UserError, match="names no file on the hub"):
        read_vision_weights("hf:resnet")
