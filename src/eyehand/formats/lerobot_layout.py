"""LeRobot data sets, version 3.0: names of files, features, and Actions as vectors. Reads and writes nothing.

    meta/info.json                                   version, rate, features, counts
    meta/tasks.parquet                               the instructions, by number
    meta/episodes/chunk-000/file-000.parquet         a row per episode: which rows, which stretch of which video
    data/chunk-000/file-000.parquet                  a row per frame
    videos/observation.images.screen/chunk-000/...   many episodes one after another in each mp4

Layout: github.com/huggingface/lerobot, src/lerobot/datasets. An action is a vector of numbers, so ours has one for
every key, button and axis that a recording can hold, each with its name in `info.json`; it is exact in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.action import BUTTONS, KEYS, Action, Gamepad, Stick
from eyehand.formats.motion import plausible
from eyehand.frame import MODEL_SIZE
from eyehand.recording import annotation_pb2 as pb

__all__ = ["ACTION", "ACTION_NAMES", "CHUNK_SIZE", "CODEBASE_VERSION", "DATA_PATH", "EPISODES_PATH", "INFO_PATH"]
__all__ += ["PICTURE", "STATS_PATH", "TASKS_PATH", "VIDEO_PATH", "action_of", "features", "vector_of"]

CODEBASE_VERSION = "v3.0"
CHUNK_SIZE = 1000

INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
_NUMBERED = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES_PATH = f"meta/episodes/{_NUMBERED}.parquet"
DATA_PATH = f"data/{_NUMBERED}.parquet"
VIDEO_PATH = "videos/{video_key}/" + _NUMBERED + ".mp4"

PICTURE = "observation.images.screen"
ACTION = "action"

_PAD_BUTTONS = tuple(field.name for field in pb.GamePadButtons.DESCRIPTOR.fields)
_STICKS = ("left_stick", "right_stick")

ACTION_NAMES: tuple[str, ...] = (
    *(f"key.{name}" for name in KEYS),
    *(f"button.{name}" for name in BUTTONS),
    *("mouse.dx", "mouse.dy", "scroll.dx", "scroll.dy", "gamepad.is_present"),
    *(f"gamepad.{name}" for name in _PAD_BUTTONS),
    *(f"gamepad.{stick}.{part}" for stick in _STICKS for part in ("x", "y", "pressed")),
    *("gamepad.left_trigger", "gamepad.right_trigger"),
)
"""Names of the numbers of an action: 1 or 0 for what is held, motion and scroll as in `Action`, axes in [-1, 1]."""

_PLACE = {name: place for place, name in enumerate(ACTION_NAMES)}


def features(fps: int, video: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The features of `info.json`.

    Args:
        fps: frames per second.
        video: codec and pixel format of the video, as LeRobot calls them.
    """
    vector = {"dtype": "float32", "shape": [len(ACTION_NAMES)], "names": list(ACTION_NAMES)}
    own: dict[str, dict[str, Any]] = {
        PICTURE: {
            "dtype": "video",
            "shape": [MODEL_SIZE, MODEL_SIZE, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": MODEL_SIZE,
                "video.width": MODEL_SIZE,
                **video,
                "video.is_depth_map": False,
                "video.fps": fps,
                "video.channels": 3,
                "has_audio": False,
            },
        },
        ACTION: vector,
        "user_action": vector,
    }
    flags = ("is_executed_known", "is_user_known", "is_by_user")
    numbers = ("frame_time_ns", "frame_index", "episode_index", "index", "task_index")
    return {
        **own,
        **{name: {"dtype": "bool", "shape": [1], "names": None} for name in flags},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{name: {"dtype": "int64", "shape": [1], "names": None} for name in numbers},
    }


def vector_of(action: Action | None) -> NDArray[np.float32]:
    """An action as float32 numbers in the order of ACTION_NAMES; zeros where it is not known.

    Keys without a name in the format (see `action.KEYS`) are left out.
    """
    vector = np.zeros(len(ACTION_NAMES), np.float32)
    if action is None:
        return vector
    for name in (*(f"key.{key}" for key in action.keys), *(f"button.{button}" for button in action.buttons)):
        if name in _PLACE:
            vector[_PLACE[name]] = 1
    begin = _PLACE["mouse.dx"]
    vector[begin : begin + 4] = action.dx, action.dy, action.scroll_dx, action.scroll_dy
    pad = action.gamepad
    if pad is not None:
        sticks = [number for stick in (pad.left_stick, pad.right_stick) for number in (stick.x, stick.y, stick.pressed)]
        buttons = [name in pad.buttons for name in _PAD_BUTTONS]
        vector[begin + 4 :] = [1, *buttons, *sticks, pad.left_trigger, pad.right_trigger]
    return vector


def action_of(vector: Sequence[float], names: Sequence[str]) -> Action:
    """The Action that these numbers with these names say; what is not named is not held and did not move.

    Args:
        vector: the numbers.
        names: of each, out of ACTION_NAMES.

    Raises:
        ValueError: they are not as many, or one is not a number or more than any mouse moves.
    """
    values = dict(zip(names, map(float, vector), strict=True))
    plausible(*values.values())
    keys = frozenset(name[4:] for name, value in values.items() if name.startswith("key.") and value > 0.5)
    buttons = frozenset(name[7:] for name, value in values.items() if name.startswith("button.") and value > 0.5)
    dx, dy, scroll_dx, scroll_dy = (
        round(values.get(name, 0)) for name in ("mouse.dx", "mouse.dy", "scroll.dx", "scroll.dy")
    )
    pad = _gamepad(values) if values.get("gamepad.is_present", 0) > 0.5 else None
    return Action(keys, buttons, dx, dy, scroll_dx, scroll_dy, pad)


def _gamepad(values: dict[str, float]) -> Gamepad:
    def stick(name: str) -> Stick:
        x, y, pressed = (values.get(f"gamepad.{name}.{part}", 0.0) for part in ("x", "y", "pressed"))
        return Stick(x, y, pressed > 0.5)

    return Gamepad(
        frozenset(name for name in _PAD_BUTTONS if values.get(f"gamepad.{name}", 0) > 0.5),
        stick("left_stick"),
        stick("right_stick"),
        values.get("gamepad.left_trigger", 0.0),
        values.get("gamepad.right_trigger", 0.0),
    )
