"""Likelihood of a user's actions under a policy: `Likelihood`, the part of the reference's filter that needs one.

Recordings far from a policy's training data are often no play at all: a menu, a chat, an absent player.
It may also be what the policy lacks, so the threshold is to be chosen with a look at the recordings below it.
"""

from __future__ import annotations

import math
import multiprocessing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from eyehand.checkpoint import checkpoint_digest, find_checkpoint, load_checkpoint
from eyehand.evaluate.clips import log_probabilities, read_policy_clips, token_log_probabilities
from eyehand.model.policy import Policy
from eyehand.recording.reader import Recording

__all__ = ["Likelihood"]


@dataclass(frozen=True)
class Likelihood:
    """A scorer of recordings: the likelihood of their actions under a checkpoint's policy. Picklable.

    Attributes:
        checkpoint: its folder.
        digest: of checkpoint.json, which holds that of its weights.
        num_clips: of a full history, from each recording.
        seed: of the clips' positions.
    """

    checkpoint: Path
    digest: str
    num_clips: int = 4
    seed: int = 0

    @staticmethod
    def of(name: str, num_clips: int = 4, seed: int = 0) -> Likelihood:
        """The scorer of the checkpoint of this name or folder, which is read once as a check.

        Raises:
            UserError: it is missing or damaged.
        """
        folder = find_checkpoint(name).resolve()
        digest = checkpoint_digest(folder)
        _policy(folder, digest)
        return Likelihood(folder, digest, num_clips, seed)

    def __call__(self, recording: Recording) -> float | None:
        """Geometric mean over frames of the probability of the user's whole action, given pictures and history.

        None where no frame of the clips has a user's action.

        Raises:
            UserError: see `read_policy_clips`.
        """
        policy = _policy(self.checkpoint, self.digest)
        clips = read_policy_clips(recording, policy.config, self.num_clips, self.seed)
        clips = [clip for clip in clips if clip.known_T.any()]
        per_frame = [
            token_log_probabilities(outputs, clip.target_TA)[clip.known_T].sum(axis=1)
            for clip, outputs in zip(clips, log_probabilities(policy, clips), strict=True)
        ]
        return math.exp(float(np.concatenate(per_frame).mean())) if per_frame else None


@lru_cache(maxsize=1)
def _policy(folder: Path, digest: str) -> Policy:
    """The network of this digest, loaded once per process, on one thread in a worker."""
    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)
    return load_checkpoint(folder).policy
