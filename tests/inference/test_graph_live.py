"""A tick that the host cannot look into gives the numbers of `LivePolicy`: on the CPU, and as a graph on a GPU."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from eyehand.action import NOTHING, Action
from eyehand.bench.quality import Clip, compare
from eyehand.checkpoint import Checkpoint
from eyehand.frame import Frame
from eyehand.inference.engine import LiveEngine, LiveState
from eyehand.inference.graph_live import GraphLive, Inputs, TickGraph
from eyehand.inference.rolling_cache import POSITION_PERIOD
from eyehand.inference.runtime import live_engine
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy_config import PolicyConfig
from eyehand.player import Observation
from eyehand.players.policy import PolicyPlayer
from tiny import KINDS, RICH, TINY, random_clip, tiny_policy

P2P = replace(TINY, vision="p2p", vision_widths=(), decoder_sinks=0)
SAMPLING = [(1.0, 1.0), (0.9, 0.7), (1.3, 0.2), (0.0, 1.0), (0.0, 0.5)]


class Pair:
    """GraphLive and LivePolicy on the same weights, which are asked the same."""

    def __init__(self, config: PolicyConfig, device: str = "cpu") -> None:
        policy = tiny_policy(config)
        self.ours = GraphLive(policy, device, torch.float32)
        self.theirs = LivePolicy(policy, device)
        self.generator = torch.Generator().manual_seed(7)

    def new_states(self) -> tuple[LiveState, LiveState]:
        return self.ours.new_state(), self.theirs.new_state()

    def step(
        self, states: tuple[LiveState, LiveState], clip: tuple[Tensor, ...], step: int, *sampling: float
    ) -> list[int]:
        """Both take a step of the clip; the same tokens must come out, which are given back."""
        frames, text, executed, _ = clip
        previous = executed[:, max(step - 1, 0)]
        uniforms = torch.rand(1, executed.shape[-1], generator=self.generator)
        theirs = self.theirs
        out = theirs.step(states[1], theirs.encode_image(frames[:, step]), theirs.embed_text(text[:, step]), previous)
        expected = theirs.decode_action(out, uniforms, *sampling).cpu()
        words = self.ours.embed_text(text[:, step])
        drawn = self.ours.tick(states[0], frames[:, step], words, previous, uniforms, *sampling)
        torch.testing.assert_close(drawn.out_BD, out, rtol=1e-4, atol=1e-5)
        assert torch.equal(drawn.tokens_BA, expected)
        assert (states[0].tick, states[0].starts) == (states[1].tick, states[1].starts)
        assert list(drawn.stages_s) == ["graph"]
        return drawn.tokens_BA[0].tolist()


@pytest.mark.parametrize("config", [*KINDS.values(), P2P], ids=[*KINDS, "p2p"])
@pytest.mark.parametrize(("temperature", "top_p"), SAMPLING)
def test_the_same_actions_beyond_the_window(config: PolicyConfig, temperature: float, top_p: float) -> None:
    pair, clip = Pair(config), random_clip(config, 1, 3 * config.history_steps + 2)
    states = pair.new_states()
    drawn = [pair.step(states, clip, step, temperature, top_p) for step in range(clip[0].shape[1])]
    assert len({tuple(tokens) for tokens in drawn}) > 1


def test_resets_begin_a_new_episode() -> None:
    pair, clip = Pair(RICH), random_clip(RICH, 1, 12)
    states = pair.new_states()
    for length in (7, 2, 1, 12):
        for step in range(length):
            pair.step(states, clip, step)
        for state in states:
            state.reset()


def test_forks_and_states_that_take_turns_do_not_notice_each_other() -> None:
    pair, clips = Pair(RICH), [random_clip(RICH, 1, 14, seed) for seed in range(3)]
    first, second = pair.new_states(), pair.new_states()
    for step in range(6):
        pair.step(first, clips[0], step)
        if step > 1:
            pair.step(second, clips[1], step)
    held, waiting = (tuple(deepcopy(state) for state in states) for states in (second, first))
    assert all(a.data_ptr() != b.data_ptr() for a, b in zip(held[0].backbone, second[0].backbone, strict=True))
    for step in range(6, 14):
        for states, clip in ((held, clips[2]), (first, clips[0]), (waiting, clips[1]), (second, clips[1])):
            pair.step(states, clip, step)


def test_a_state_that_is_gone_leaves_its_place() -> None:
    pair, clip = Pair(TINY), random_clip(TINY, 1, 3)
    for _ in range(3):
        states = pair.new_states()
        for step in range(3):
            pair.step(states, clip, step)
        del states


def test_a_filled_memory_counts_as_seen() -> None:
    pair, clip = Pair(RICH), random_clip(RICH, 1, 8)
    states = pair.new_states()
    pair.step(states, clip, 0)
    for state in states:
        state.fill(RICH)
    for step in range(8):
        pair.step(states, clip, step)


def test_positions_start_again() -> None:
    pair, clip = Pair(RICH), random_clip(RICH, 1, 11)
    states = pair.new_states()
    for step in range(5):
        pair.step(states, clip, step)
    for state in states:
        state.tick = POSITION_PERIOD - 3
    for step in range(11):
        pair.step(states, clip, step)


def test_bfloat16_is_near_and_draws_from_float32() -> None:
    policy, (frames, text, executed, _) = tiny_policy(RICH), random_clip(RICH, 1, 9)
    engine = GraphLive(policy, "cpu")
    assert engine.dtype == torch.bfloat16
    quality = compare(policy, engine, [Clip(frames[0], text[0], executed[0])])
    assert 1e-9 < quality.kl < 1e-3
    assert quality.max_kl < 1e-2
    out = engine._tick.out_BD
    assert out.dtype == torch.bfloat16
    assert all(logits.dtype == torch.float32 for logits in engine.score(out, executed[:, 0]))


def test_it_scores_as_the_trained_network() -> None:
    policy, (frames, text, executed, _) = tiny_policy(RICH), random_clip(RICH, 1, 9)
    engine = GraphLive(policy, "cpu", torch.float32)
    quality = compare(policy, engine, [Clip(frames[0], text[0], executed[0])])
    assert quality.max_kl < 1e-9
    assert quality.agreement == 1


def _played(engine: LiveEngine, clip: tuple[Tensor, ...], top_p: float = 1.0) -> list[list[int]]:
    """The tokens of an episode."""
    frames, text, executed, _ = clip
    state, generator = engine.new_state(), torch.Generator().manual_seed(3)
    drawn = []
    for step in range(frames.shape[1]):
        uniforms, words = torch.rand(1, executed.shape[-1], generator=generator), engine.embed_text(text[:, step])
        done = engine.tick(state, frames[:, step], words, executed[:, max(step - 1, 0)], uniforms, 0.9, top_p)
        drawn.append(done.tokens_BA[0].tolist())
    return drawn


def test_several_games_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="one episode at a time"):
        GraphLive(tiny_policy(), "cpu").new_state(2)


def test_a_player_plays_the_same_on_it() -> None:
    checkpoint = Checkpoint(tiny_policy(), "tiny")
    pictures = np.random.default_rng(0).integers(0, 256, (12, 40, 60, 3), dtype=np.uint8)
    played = []
    for player in (
        PolicyPlayer(checkpoint, live=GraphLive(checkpoint.policy, "cpu", torch.float32)),
        PolicyPlayer(checkpoint, runtime="torch"),
    ):
        player.warm_up()
        player.reset(5)
        actions: list[Action] = [NOTHING]
        for index, picture in enumerate(pictures):
            text = None if index < 4 else "shoot the monster"
            actions.append(player.act(Observation(Frame(picture, index), text, actions[-1])).action)
        played.append(actions)
        stages = list(player.stage_ms)
        assert stages == (["resize", "graph"] if len(played) == 1 else ["resize", "vision", "backbone", "decoder"])
        assert all(value > 0 for value in player.stage_ms.values())
    assert played[0] == played[1]


class _OnlyThere(TorchDispatchMode):
    """Every operation on tensors of one device: none comes from the host, none goes there."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        assert {tensor.device.type for tensor in tensors} <= {self.device}, func
        self.names.add(func.__name__)
        return result


@pytest.mark.parametrize("config", [TINY, RICH, P2P])
def test_a_tick_looks_at_no_value_and_takes_nothing_from_the_host(
    config: PolicyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On tensors without values, where reading one, or a shape that depends on one, is an error."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)  # which knows no such device
    for dtype in (torch.float32, torch.bfloat16):
        tick = TickGraph(tiny_policy(config), torch.device("meta"), dtype)
        with monkeypatch.context() as patched, _OnlyThere("meta") as watch, torch.no_grad():
            patched.delattr(torch, "tensor")  # would be copied from the host
            tick.run()
        assert {"sort.default", "index_copy_.default", "argmax.default"} <= watch.names
        # `where` copies a Python number to the device; random numbers would be those of the capture.
        assert not {name for name in watch.names if name.startswith(("where.Scalar", "rand", "lift", "nonzero"))}


def test_what_the_trace_would_find() -> None:
    there = torch.ones(3, device="meta")
    with _OnlyThere("meta"):
        with pytest.raises(AssertionError):
            there * torch.ones(3)[0]
        with pytest.raises(RuntimeError, match="meta"):
            there.sum().item()
        with pytest.raises(NotImplementedError):
            there[there > 0]


class _Recorded:
    """Stands in for torch.cuda's streams, events and graphs on a machine without; a replay runs the tick."""

    def __init__(self, engine: GraphLive, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        recorded = self

        class Anything:
            def __init__(self, **options: bool) -> None:
                recorded.calls.append(f"event {options}" if options else "new")

            def wait_stream(self, other: object) -> None:
                recorded.calls.append("wait")

            def replay(self) -> None:
                recorded.calls.append("replay")
                engine._tick.run()

            def record(self) -> None:
                recorded.calls.append("record")

            def synchronize(self) -> None:
                recorded.calls.append("synchronize")

        for name in ("CUDAGraph", "Stream", "Event", "current_stream"):
            monkeypatch.setattr(torch.cuda, name, Anything)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        monkeypatch.setattr(torch.cuda, "graph", lambda graph, stream: nullcontext(recorded.calls.append("capture")))


def test_inputs_and_tokens_travel_and_the_host_waits_once_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, clip = tiny_policy(RICH), random_clip(RICH, 1, 11)
    expected = _played(GraphLive(policy, "cpu", torch.float32), clip, top_p=0.8)
    engine = GraphLive(policy, "cpu", torch.float32)
    engine._inputs = Inputs(RICH, torch.device("cpu"))
    engine._tokens_BA = torch.zeros(1, 8, dtype=torch.int64)
    engine._is_captured = True
    recorded = _Recorded(engine, monkeypatch)
    assert _played(engine, clip, top_p=0.8) == expected
    assert recorded.calls.count("capture") == 1
    a_tick = ["replay", "record", "synchronize"]
    assert recorded.calls[-3 * 10 :] == 10 * a_tick
    assert recorded.calls.index("capture") < recorded.calls.index("replay")
    assert "event {'blocking': True}" in recorded.calls


@pytest.mark.gpu
@pytest.mark.parametrize("config", [*KINDS.values(), P2P], ids=[*KINDS, "p2p"])
@pytest.mark.parametrize(("temperature", "top_p"), SAMPLING)
def test_a_graph_gives_the_numbers_of_the_eager_network(config: PolicyConfig, temperature: float, top_p: float) -> None:
    pair, clip = Pair(config, "cuda"), random_clip(config, 1, 3 * config.history_steps + 2)
    first, second = pair.new_states(), pair.new_states()
    for step in range(clip[0].shape[1]):
        pair.step(first, clip, step, temperature, top_p)
        if step % 3 == 1:
            pair.step(second, clip, step, temperature, top_p)
        if step == 2 * config.history_steps:
            fork = (deepcopy(first[0]), deepcopy(first[1]))
            pair.step(fork, clip, 0, temperature, top_p)
            for state in second:
                state.reset()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_replay_gives_what_the_same_tick_gives_eagerly(dtype: torch.dtype) -> None:
    policy, clip = tiny_policy(RICH), random_clip(RICH, 1, 14)
    engine = GraphLive(policy, "cuda", dtype)
    with torch.inference_mode():  # as a player calls it
        drawn = _played(engine, clip, top_p=0.8)
    assert engine._graph is not None
    replayed = engine._tick.out_BD.clone(), engine._tick.tokens_BA.clone()
    with torch.no_grad():
        engine._tick.run()
    torch.testing.assert_close(engine._tick.out_BD, replayed[0], rtol=1e-2, atol=1e-2)
    assert torch.equal(engine._tick.tokens_BA, replayed[1])
    assert drawn[-1] == replayed[1][0].tolist()
    assert torch.rand(3, device="cuda").isfinite().all()  # random numbers go on after a capture


@pytest.mark.gpu
def test_the_host_does_not_wait_inside_a_tick() -> None:
    engine, clip = GraphLive(tiny_policy(RICH), "cuda"), random_clip(RICH, 1, 2)
    _played(engine, clip)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.no_grad():
            engine._tick.run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()


@pytest.mark.gpu
def test_a_player_on_a_gpu_takes_the_graph() -> None:
    checkpoint = Checkpoint(tiny_policy(), "tiny")
    assert isinstance(live_engine(checkpoint.policy, device="cuda"), GraphLive)
    player = PolicyPlayer(checkpoint, runtime="cuda-graph")
    player.warm_up()
    player.reset(0)
    player.act(Observation(Frame(np.zeros((40, 60, 3), dtype=np.uint8), 0), "go"))
    assert list(player.stage_ms) == ["resize", "graph"]
