"""A tiny game on paper: a bright block wanders over a dark ground, and the right action says where it is.

Block in the left third: `a` held; in the right third: `d` held; in the middle: the mouse button. The picture alone
tells the action, the last action does not, so a network that learns this has looked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.frame import Frame
from eyehand.player import Decision
from eyehand.recording.format import RecordingInfo
from eyehand.recording.writer import RecordingWriter

ACTIONS = (Action.of(keys=["a"]), Action.of(buttons=["0"]), Action.of(keys=["d"]))


def places(num_frames: int, seed: int) -> NDArray[np.int64]:
    """In which third the block is at every frame; it jumps every one to five frames."""
    rng = np.random.default_rng(seed)
    jumps = np.repeat(rng.integers(3, size=num_frames), rng.integers(1, 6, size=num_frames))
    return jumps[:num_frames]


def picture(place: int, index: int) -> NDArray[np.uint8]:
    """The frame: the block's column tells `place`, its row moves with the time."""
    pixels = np.full((192, 192, 3), 40, np.uint8)
    top, left = 8 + (index * 11) % 120, 16 + 64 * place
    pixels[top : top + 48, left : left + 32] = (230, 200 - 60 * place, 60)
    return pixels


def record(
    root: Path, *, seed: int, num_frames: int = 40, task: str = "block", instruction: str | None = "follow the block",
    by_user: bool = True,
) -> Path:  # fmt: skip
    """Write one recording; frame i shows the place that the action executed AFTER it answers."""
    info = RecordingInfo(f"{task}-{seed:03d}", "paper", task, 20.0, user="nobody", seed=seed)
    where = places(num_frames, seed)
    with RecordingWriter(root, info) as writer:
        executed: Decision | None = None
        for index, place in enumerate(where):
            writer.add(Frame(picture(int(place), index), index * 50_000_000, index), executed, instruction)
            executed = Decision(ACTIONS[place], by_user=by_user)
        writer.close()
    return writer.path
