"""`Timeline`: the actions of a recording, run-length encoded over its frames, small enough for an HTML page.

A run says "from this frame on, for so many frames". Row i is what was done ON frame i, as everywhere after `labels`.
Knows no pictures and no HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.recording.reader import Recording

__all__ = ["Hold", "Run", "Timeline", "Who", "read_timeline"]

Who = Literal["user", "system", "labelled", "unknown"]
"""The source of an action: a user; a system; a system, with a user's label; unknown."""

Run = tuple[int, int]
"""First frame, and number of frames."""

T = TypeVar("T", bound=str)

_STICKS = ("left_stick", "right_stick")


@dataclass(frozen=True, slots=True)
class Hold:
    """One press of a key or button: `name` was held on `num_frames` frames from `start` on."""

    name: str
    start: int
    num_frames: int


@dataclass(frozen=True)
class Timeline:
    """The actions and instructions of a recording of N frames.

    Attributes:
        num_frames, fps: of the recording.
        times_ns: capture times since the start.
        who: runs of the source of the action; they cover all frames.
        instructions: runs of each; frames without an instruction are left out.
        keys, buttons, pad: runs in which each key, mouse button and gamepad button was held, by name.
        label_keys, label_buttons: the same of the labels, on frames on which a system acted.
        dx_N, dy_N: int64, mouse motion in pixels.
        label_dx_N, label_dy_N: int64, mouse motion of the labels; 0 without a label.
        scroll_N: int64, wheel motion, PIXELS_PER_NOTCH for each notch, positive upwards.
        sticks: of frames with a gamepad: left x, left y, right x, right y, left trigger, right trigger.
        is_known_N: bool, whether the executed action is known.
    """

    num_frames: int
    fps: float
    times_ns: tuple[int, ...]
    who: tuple[tuple[Run, Who], ...]
    instructions: tuple[tuple[Run, str], ...]
    keys: dict[str, tuple[Run, ...]]
    buttons: dict[str, tuple[Run, ...]]
    pad: dict[str, tuple[Run, ...]]
    label_keys: dict[str, tuple[Run, ...]]
    label_buttons: dict[str, tuple[Run, ...]]
    dx_N: NDArray[np.int64]
    dy_N: NDArray[np.int64]
    label_dx_N: NDArray[np.int64]
    label_dy_N: NDArray[np.int64]
    scroll_N: NDArray[np.int64]
    sticks: dict[int, tuple[float, ...]]
    is_known_N: NDArray[np.bool_]

    @property
    def holds(self) -> list[Hold]:
        """Every press of a key or mouse button, in the order of time."""
        held = {**self.keys, **{f"button {name}": runs for name, runs in self.buttons.items()}}
        presses = [Hold(name, start, length) for name, runs in held.items() for start, length in runs]
        return sorted(presses, key=lambda hold: (hold.start, hold.name))

    def to_json(self) -> dict[str, Any]:
        """As JSON values; empty tracks are left out."""
        flat: dict[str, Any] = {
            "num_frames": self.num_frames,
            "fps": self.fps,
            "who": [[*run, who] for run, who in self.who],
            "instructions": [[*run, text] for run, text in self.instructions],
        }
        for name in ("keys", "buttons", "pad", "label_keys", "label_buttons"):
            runs_of = getattr(self, name)
            flat[name] = {key: [number for run in runs for number in run] for key, runs in runs_of.items()}
        for name in ("dx", "dy", "label_dx", "label_dy", "scroll"):
            values_N = getattr(self, f"{name}_N")
            flat[name] = values_N.tolist() if values_N.any() else []
        flat["sticks"] = {str(frame): [round(value, 3) for value in values] for frame, values in self.sticks.items()}
        return flat


def read_timeline(recording: Recording) -> Timeline:
    """The timeline of an open recording. Reads no picture."""
    num_frames = recording.num_frames
    executed = [recording.executed(frame) for frame in range(num_frames)]
    who = [_who(recording, frame, executed[frame]) for frame in range(num_frames)]
    labels = [recording.user_action(frame) if who[frame] == "labelled" else None for frame in range(num_frames)]
    texts = [text or "" for text in recording.instructions]
    return Timeline(
        num_frames=num_frames,
        fps=recording.fps,
        times_ns=recording.times_ns,
        who=tuple(_runs_of_values(who)),
        instructions=tuple((run, text) for run, text in _runs_of_values(texts) if text),
        keys=_held(action.keys if action else () for action in executed),
        buttons=_held(action.buttons if action else () for action in executed),
        pad=_held(action.gamepad.buttons if action and action.gamepad else () for action in executed),
        label_keys=_held(action.keys if action else () for action in labels),
        label_buttons=_held(action.buttons if action else () for action in labels),
        dx_N=_numbers(action.dx if action else 0 for action in executed),
        dy_N=_numbers(action.dy if action else 0 for action in executed),
        label_dx_N=_numbers(action.dx if action else 0 for action in labels),
        label_dy_N=_numbers(action.dy if action else 0 for action in labels),
        scroll_N=_numbers(action.scroll_dy if action else 0 for action in executed),
        sticks={frame: _sticks(action) for frame, action in enumerate(executed) if action and action.gamepad},
        is_known_N=np.array([action is not None for action in executed]),
    )


def _who(recording: Recording, frame: int, executed: Action | None) -> Who:
    """The source of this frame's action, from the annotation after it."""
    if executed is None:
        return "unknown"
    if not recording.annotations[frame + 1].system_action.is_known:
        return "user"
    return "system" if recording.user_action(frame) is None else "labelled"


def _runs_of_values(values: Sequence[T]) -> list[tuple[Run, T]]:
    """Runs of equal values; together they cover all of them."""
    starts = [index for index in range(len(values)) if index == 0 or values[index] != values[index - 1]]
    ends = [*starts[1:], len(values)]
    return [((start, end - start), values[start]) for start, end in zip(starts, ends, strict=True)]


def _held(names_by_frame: Iterable[Iterable[str]]) -> dict[str, tuple[Run, ...]]:
    """The runs of frames that hold each name; names by the time they are held, longest first."""
    runs: dict[str, list[Run]] = {}
    since: dict[str, int] = {}
    frame = 0
    for frame, names in enumerate([*names_by_frame, ()]):
        now = set(names)
        for name in sorted(set(since) - now):
            start = since.pop(name)
            runs.setdefault(name, []).append((start, frame - start))
        for name in now - set(since):
            since[name] = frame
    totals = {name: sum(length for _, length in each) for name, each in runs.items()}
    return {name: tuple(runs[name]) for name in sorted(runs, key=lambda name: (-totals[name], name))}


def _numbers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64)


def _sticks(action: Action) -> tuple[float, ...]:
    pad = action.gamepad
    assert pad is not None
    sticks = [axis for name in _STICKS for axis in (getattr(pad, name).x, getattr(pad, name).y)]
    return (*sticks, pad.left_trigger, pad.right_trigger)
