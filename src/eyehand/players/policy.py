"""Policies as players: a checkpoint that decides on every picture, alone or many games in one batch.

Resizes with the one `frame.resize` (`Frame.small`), embeds an instruction once per change, feeds back what was really
executed, draws seeded. `PolicyPlayer` is what a Session takes; `BatchPolicyPlayer` steps N games in one forward pass,
each with its own episode, instruction and random numbers. Knows no game.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from eyehand.action import NOTHING
from eyehand.action_space import MouseSampling
from eyehand.checkpoint import Checkpoint, load_checkpoint
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Game
from eyehand.inference.engine import LiveEngine
from eyehand.inference.network_options import Runtime
from eyehand.inference.runtime import live_engine, quickest_threads
from eyehand.model.text import TEXT_ENCODERS, text_encoder
from eyehand.player import Decision, Observation
from eyehand.players.kinds import PlayerKind, PlayerOptions, check_rate

__all__ = ["CHECKPOINT", "BatchPolicyPlayer", "PolicyPlayer", "open_policy"]

_WARM_UP_TICKS = 8


class BatchPolicyPlayer:
    """One checkpoint that plays `batch` games at once.

    Args:
        checkpoint: whose policy plays.
        batch: number of games.
        device: where the network runs.
        temperature: of the sampling; None: the checkpoint's.
        top_p: below 1, unlikely tokens are never drawn.
        mouse_sampling: from motion bins to pixels; None: the checkpoint's.
        threads: CPU threads of the network; None: leave torch as it is.
        runtime: what the network runs on, see `inference.runtime`.
        live: the network, if it is prepared already; `device` and `runtime` mean nothing then.

    Attributes:
        live: the network prepared for stepping.
        state: its memory.
        stage_ms: milliseconds of the last `act` by stage: resize, vision, backbone, decoder; with the runtime
            cuda-graph resize, graph. With torch on a GPU the work is queued, so that only their sum means something.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        batch: int,
        device: str = "cpu",
        *,
        temperature: float | None = None,
        top_p: float = 1.0,
        mouse_sampling: MouseSampling | None = None,
        threads: int | None = None,
        runtime: Runtime = "auto",
        live: LiveEngine | None = None,
    ) -> None:
        self.checkpoint, self.batch = checkpoint, batch
        self.temperature = checkpoint.temperature if temperature is None else temperature
        self.top_p = top_p
        if self.temperature < 0:
            raise UserError(f"The temperature is {self.temperature}: it must be 0 (likeliest) or more, usually 1.")
        if not 0 < top_p <= 1:
            raise UserError(f"Top-p is {top_p}: it must be above 0 and at most 1.")
        self.mouse_sampling = mouse_sampling or checkpoint.mouse_sampling
        self.stage_ms: dict[str, float] = {}
        self.threads, self._thread_id = threads, 0
        self._config, self._space = checkpoint.config, checkpoint.policy.space
        self.live = live or live_engine(checkpoint.policy, runtime, device=device, batch=batch, threads=threads)
        self.state = self.live.new_state(batch)
        self._rngs = [np.random.default_rng(0) for _ in range(batch)]
        self._instructions: list[str | None] = [None] * batch
        shape = (self._config.num_text_tokens, self._config.text_dim)
        self._text_BND = self.live.embed_text(torch.zeros(batch, *shape))
        size = self._config.frame_size
        self._frames_BHWC = np.zeros((batch, size, size, 3), dtype=np.uint8)
        self._nothing = self._space.encode(NOTHING)

    def warm_up(self) -> None:
        """Load what loads lazily and run a few ticks, so that the first real one is not slow. Ends every episode."""
        if self._config.text_encoder in TEXT_ENCODERS:
            text_encoder(self._config.text_encoder).embed("warm up")
        black = Frame(np.zeros((240, 320, 3), dtype=np.uint8), 0)
        for _ in range(_WARM_UP_TICKS):
            self.act([Observation(black)] * self.batch)
        self.state.reset()
        for index in range(self.batch):
            self.reset(index, 0)

    def reset(self, index: int, seed: int) -> None:
        """Begin a new episode in this place of the batch; the others go on."""
        self.state.reset(index)
        self._rngs[index] = np.random.default_rng(seed)

    @torch.inference_mode()
    def act(self, observations: Sequence[Observation | None]) -> list[Decision]:
        """Decide for every game of the batch. None: a game that waits; its Decision does nothing and means nothing.

        Raises:
            UserError: the instruction's text encoder is not available.
        """
        if len(observations) != self.batch:
            raise ValueError(f"expected {self.batch} observations, got {len(observations)}")
        self._limit_threads()
        begin = time.perf_counter()
        previous_BA = np.stack([self._look(index, seen) for index, seen in enumerate(observations)])
        frames_BCHW = torch.from_numpy(self._frames_BHWC).permute(0, 3, 1, 2)
        uniforms_BA = np.stack([rng.random(self._space.num_slots, dtype=np.float32) for rng in self._rngs])
        resized = time.perf_counter()
        stepped = self.live.tick(
            self.state,
            frames_BCHW,
            self._text_BND,
            torch.from_numpy(previous_BA),
            torch.from_numpy(uniforms_BA),
            self.temperature,
            self.top_p,
        )
        stepped_at = time.perf_counter()
        decisions = [
            Decision(NOTHING)
            if observation is None
            else Decision(self._space.decode(tokens_A, self.mouse_sampling, rng))
            for observation, tokens_A, rng in zip(observations, stepped.tokens_BA.numpy(), self._rngs, strict=True)
        ]
        stages_s = {"resize": resized - begin, **stepped.stages_s}
        *_, last = stages_s
        stages_s[last] += time.perf_counter() - stepped_at  # from tokens to keys and pixels
        self.stage_ms = {stage: 1e3 * spent_s for stage, spent_s in stages_s.items()}
        return decisions

    def _look(self, index: int, observation: Observation | None) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Put the picture in its place, follow a change of instruction; the tokens of what was executed."""
        if observation is None:
            return self._nothing
        self._frames_BHWC[index] = observation.frame.small(self._config.frame_size)
        if observation.instruction != self._instructions[index]:
            self._text_BND[index] = self._embedded(observation.instruction)
            self._instructions[index] = observation.instruction
        return self._space.encode(observation.executed)

    def _embedded(self, instruction: str | None) -> Tensor:
        if instruction is None:  # needs no encoder
            vectors = np.zeros((self._config.num_text_tokens, self._config.text_dim), dtype=np.float32)
        else:
            vectors = text_encoder(self._config.text_encoder).embed(instruction)
        return self.live.embed_text(torch.tensor(vectors)[None])[0]

    def _limit_threads(self) -> None:
        """OpenMP counts threads per calling thread: set the limit in whichever thread acts."""
        if self.threads is not None and threading.get_ident() != self._thread_id:
            self._thread_id = threading.get_ident()
            torch.set_num_threads(self.threads)


class PolicyPlayer:
    """One checkpoint that plays one game; a `player.Player`. Arguments as for `BatchPolicyPlayer`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        temperature: float | None = None,
        top_p: float = 1.0,
        mouse_sampling: MouseSampling | None = None,
        device: str = "cpu",
        threads: int | None = 1,
        runtime: Runtime = "auto",
        live: LiveEngine | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self._batch = BatchPolicyPlayer(
            checkpoint,
            1,
            device,
            temperature=temperature,
            top_p=top_p,
            mouse_sampling=mouse_sampling,
            threads=threads,
            runtime=runtime,
            live=live,
        )

    def sibling(self) -> PolicyPlayer:
        """Another player of the same network, with the same options and an episode of its own.

        Siblings share the weights and must act on one thread.
        """
        batch = self._batch
        return PolicyPlayer(
            self.checkpoint,
            temperature=batch.temperature,
            top_p=batch.top_p,
            mouse_sampling=batch.mouse_sampling,
            threads=batch.threads,
            live=batch.live,
        )

    @property
    def name(self) -> str:
        """The checkpoint's."""
        return self.checkpoint.name

    @property
    def stage_ms(self) -> dict[str, float]:
        """Milliseconds of the last `act` by stage, see `BatchPolicyPlayer`."""
        return self._batch.stage_ms

    def warm_up(self) -> None:
        """Make the first tick as fast as the others. Ends the episode."""
        self._batch.warm_up()

    def reset(self, seed: int) -> None:
        """Forget the last episode; draw the next one's actions from this seed."""
        self._batch.reset(0, seed)

    def act(self, observation: Observation) -> Decision:
        """Decide on one tick."""
        return self._batch.act([observation])[0]


def open_policy(name: str, options: PlayerOptions) -> PolicyPlayer:
    """The player of a checkpoint, by name or folder, warmed up.

    Raises:
        UserError: it cannot be used, or not in this way.
    """
    if options.threads < 1:
        raise UserError(f"A policy cannot run on {options.threads} threads: give --threads 1 or more.")
    checkpoint, threads = load_checkpoint(name), options.threads
    if threads > 1:
        threads = quickest_threads(checkpoint.policy, options.runtime, threads)
    player = PolicyPlayer(checkpoint, temperature=options.temperature, threads=threads, runtime=options.runtime)
    player.warm_up()
    return player


def _open(name: str, game: Game, options: PlayerOptions) -> PolicyPlayer:
    player = open_policy(name, options)
    check_rate(player.checkpoint.name, player.checkpoint.fps, game)
    return player


CHECKPOINT = PlayerKind(open=_open, is_checkpoint=True)
