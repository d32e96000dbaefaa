"""Per-frame actions as training sees them: `Labels`, one row per FRAME, already shifted.

The file pairs annotation i+1 with frame i; row i here holds what was done on frame i, so nothing after this module
has to think of the shift. The last frame has no action.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.action_space import ActionSpace
from eyehand.clock import FPS
from eyehand.input_event import InputEvent
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.events import keys_from_events
from eyehand.recording.format import action_from_message, event_from_message

__all__ = ["ANNOTATORS", "FrameActions", "Labels", "events_of", "frame_actions", "frame_instructions", "make_labels"]
__all__ += ["rate_problem"]


ANNOTATORS = ("eyehand", "gemini-2.5-flash-thinking-0905", "gemini-2.5-flash")
"""Versions of annotators, the best first: what was said while recording goes before what was guessed from the video."""


@dataclass(frozen=True, slots=True)
class FrameActions:
    """The actions of one frame.

    Attributes:
        executed: the action executed on it, a user's or a system's; None: unknown (always on the last frame).
        user: the user's action, or the label where a system acted; None: unknown.
    """

    executed: Action | None
    user: Action | None


@dataclass(frozen=True)
class Labels:
    """The actions of a recording of T frames in an action space of A slots.

    Attributes:
        executed_TA: tokens of the executed actions (no action where unknown): the policy's history.
        target_TA: tokens of the users' actions or labels (no action where unknown): the learning target.
        target_mask_T: bool, where the target is known; never on the last frame.
        instructions: of each frame; None: no instruction.
    """

    executed_TA: NDArray[np.integer]
    target_TA: NDArray[np.integer]
    target_mask_T: NDArray[np.bool_]
    instructions: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.target_mask_T)


def make_labels(
    actions: Sequence[FrameActions],
    instructions: Sequence[str | None],
    space: ActionSpace,
) -> Labels:
    """Encode the actions of every frame in an action space."""

    @cache
    def encode(action: Action) -> NDArray[np.int64]:
        return space.encode(action)

    shape = (len(actions), space.num_slots)
    executed = [encode(NOTHING if each.executed is None else each.executed) for each in actions]
    target = [encode(NOTHING if each.user is None else each.user) for each in actions]
    return Labels(
        np.array(executed, np.int64).reshape(shape),
        np.array(target, np.int64).reshape(shape),
        np.array([each.user is not None for each in actions], np.bool_),
        tuple(instructions),
    )


def frame_actions(annotations: Sequence[pb.FrameAnnotation]) -> list[FrameActions]:
    """Actions of every frame, taken from the annotation after its own.

    Recap leaves keys that are also its hotkeys (LeftShift!) out of the keys of a frame though its raw events have
    them: a person's action gets them back.

    Raises:
        ValueError: see `action_from_message`.
    """
    keys_by_frame = keys_from_events(map(_key_events, annotations))
    actions = [_actions(annotation, keys) for annotation, keys in zip(annotations, keys_by_frame, strict=True)]
    return [*actions[1:], FrameActions(None, None)] if actions else []


def events_of(annotation: pb.FrameAnnotation) -> list[InputEvent]:
    """The raw input events since the frame before."""
    events = (event_from_message(message) for message in annotation.input_events)
    return [event for event in events if event is not None]


def _key_events(annotation: pb.FrameAnnotation) -> list[InputEvent]:
    """The key events only: a mouse makes up to a thousand others a second, and loading clips waits for this."""
    messages = [message for message in annotation.input_events if message.HasField("keyboard_event")]
    return [event for event in map(event_from_message, messages) if event is not None]


def _actions(annotation: pb.FrameAnnotation, keys: frozenset[str]) -> FrameActions:
    system, user = action_from_message(annotation.system_action), action_from_message(annotation.user_action)
    if system is None and user is not None and not keys <= user.keys:
        user = replace(user, keys=user.keys | keys)
    return FrameActions(user if system is None else system, user)


def frame_instructions(annotations: Sequence[pb.FrameAnnotation], fps: float) -> list[str | None]:
    """The instruction of every frame: it is stated on the first one it covers and holds for duration x fps frames.

    A later statement replaces an earlier one; an empty one says that nothing is to be done any more. Where several
    annotators wrote, one is used for the whole recording: a short remark of one would end a long one of the other.

    Raises:
        ValueError: an instruction lasts for ever, or NaN seconds.
    """
    annotator = _annotator(annotations)
    instructions: list[str | None] = [None] * len(annotations)
    instruction: str | None = None
    end = 0
    for index, annotation in enumerate(annotations):
        for text in annotation.frame_text_annotation:
            if text.frame_text_annotator.version == annotator:
                if not math.isfinite(text.duration):
                    raise ValueError(f"an instruction lasts {text.duration} seconds")
                instruction, end = text.instruction or None, index + round(text.duration * fps)
        if index < end:
            instructions[index] = instruction
    return instructions


def _annotator(annotations: Sequence[pb.FrameAnnotation]) -> str | None:
    """The annotator whose instructions are used: the first of ANNOTATORS, or else the most frequent; None: no text."""
    counts = Counter(
        text.frame_text_annotator.version for annotation in annotations for text in annotation.frame_text_annotation
    )

    def rank(version: str) -> tuple[int, int, str]:
        known = ANNOTATORS.index(version) if version in ANNOTATORS else len(ANNOTATORS)
        return known, -counts[version], version

    return min(counts, key=rank, default=None)


def rate_problem(fps: float) -> str | None:
    """Why a recording at this frame rate cannot be trained on; None: it can."""
    if abs(fps / FPS - 1) <= 0.01:
        return None
    return f"It has {fps:g} frames per second and a policy acts at {FPS:g}: leave it out or record it anew."
