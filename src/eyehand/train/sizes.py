"""Batch size and clip length of a run, where they are not given: by what a step takes on this device.

`try_step` measures frames per second and memory of small steps on the device. The sizes are the largest up to the usual
ones with which a step fits into memory and, where the clock ends the run, the run has some hundreds of steps. Clips are
shortened first: what a policy learns at once, seeing, needs many scenes and no memory (in two minutes on two cores,
with as many frames a step, 16 clips of 16 frames came to a held-out loss of 0.82, 4 clips of 64 to 0.87).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from torch import Tensor

from eyehand.data.augment import augment
from eyehand.data.dataset import Dataset
from eyehand.model.policy import Policy
from eyehand.train.losses import behaviour_cloning_loss
from eyehand.train.train_config import TrainConfig

__all__ = ["Sizes", "Trial", "choose_sizes", "try_step"]

_WANTED_STEPS = 600
_CLIPS, _CLIPS_BY_CLOCK, _CLIPS_GPU = 8, 16, 32
"""Usual numbers of clips: the whole history of eight, or where the time is given the diversity of twice as many."""
_LEAST_CLIPS, _LEAST_CLIP_STEPS = 4, 16
_TRIAL_S = 0.3
_MEMORY_SHARE = 0.3
"""Of the free memory, for what the backward pass keeps; gradients of activations and the batches take as much again."""


@dataclass(frozen=True)
class Trial:
    """What steps of training take.

    Attributes:
        frames_per_s: forward and backward.
        most_frames: of a step, for which the free memory suffices.
    """

    frames_per_s: float
    most_frames: int


@dataclass(frozen=True)
class Sizes:
    """What a step learns from: clips, and frames of a clip."""

    batch_size: int
    clip_steps: int


def try_step(
    policy: Policy, dataset: Dataset, device: torch.device, autocast: torch.autocast, augmentation: float
) -> Trial:
    """Measure steps on empty pictures (or features), one clip at first, larger ones until it takes a third of a second.

    The policy, on the device, is left as it was.
    """
    kept_names = policy.state_dict().keys()  # other buffers are caches, of whatever size the last step had
    state = {name: value.clone() for name, value in policy.named_buffers() if name in kept_names}
    own = {parameter.untyped_storage().data_ptr() for parameter in policy.parameters()}
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    history = policy.config.history_steps
    sizes = [(1, steps) for steps in (1, 4, 16, 64) if steps < history] + [(1, history)]
    sizes += [(4, history), (16, history)] if device.type == "cuda" else []  # which one clip does not keep busy
    policy.train()
    for batch, steps in sizes:
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            _step(
                policy, dataset, device, autocast, augmentation, batch, steps
            )  # also the first of its shape, which is slower
        started = time.perf_counter()
        _step(policy, dataset, device, autocast, augmentation, batch, steps)
        took_s = time.perf_counter() - started
        most_frames = int(_MEMORY_SHARE * free * batch * steps / max(1, sum(kept.values())))
        if took_s > _TRIAL_S or 4 * batch * steps > most_frames:
            break
    policy.zero_grad(set_to_none=True)
    for name, value in policy.named_buffers():
        if name in state:
            value.copy_(state[name])
    return Trial(batch * steps / took_s, most_frames)


def choose_sizes(config: TrainConfig, trial: Trial, history_steps: int, is_gpu: bool) -> Sizes:
    """The sizes that the configuration gives, no clip longer than the history; what it leaves open is chosen."""
    is_by_clock = config.minutes is not None and config.steps is None
    most_clips = config.batch_size or (_CLIPS_GPU if is_gpu else _CLIPS_BY_CLOCK if is_by_clock else _CLIPS)
    frames: float = trial.most_frames
    if config.minutes is not None and config.steps is None:
        frames = min(frames, 60 * config.minutes * trial.frames_per_s / _WANTED_STEPS)
    clip_steps = config.clip_steps or max(_LEAST_CLIP_STEPS, int(frames / most_clips) // 8 * 8)
    clip_steps = min(history_steps, clip_steps)
    clips = min(most_clips, max(_LEAST_CLIPS, int(frames / clip_steps)))
    clips = max(1, min(clips, int(trial.most_frames / clip_steps)))
    return Sizes(config.batch_size or clips, clip_steps)


def _step(
    policy: Policy,
    dataset: Dataset,
    device: torch.device,
    autocast: torch.autocast,
    augmentation: float,
    batch: int,
    steps: int,
) -> None:
    """Forward and backward of a batch in which nothing is seen and done; waits for its end."""
    config = policy.config
    dtype = torch.uint8 if dataset.features is None else torch.float16
    frames = torch.zeros(batch, steps, *dataset.frame_shape, dtype=dtype, device=device)
    tokens_BTA = torch.zeros(batch, steps, policy.space.num_slots, dtype=torch.int64, device=device)
    text_BTND = torch.zeros(batch, steps, config.num_text_tokens, config.text_dim, device=device)
    if frames.ndim == 5:
        frames = augment(frames.permute(0, 1, 4, 2, 3), np.random.default_rng(0), augmentation)
    with autocast:
        logits = policy(frames, text_BTND, tokens_BTA, tokens_BTA, None)
    learn_BT = torch.ones(batch, steps, dtype=torch.bool, device=device)
    behaviour_cloning_loss(logits, tokens_BTA, learn_BT, policy.space.heads).total.backward()  # type: ignore[no-untyped-call]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
