"""Clips of a recording as a policy's inputs, and the policy's log probabilities on them under teacher forcing.

Clips are drawn by a seed and the recording's id, one from each of as many equal stretches, so that a recording gives
the same ones in any data set. The policy sees the recorded pictures and the recorded history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eyehand.frame import resize
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.text import text_encoder
from eyehand.recording.reader import Recording

__all__ = ["PolicyClip", "log_probabilities", "read_policy_clips", "token_log_probabilities"]

_BATCH_FRAMES = 128
"""Frames that go through the network at once: 0.15 GB of float pictures and activations of a small vision trunk."""


@dataclass(frozen=True)
class PolicyClip:
    """T steps of a recording as inputs and targets of a policy.

    Attributes:
        start: the first frame.
        frames_THWC: uint8 RGB at the network's size.
        text_TND: float32 embeddings of the instructions.
        executed_TA, target_TA: int64 tokens of the executed actions, and of the user's actions or labels.
        known_T: bool, where the target is known.
    """

    start: int
    frames_THWC: NDArray[np.uint8]
    text_TND: NDArray[np.float32]
    executed_TA: NDArray[np.integer]
    target_TA: NDArray[np.integer]
    known_T: NDArray[np.bool_]

    def with_frames(self, frames_THWC: NDArray[np.uint8]) -> PolicyClip:
        """The same clip with other pictures."""
        return replace(self, frames_THWC=frames_THWC)


def read_policy_clips(
    recording: Recording, config: PolicyConfig, num_clips: int, seed: int, key: str | None = None
) -> list[PolicyClip]:
    """At most `num_clips` clips of a full history (or of the whole recording, if that is shorter), that do not overlap.

    Args:
        recording: open.
        config: of the policy.
        num_clips: at most; fewer fit into a short recording.
        seed, key: together decide where they lie. Default key: the recording's id.

    Raises:
        UserError: the video is damaged, or the policy's text encoder is not available for an instruction.
    """
    num_steps = recording.num_frames - 1  # what was done on the last frame is not known
    if num_steps < 1:
        return []
    labels = recording.load_labels(config.space)
    vectors = {text: _embedded(recording, text, config) for text in set(labels.instructions)}
    length = min(config.history_steps, num_steps)
    clips = []
    for start in _starts(num_steps, length, num_clips, seed, recording.info.id if key is None else key):
        here = slice(start, start + length)
        frames_THWC = recording.decode_clip(start, length)
        clips.append(
            PolicyClip(
                start,
                np.stack([resize(frame_HWC, config.frame_size) for frame_HWC in frames_THWC]),
                np.stack([vectors[text] for text in labels.instructions[here]]),
                labels.executed_TA[here],
                labels.target_TA[here],
                labels.target_mask_T[here],
            )
        )
    return clips


def log_probabilities(policy: Policy, clips: Sequence[PolicyClip]) -> list[tuple[Tensor, ...]]:
    """Log probabilities of every clip and head, float32 (T, slots, choices). All clips have one length."""
    if not clips:
        return []
    size = max(1, _BATCH_FRAMES // len(clips[0].known_T))
    outputs: list[tuple[Tensor, ...]] = []
    for first in range(0, len(clips), size):
        batch = clips[first : first + size]
        with torch.no_grad():
            logits = policy(
                torch.from_numpy(np.stack([clip.frames_THWC for clip in batch])).permute(0, 1, 4, 2, 3),
                torch.from_numpy(np.stack([clip.text_TND for clip in batch])),
                torch.from_numpy(np.stack([clip.executed_TA for clip in batch])),
                torch.from_numpy(np.stack([clip.target_TA for clip in batch])),
            )
        logs = [head_BTSC.float().log_softmax(-1) for head_BTSC in logits]
        outputs += [tuple(head_BTSC[row] for head_BTSC in logs) for row in range(len(batch))]
    return outputs


def token_log_probabilities(outputs: Sequence[Tensor], tokens_TA: NDArray[np.integer]) -> NDArray[np.float64]:
    """Log probability of each token, (T, A), from the outputs for one clip."""
    joined = [slot_TC for head_TSC in outputs for slot_TC in head_TSC.unbind(1)]
    columns = [slot_TC.gather(1, torch.from_numpy(tokens_TA[:, a : a + 1])) for a, slot_TC in enumerate(joined)]
    found: NDArray[np.float64] = torch.cat(columns, dim=1).double().numpy()
    return found


def _starts(num_steps: int, length: int, num_clips: int, seed: int, key: str) -> list[int]:
    """One start in each of as many equal stretches as clips fit side by side."""
    count = min(num_clips, num_steps // length)
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    rng = np.random.default_rng((seed, digest))
    edges = np.linspace(0, num_steps, count + 1).astype(int)
    return [int(rng.integers(low, max(low, high - length) + 1)) for low, high in pairwise(edges)]


def _embedded(recording: Recording, instruction: str | None, config: PolicyConfig) -> NDArray[np.float32]:
    """The instruction's embedding: the one stored in the recording, or else the encoder's."""
    nothing = np.zeros((config.num_text_tokens, config.text_dim), np.float32)
    if not instruction:
        return nothing
    stored = recording.text_embedding(instruction, config.text_encoder)
    if stored is not None and stored.shape == nothing.shape:
        return stored
    return text_encoder(config.text_encoder).embed(instruction)
