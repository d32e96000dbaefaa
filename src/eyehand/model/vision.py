"""Image encoders: a uint8 picture in, image tokens out, with one of the kinds of vision trunk in `trunk.TRUNKS`.

`PocketTrunk` is ours: a few plain convolutions, for a CPU.
`EfficientNetTrunk` is the reference's: EfficientNet-B0 (arXiv 1905.11946), feature stages 0 to 5, our own module.
Behind every trunk stand Linear over the flattened (C, H, W) map, which keeps positions, and LayerNorm.

BatchNorm keeps running statistics in float buffers: an average of weights (EMA) must average these buffers as well.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyehand.model.policy_config import PolicyConfig
from eyehand.model.trunk import TRUNKS, Trunk, TrunkKind

__all__ = ["B0_STAGES", "POCKET", "ConvNorm", "EfficientNetTrunk", "ImageEncoder", "MBConv", "PocketTrunk", "Residual"]
__all__ += ["SqueezeExcite"]

_ACTIVATIONS = {"relu": F.relu, "relu6": F.relu6, "silu": F.silu}


class ConvNorm(nn.Module):
    """Convolution, BatchNorm (or a bias instead), activation (None: the identity).

    `padding`: default: half of an odd kernel.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: str | None = "relu",
        has_norm: bool = True,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        if padding is None:
            padding = (kernel - 1) // 2 if kernel % 2 else 0
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=not has_norm)
        self.norm: nn.Module = nn.BatchNorm2d(c_out) if has_norm else nn.Identity()
        self.activation = activation
        if self.conv.bias is not None:
            nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x if self.activation is None else _ACTIVATIONS[self.activation](x)


class Residual(nn.Module):
    """relu(x + conv(conv(x))), 3x3, without norms; begins close to relu(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, has_norm=False)
        self.second = ConvNorm(channels, channels, 3, activation=None, has_norm=False)
        with torch.no_grad():
            self.second.conv.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class PocketTrunk(Trunk):
    """Patches of 4x4, two strided convolutions to 1/16, one residual block, a 1x1 reduction: 40M multiply-adds.

    Sized for training on a CPU: nearly all of the work is at 24x24 and 12x12, with many channels, where its matrix
    units are used well. One more residual block at 48x48 would add 24M. No BatchNorm: a batch of a few
    clips holds as few different scenes, and its statistics say little about the next one's.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        quarter, eighth, sixteenth, reduced = widths
        self.layers = nn.Sequential(
            ConvNorm(3, quarter, 4, stride=4, has_norm=False),
            ConvNorm(quarter, eighth, 3, stride=2, has_norm=False),
            ConvNorm(eighth, sixteenth, 3, stride=2, has_norm=False),
            Residual(sixteenth),
            ConvNorm(sixteenth, reduced, 1, has_norm=False),
        )
        self.num_channels = reduced

    def forward(self, pixels_NCHW: Tensor) -> Tensor:
        map_NCHW: Tensor = self.layers(pixels_NCHW)
        return map_NCHW


class SqueezeExcite(nn.Module):
    """Channel gates from the mean of each channel."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gates = torch.sigmoid(self.fc2(F.silu(self.fc1(x.mean((2, 3), keepdim=True)))))
        return x * gates


class MBConv(nn.Module):
    """Expand 1x1, depthwise, squeeze-excite, project 1x1; residual where the shape stays."""

    def __init__(self, c_in: int, c_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        self.expand = ConvNorm(c_in, hidden, 1, activation="silu") if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden, activation="silu")
        self.gate = SqueezeExcite(hidden, max(1, c_in // 4))
        self.project = ConvNorm(hidden, c_out, 1, activation=None)
        self.is_residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.gate(self.depthwise(self.expand(x))))
        return x + y if self.is_residual else y


B0_STAGES = ((16, 1, 3, 1, 1), (24, 6, 3, 2, 2), (40, 6, 5, 2, 2), (80, 6, 3, 2, 3), (112, 6, 5, 1, 3))
"""Channels, expansion, kernel, first stride, blocks of EfficientNet-B0's MBConv stages 1 to 5."""


class EfficientNetTrunk(Trunk):
    """EfficientNet-B0, stages 0 to 5: (N, 3, S, S) to (N, 112, S/16, S/16)."""

    num_channels = 112

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, stride=2, activation="silu")
        stages: list[nn.Module] = []
        c_in = 32
        for c_out, expansion, kernel, stride, num_blocks in B0_STAGES:
            blocks: list[nn.Module] = []
            for block in range(num_blocks):
                blocks.append(MBConv(c_in, c_out, expansion, kernel, stride if block == 0 else 1))
                c_in = c_out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)

    def forward(self, pixels_NCHW: Tensor) -> Tensor:
        map_NCHW: Tensor = self.stages(self.stem(pixels_NCHW))
        return map_NCHW


class ImageEncoder(nn.Module):
    """Pictures to image tokens: trunk, flatten, Linear, LayerNorm."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.trunk = TRUNKS.load(config.vision).build(config)
        self.num_tokens, self.width = config.num_image_tokens, config.width
        num_features = self.trunk.num_features(config.frame_size)
        self.linear = nn.Linear(num_features, self.num_tokens * self.width)
        self.norm = nn.LayerNorm(self.num_tokens * self.width)  # over all tokens of a picture at once

    def forward(self, frames: Tensor) -> Tensor:
        """uint8 RGB (N, 3, S, S), or float features (N, F) of it, to tokens (N, num_image_tokens, width)."""
        if frames.is_floating_point():
            return self._projected(frames)
        return self._projected(self.trunk.features(frames, self.linear.weight.dtype))

    def tokens(self, pixels_NCHW: Tensor) -> Tensor:
        """Tokens from pixels in [0, 1]."""
        return self._projected(self.trunk(pixels_NCHW).flatten(1))

    def _projected(self, features_NF: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(features_NF.device.type):
            features_NF = features_NF.to(self.linear.weight.dtype)
        tokens_NX: Tensor = self.norm(self.linear(features_NF))
        return tokens_NX.view(-1, self.num_tokens, self.width)


POCKET = TrunkKind(lambda config: PocketTrunk(config.vision_widths))
