"""`Trunk`: the part of the image encoder that looks at pixels, and `TRUNKS`, the registry of its kinds.

A new kind is one file with a `TrunkKind` and one line in the registry; other packages join by the entry point group
`eyehand.trunks`. `PolicyConfig.vision` is a kind's name. Shapes: N pictures, S height and width, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from eyehand.registry import Registry

__all__ = ["TRUNKS", "Trunk", "TrunkConfig", "TrunkKind"]

_STRIDE = 16


class Trunk(nn.Module):
    """From pixels in [0, 1], float (N, 3, S, S), to a map that is flattened to (N, F); normalises by itself.

    Attributes:
        num_channels: of the map.
    """

    num_channels: int

    def num_features(self, frame_size: int) -> int:
        """F of pictures of this size."""
        return self.num_channels * (frame_size // _STRIDE) ** 2

    def features(self, frames_NCHW: Tensor, dtype: torch.dtype) -> Tensor:
        """The flattened map, (N, F), of uint8 RGB (N, 3, S, S), computed in `dtype` outside of autocast."""
        pixels_NCHW = frames_NCHW.contiguous(memory_format=torch.channels_last)
        # The reference divides in bfloat16; its weights expect exactly those values.
        pixels_NCHW = pixels_NCHW.to(torch.bfloat16) / 255
        if not torch.is_autocast_enabled(pixels_NCHW.device.type):
            pixels_NCHW = pixels_NCHW.to(dtype)
        features_NF: Tensor = self(pixels_NCHW).flatten(1)
        return features_NF


class TrunkConfig(Protocol):
    """What shapes a trunk, as a PolicyConfig has it."""

    @property
    def frame_size(self) -> int:
        """S."""

    @property
    def vision_widths(self) -> tuple[int, ...]:
        """Channels of the `pocket` trunk."""


Published = tuple[Mapping[str, Any], Mapping[str, Tensor]]
"""Fields of PolicyConfig that shape a trunk, and its weights as `state_dict` names them."""


@dataclass(frozen=True)
class TrunkKind:
    """A kind of image trunk.

    Attributes:
        build: the trunk of a network's configuration, with random weights.
        published: reads the weights that others have trained, of SOURCE in `--trunk KIND:SOURCE` ("": none is given).
            None: such a trunk comes from a checkpoint.
    """

    build: Callable[[TrunkConfig], Trunk]
    published: Callable[[str], Published] | None = None


TRUNKS = Registry(
    TrunkKind,
    "eyehand.trunks",
    {
        "pocket": "eyehand.model.vision:POCKET",
        "p2p": "eyehand.model.vision_weights:P2P",
        "lite0": "eyehand.model.lite0:LITE0",
    },
)
"""`pocket`: our light residual trunk. `p2p`: the reference's EfficientNet-B0, stages 0 to 5. `lite0`: the one of
EfficientNet-Lite0, trained on ImageNet."""
