"""eyehand teaches an agent to play a game by watching a person play it: pixels in, keyboard and mouse out, live.

The names below are what other programs may build on (docs/api.md); each is loaded when it is first used.
"""

from __future__ import annotations

import os
import sys

from eyehand.version import __version__

TYPE_CHECKING = False  # to a type checker it is true; `typing` takes longer to load than the rest of `eyehand --help`

_PLACES = {
    "Action": "eyehand.action:Action",
    "ActionSpace": "eyehand.action_space:ActionSpace",
    "EvaluateOptions": "eyehand.evaluate.score_options:EvaluateOptions",
    "Frame": "eyehand.frame:Frame",
    "Session": "eyehand.session:Session",
    "TrainConfig": "eyehand.train.train_config:TrainConfig",
    "evaluate": "eyehand.evaluate",  # these two are packages that can be called
    "load_checkpoint": "eyehand.checkpoint:load_checkpoint",
    "load_dataset": "eyehand.data.dataset:load_dataset",
    "open_game": "eyehand.games.families:open_game",
    "open_player": "eyehand.players.kinds:open_player",
    "read_recording": "eyehand.recording.reader:Recording.open",
    "train": "eyehand.train",
}
__all__ = ["__version__", *_PLACES]  # noqa: PLE0604 - names they are

# Nothing that runs here is told to anybody. OpenVINO would post to Google Analytics when it is imported, Ray when it is
# started, and Hugging Face would hear what is installed; here, because processes of jobs import it too.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # that is how an import is forbidden
for _name, _value in {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}.items():
    os.environ.setdefault(_name, _value)

if TYPE_CHECKING:
    from typing import Any

    from eyehand.action import Action as Action
    from eyehand.action_space import ActionSpace as ActionSpace
    from eyehand.checkpoint import load_checkpoint as load_checkpoint
    from eyehand.data.dataset import load_dataset as load_dataset
    from eyehand.evaluate.score import evaluate as evaluate
    from eyehand.evaluate.score_options import EvaluateOptions as EvaluateOptions
    from eyehand.frame import Frame as Frame
    from eyehand.games.families import open_game as open_game
    from eyehand.players.kinds import open_player as open_player
    from eyehand.recording.reader import Recording
    from eyehand.session import Session as Session
    from eyehand.train.loop import train as train
    from eyehand.train.train_config import TrainConfig as TrainConfig

    read_recording = Recording.open


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'eyehand' has no attribute {name!r}")
    import pkgutil

    return pkgutil.resolve_name(_PLACES[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
