"""A whole tick of a live engine, and the time that its stages take.

`StagedEngine` is what engines share whose tick is encode_image, step and decode_action, called one after another. An
engine that runs a tick in one piece gives a `Stepped` of its own. Knows no network and no runtime.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from eyehand.action_space import ActionSpace
from eyehand.model.policy_config import PolicyConfig

__all__ = ["LiveEngine", "LiveState", "StagedEngine", "Stepped"]


@dataclass
class LiveState:
    """The memory of B episodes that step together. Made by `LivePolicy.new_state`.

    Attributes:
        backbone: keys and values of each backbone layer's ring (`PackedBlock.new_cache`).
        starts: the tick at which each episode began; it sees nothing older.
        tick: steps taken since the state was made or reset as a whole.
    """

    backbone: list[Tensor]
    starts: list[int]
    tick: int = 0

    def reset(self, index: int | None = None) -> None:
        """Begin a new episode at this index of the batch, or everywhere. The others do not notice."""
        if index is None or len(self.starts) == 1:
            self.starts = [0] * len(self.starts)
            self.tick = 0
        else:
            self.starts[index] = self.tick

    def fill(self, config: PolicyConfig) -> None:
        """As if a full history had passed, for measuring: what lies in the caches counts as seen."""
        self.tick = self.starts[0] + 2 * config.history_steps


@dataclass(frozen=True)
class Stepped:
    """What came out of a tick.

    Attributes:
        tokens_BA: the drawn tokens, int64, on the CPU.
        out_BD: the backbone's output that they were drawn from, where the engine computes.
        stages_s: seconds of each stage, in their order.
    """

    tokens_BA: Tensor
    out_BD: Tensor
    stages_s: dict[str, float]


class LiveEngine(Protocol):
    """What every runtime can do with a policy; `LivePolicy` says more about the arguments."""

    config: PolicyConfig
    space: ActionSpace

    def new_state(self, batch: int = 1) -> LiveState:
        """Empty memory for `batch` episodes."""

    def embed_text(self, text_BND: Tensor) -> Tensor:
        """Text tokens of embedded instructions (zeros: none), to be kept while the instruction stays."""

    def tick(
        self,
        state: LiveState,
        frames_BCHW: Tensor,
        text_BND: Tensor,
        previous_BA: Tensor,
        uniforms_BA: Tensor,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Stepped:
        """A whole tick, from pictures to drawn tokens."""


class StagedEngine(ABC):
    """A live engine in three stages. `torch_live.LivePolicy` says what each takes and gives."""

    @abstractmethod
    def encode_image(self, frames_BCHW: Tensor) -> Tensor:
        """Image tokens of pictures."""

    @abstractmethod
    def step(self, state: LiveState, image_BKD: Tensor, text_BND: Tensor, previous_BA: Tensor) -> Tensor:
        """Advance by one step."""

    @abstractmethod
    def decode_action(
        self, out_BD: Tensor, uniforms_BA: Tensor, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """Draw the action tokens."""

    def tick(
        self,
        state: LiveState,
        frames_BCHW: Tensor,
        text_BND: Tensor,
        previous_BA: Tensor,
        uniforms_BA: Tensor,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Stepped:
        """A whole tick: vision, backbone, decoder."""
        begin = time.perf_counter()
        image_BKD = self.encode_image(frames_BCHW)
        seen = time.perf_counter()
        out_BD = self.step(state, image_BKD, text_BND, previous_BA)
        thought = time.perf_counter()
        tokens_BA = self.decode_action(out_BD, uniforms_BA, temperature, top_p).cpu()
        stages_s = {"vision": seen - begin, "backbone": thought - seen, "decoder": time.perf_counter() - thought}
        return Stepped(tokens_BA, out_BD, stages_s)
