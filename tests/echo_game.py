"""A tiny real game whose picture shows the last action, and a player with a random but seeded plan."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.player import Decision, Observation

torch.set_num_threads(1)

SHOWN = ("w", "a", "s", "d", "Space", "LeftShift", "e", "q")


def draw(action: Action, height: int = 240, width: int = 320) -> np.ndarray:
    """A picture with a square per shown key and button, and one for every bit of the motion."""
    bits = [key in action.keys for key in SHOWN]
    bits += [button in action.buttons for button in ("0", "1")]
    bits += [bool((action.dx + 16) >> n & 1) for n in range(6)]
    grid = np.where(np.array(bits).reshape(4, 4), 230, 25).astype(np.uint8)
    picture = np.kron(grid, np.ones((height // 4, width // 4), np.uint8))
    return np.repeat(picture[:, :, None], 3, axis=2)


def read_picture(pixels: np.ndarray) -> tuple[bool, ...]:
    """The bits shown by a picture of any size."""
    height, width = pixels.shape[0] // 4, pixels.shape[1] // 4
    centres = pixels[height // 2 :: height, width // 2 :: width].mean(axis=2)[:4, :4]
    return tuple(bool(value > 128) for value in centres.ravel())


class EchoGame:
    """A stepped game at 20 Hz; its picture shows what was done since the picture before."""

    task = TaskInfo("echo/show", "echo", "show", ("Press keys.", "Do anything."), 10.0, "actions")
    fps = 20.0
    is_realtime = False
    state = None

    def __init__(self) -> None:
        self.last = NOTHING
        self.num_acts = 0

    def reset(self, seed: int) -> None:
        self.last, self.num_acts = NOTHING, 0

    def observe(self) -> Frame:
        return Frame(draw(self.last), self.num_acts, self.num_acts)

    def act(self, action: Action) -> None:
        self.last = action
        self.num_acts += 1

    def outcome(self) -> Outcome:
        return Outcome(done=self.num_acts >= 200, score=float(self.num_acts), facts={"acts": float(self.num_acts)})

    def release(self) -> None:
        self.last = NOTHING

    def close(self) -> None:
        pass


class Fidget:
    """Does something else at every tick; half of it counts as the user's, some of the rest has a label."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.rng = np.random.default_rng(0)

    def reset(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.decisions = []

    def act(self, observation: Observation) -> Decision:
        kind = self.rng.integers(4)
        label = self._action() if kind == 1 else None
        self.decisions.append(Decision(self._action(), by_user=bool(kind >= 2), label=label))
        return self.decisions[-1]

    def _action(self) -> Action:
        keys = [key for key in SHOWN if self.rng.random() < 0.3]
        buttons = [button for button in ("0", "1") if self.rng.random() < 0.3]
        return Action.of(keys, buttons, int(self.rng.integers(-16, 17)))


@pytest.fixture
def echo_game() -> EchoGame:
    return EchoGame()


@pytest.fixture
def fidget() -> Fidget:
    return Fidget()


@pytest.fixture
def shown():
    """From a picture, or an Action, to the bits that it shows."""
    return lambda what: read_picture(draw(what) if isinstance(what, Action) else what)
