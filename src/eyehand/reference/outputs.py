"""Outputs of the reference's own code for given inputs, and their differences from a network of ours.

A `reference.npz` holds pictures, instructions, teacher-forced tokens, and what the original computed from them: image
tokens, logits, and actions drawn step by step with given uniform numbers. Nothing in the file is executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyehand.errors import UserError
from eyehand.foreign import check_zip
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig

__all__ = ["HEADS", "TOLERANCE", "Differences", "ReferenceOutputs", "differences", "read_reference_outputs"]

_MOST_GROWTH = 100  # of arrays that are mostly zeros

TOLERANCE = 1e-4
"""The largest absolute difference of image tokens and logits that counts as the same number."""

HEADS = ("keys", "mouse_buttons", "mouse_delta_x", "mouse_delta_y")
"""The reference's names of the four heads, in our order."""


@dataclass(frozen=True)
class ReferenceOutputs:
    """The content of a reference.npz: one clip of F pictures, the first T of them teacher-forced; A action slots.

    Attributes:
        frames_FCHW: uint8 RGB.
        text_TND: float32 embedding of each step's instruction; live play has none after step T.
        ids_TA: int64 tokens, both history and target.
        image_TKD: float32 image tokens.
        logits: per head, float32 (T, slots of the head, choices).
        uniforms_FA: float32 in [0, 1), one per token sampled live.
        actions_FA: int64 tokens sampled live.
    """

    frames_FCHW: Tensor
    text_TND: Tensor
    ids_TA: Tensor
    image_TKD: Tensor
    logits: tuple[Tensor, ...]
    uniforms_FA: Tensor
    actions_FA: Tensor


@dataclass(frozen=True)
class Differences:
    """Differences of a network's outputs from the reference's.

    Attributes:
        image: largest absolute difference of the image tokens.
        logits: likewise per head, by the reference's name of it.
        num_actions, num_differing: live actions, and those that differ in any token.
    """

    image: float
    logits: dict[str, float]
    num_actions: int
    num_differing: int

    @property
    def is_exact(self) -> bool:
        """Whether all outputs are within the tolerance (NaN is not) and no action differs."""
        within = all(difference <= TOLERANCE for difference in (self.image, *self.logits.values()))
        return within and self.num_differing == 0


def read_reference_outputs(path: Path, config: PolicyConfig) -> ReferenceOutputs:
    """Read a reference.npz made with a network of this configuration.

    Raises:
        UserError: the file is missing, damaged, or does not fit the configuration.
    """
    arrays = _arrays(path)
    frames, text = arrays["frames"], arrays["text"]
    pictures = frames.shape[1] if frames.ndim == 5 else 0
    steps = text.shape[1] if text.ndim == 4 else 0
    if not 0 < steps <= pictures:
        raise UserError(f"{path} has {pictures} pictures for {steps} steps of text: make it again with the original.")
    size, slots = config.frame_size, config.space.num_slots
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "frames": ("uint8", (1, pictures, 3, size, size)),
        "text": ("float32", (1, steps, config.num_text_tokens, config.text_dim)),
        "image_tokens": ("float32", (1, steps, config.num_image_tokens, config.width)),
        "live_uniforms": ("float32", (pictures, slots)),
        "live_actions": ("int64", (pictures, slots)),
    }
    for name, head in zip(HEADS, config.space.heads, strict=True):
        expected[f"in_{name}"] = ("int64", (1, steps, head.num_slots))
        expected[f"logits_{name}"] = ("float32", (1, steps, head.num_slots, head.num_choices))
    for name, (dtype, shape) in expected.items():
        array = arrays[name]
        if array.dtype != dtype or array.shape != shape:
            raise UserError(
                f"{path}: {name!r} is {array.dtype} {array.shape}, but this checkpoint asks for {dtype} {shape}: "
                "give the file that was made with its weights."
            )
    for name, head in zip(HEADS, config.space.heads, strict=True):
        ids = arrays[f"in_{name}"]
        if ids.min() < 0 or ids.max() >= head.num_choices:
            raise UserError(f"{path}: 'in_{name}' has tokens outside 0 to {head.num_choices - 1}: make it again.")
    tensors = {name: torch.from_numpy(arrays[name]) for name in expected}
    return ReferenceOutputs(
        frames_FCHW=tensors["frames"][0],
        text_TND=tensors["text"][0],
        ids_TA=torch.cat([tensors[f"in_{name}"][0] for name in HEADS], dim=-1),
        image_TKD=tensors["image_tokens"][0],
        logits=tuple(tensors[f"logits_{name}"][0] for name in HEADS),
        uniforms_FA=tensors["live_uniforms"],
        actions_FA=tensors["live_actions"],
    )


@torch.no_grad()
def differences(policy: Policy, outputs: ReferenceOutputs) -> Differences:
    """Compare a network, in evaluation mode on the CPU, with the reference: whole clip, and step by step."""
    steps = len(outputs.text_TND)
    frames_TCHW = outputs.frames_FCHW[:steps]
    image_TKD = policy.image_encoder(frames_TCHW)
    ids_BTA = outputs.ids_TA[None]
    logits = policy(frames_TCHW[None], outputs.text_TND[None], ids_BTA, ids_BTA)
    actions_FA = _live_actions(policy, outputs)
    return Differences(
        image=_largest(image_TKD, outputs.image_TKD),
        logits={
            name: _largest(ours[0], theirs) for name, ours, theirs in zip(HEADS, logits, outputs.logits, strict=True)
        },
        num_actions=len(actions_FA),
        num_differing=int((actions_FA != outputs.actions_FA).any(dim=-1).sum()),
    )


def _live_actions(policy: Policy, outputs: ReferenceOutputs) -> Tensor:
    """The tokens that step-by-step inference samples, (F, A)."""
    live = LivePolicy(policy)
    state, previous_BA = live.new_state(), torch.zeros_like(outputs.actions_FA[:1])
    silence_ND = torch.zeros_like(outputs.text_TND[0])
    drawn = []
    for step, frame_CHW in enumerate(outputs.frames_FCHW):
        text_ND = outputs.text_TND[step] if step < len(outputs.text_TND) else silence_ND
        out_BD = live.step(state, live.encode_image(frame_CHW[None]), live.embed_text(text_ND[None]), previous_BA)
        previous_BA = live.decode_action(out_BD, outputs.uniforms_FA[step : step + 1])
        drawn.append(previous_BA[0])
    return torch.stack(drawn).cpu()


def _largest(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max())


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file that are compared, and no others."""
    names = ["frames", "text", "image_tokens", "live_uniforms", "live_actions"]
    names += [f"{kind}_{head}" for head in HEADS for kind in ("in", "logits")]
    try:
        check_zip(path, most_growth=_MOST_GROWTH)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names if name in file}
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}: give the reference.npz made with the original's code.") from error
    except Exception as error:  # numpy and zipfile report damage in half a dozen ways
        raise UserError(f"{path} is not a whole .npz file of plain arrays: copy it again.") from error
    for name in names:
        if not isinstance(arrays.get(name), np.ndarray):
            raise UserError(f"{path} lacks the array {name!r}: make it again with the original.")
    return arrays
