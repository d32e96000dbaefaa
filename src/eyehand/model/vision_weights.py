"""ImageNet weights for the `p2p` vision trunk, to train from: a safetensors file in torchvision's or timm's naming.

Reads EfficientNet-B0's stages 0 to 5 and leaves the rest of the file alone. Nothing in the file is executed. Needs no
network; `hf:OWNER/REPO[/FILE]` is fetched by huggingface_hub where that is installed. Also the one place that knows how
torchvision names the trunk's tensors, which is how the reference (`reference.weights`) names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from eyehand.errors import UserError
from eyehand.model.trunk import Published, TrunkKind
from eyehand.model.vision import EfficientNetTrunk

__all__ = ["HUB", "P2P", "read_vision_weights", "timm_name", "torchvision_name"]

HUB = "hf:"
"""Prefix of a file on the Hugging Face hub."""

_STEM = re.compile(r"stem\.(conv|norm)\.(.+)")
_PART = re.compile(r"stages\.(\d+)\.(\d+)\.(expand|depthwise|gate|project)\.(\w+)\.(.+)")
_PARTS = ("expand", "depthwise", "gate", "project")
_TORCHVISION_LAYERS = {"conv": "0", "norm": "1"}
_TIMM_PARTS = {
    "expand": ("conv_pw", "bn1"),
    "depthwise": ("conv_dw", "bn2"),
    "gate": ("se.conv_reduce", "se.conv_expand"),
    "project": ("conv_pwl", "bn3"),
}
_TIMM_FIRST_PARTS = {  # timm's first stage has no expansion, and numbers its norms accordingly
    "depthwise": ("conv_dw", "bn1"),
    "gate": ("se.conv_reduce", "se.conv_expand"),
    "project": ("conv_pw", "bn2"),
}
_COUNTER = "num_batches_tracked"


def torchvision_name(own: str) -> str:
    """torchvision's name of a tensor of `EfficientNetTrunk`, without its prefix `features.`."""
    if match := _STEM.fullmatch(own):
        return f"0.{_TORCHVISION_LAYERS[match[1]]}.{match[2]}"
    match = _PART.fullmatch(own)
    assert match, own
    stage, part, layer = int(match[1]), match[3], match[4]
    place = _PARTS.index(part) - (stage == 0)
    return f"{stage + 1}.{match[2]}.block.{place}.{_TORCHVISION_LAYERS.get(layer, layer)}.{match[5]}"


def timm_name(own: str) -> str:
    """timm's name of a tensor of `EfficientNetTrunk`."""
    if match := _STEM.fullmatch(own):
        return f"{'conv_stem' if match[1] == 'conv' else 'bn1'}.{match[2]}"
    match = _PART.fullmatch(own)
    assert match, own
    stage, part, layer = int(match[1]), match[3], match[4]
    first, second = (_TIMM_PARTS if stage else _TIMM_FIRST_PARTS)[part]
    return f"blocks.{stage}.{match[2]}.{first if layer in ('conv', 'fc1') else second}.{match[5]}"


def read_vision_weights(source: str) -> dict[str, Tensor]:
    """Weights for `EfficientNetTrunk.load_state_dict`, float32.

    Args:
        source: path of a safetensors file, or `hf:OWNER/REPO[/FILE]` (FILE: model.safetensors).

    Raises:
        UserError: the file is missing, damaged, or holds no EfficientNet-B0 in one of the two namings.
    """
    path = _downloaded(source) if source.startswith(HUB) else Path(source)
    if not path.is_file():
        raise UserError(f"There is no file {source}: give a safetensors file of EfficientNet-B0, or {HUB}OWNER/REPO.")
    with torch.device("meta"):
        expected = EfficientNetTrunk().state_dict()
    try:
        with safe_open(path, "pt") as file:
            name_of = _naming(set(file.keys()), source)
            state = {}
            for own, placeholder in expected.items():
                name = name_of(own)
                if own.endswith(_COUNTER):  # not all files have it, and nothing reads it
                    state[own] = torch.zeros((), dtype=torch.long)
                    continue
                if name not in file.keys():  # noqa: SIM118 (a file, not a dict)
                    raise UserError(f"{source} lacks {name}: give a whole file of EfficientNet-B0.")
                state[own] = _checked(file.get_tensor(name), placeholder, f"{name} in {source}")
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{source} is not a whole safetensors file: download it again.") from error
    return state


def _naming(names: set[str], source: str) -> Callable[[str], str]:
    """The function from our names to this file's names of the trunk's tensors."""
    if "features.0.0.weight" in names:
        return lambda own: "features." + torchvision_name(own)
    if "conv_stem.weight" in names:
        return timm_name
    raise UserError(
        f"{source} holds no EfficientNet-B0 as torchvision (features.0.0.weight) or timm (conv_stem.weight) name it: "
        "give another file."
    )


def _checked(tensor: Tensor, expected: Tensor, what: str) -> Tensor:
    if tensor.shape != expected.shape:
        raise UserError(
            f"{what} has the shape {tuple(tensor.shape)}, not {tuple(expected.shape)}: give EfficientNet-B0's weights."
        )
    if not tensor.is_floating_point() or not tensor.isfinite().all():
        raise UserError(f"{what} does not hold finite numbers: give another file.")
    return tensor.float()


def _downloaded(source: str) -> Path:
    """The local copy of a file on the Hugging Face hub."""
    parts = source.removeprefix(HUB).split("/", 2)
    if len(parts) < 2 or not all(parts):
        raise UserError(f"{source} names no file on the hub: write {HUB}OWNER/REPO or {HUB}OWNER/REPO/FILE.")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise UserError("Weights from the hub need huggingface_hub: run `pip install huggingface_hub`.") from error
    try:
        return Path(hf_hub_download("/".join(parts[:2]), parts[2] if len(parts) > 2 else "model.safetensors"))
    except (OSError, ValueError) as error:  # all of its errors are one of these
        raise UserError(f"Cannot fetch {source} ({type(error).__name__}): give the path of a local file.") from error


def _published(source: str) -> Published:
    if not source:
        raise UserError("The trunk p2p has many weights: write p2p:FILE, a safetensors file of EfficientNet-B0.")
    return {"vision": "p2p", "vision_widths": ()}, read_vision_weights(source)


P2P = TrunkKind(lambda config: EfficientNetTrunk(), _published)
