"""The image encoder prepared for inference: BatchNorms folded, convolutions packed for oneDNN."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eyehand.model.vision import ConvNorm, ImageEncoder

__all__ = ["PackedConv", "folded", "packed"]

_ATTRIBUTES: dict[str | None, tuple[str, list[float]]] = {
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
    "silu": ("swish", []),
    None: ("none", []),
}
"""oneDNN's activation and its numbers, by `ConvNorm.activation`."""


class PackedConv(nn.Module):
    """A convolution with its activation as one oneDNN operation, the weight laid out beforehand.

    Without this PyTorch runs small convolutions of one picture on one thread through a slower path. The layout is made
    for the shape at hand when it is first seen: one that suits another shape can be twenty times slower.
    """

    def __init__(self, conv: nn.Conv2d, activation: str | None) -> None:
        super().__init__()
        self.weight = conv.weight.detach()
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.attribute, self.scalars = _ATTRIBUTES[activation]
        self._packed, self._shape = self.weight, torch.Size()

    def forward(self, x: Tensor) -> Tensor:
        if x.shape != self._shape:
            self._shape = x.shape
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.geometry, list(x.shape))
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, *self.geometry, self.attribute, self.scalars, ""
        )
        return y

    @staticmethod
    def is_available() -> bool:
        names = ("_reorder_convolution_weight", "_convolution_pointwise")
        return bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in names)


def folded(encoder: ImageEncoder) -> ImageEncoder:
    """A copy for inference, BatchNorms folded into the convolutions before them."""
    copied = copy.deepcopy(encoder).eval().requires_grad_(False)
    for module in copied.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return copied


def packed(encoder: ImageEncoder, device: torch.device, dtype: torch.dtype) -> ImageEncoder:
    """A folded copy on a device; its convolutions packed for oneDNN on a CPU."""
    copied = folded(encoder).to(device, dtype)
    if device.type == "cpu" and dtype == torch.float32 and PackedConv.is_available():
        for parent in list(copied.modules()):
            for name, child in parent.named_children():
                if isinstance(child, ConvNorm):
                    setattr(parent, name, PackedConv(child.conv, child.activation))
    return copied
