"""OpenVINO steps as torch does: the same actions in float32, nearly the same with int8 weights."""

from __future__ import annotations

import signal
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from eyehand.checkpoint import load_checkpoint
from eyehand.inference.engine import LiveState, StagedEngine
from eyehand.inference.packed import Packing
from eyehand.inference.rolling_cache import POSITION_PERIOD
from eyehand.inference.tick import DecodeAction
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from tiny import KINDS, RICH, TINY, random_clip, tiny_policy

pytest.importorskip("openvino", reason="the runtime OpenVINO is not installed (pip install 'eyehand[fast]')")
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

from eyehand.inference.openvino_export import DecodeActionGraph, exported
from eyehand.inference.openvino_live import OpenVinoLive

P2P = replace(TINY, vision="p2p", vision_widths=(), decoder_sinks=0)


def test_ctrl_c_while_a_graph_is_made_is_no_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    mark_node = TorchScriptPythonDecoder.mark_node

    def pressed(self: TorchScriptPythonDecoder, node: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return mark_node(self, node)

    monkeypatch.setattr(TorchScriptPythonDecoder, "mark_node", pressed)
    with pytest.raises(KeyboardInterrupt):
        exported(torch.nn.Linear(3, 2), [torch.zeros(1, 3)], is_int8=False)


def played(
    engine: StagedEngine, state: LiveState, clip: tuple[Tensor, ...], seed: int = 0, top_p: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Outputs (T, D) and drawn tokens (T, A) of one episode, fed with the clip's executed actions."""
    frames, text, executed, _ = clip
    generator = torch.Generator().manual_seed(seed)
    outputs, drawn = [], []
    for step in range(frames.shape[1]):
        previous = executed[:, max(step - 1, 0)]
        out = engine.step(state, engine.encode_image(frames[:, step]), engine.embed_text(text[:, step]), previous)
        uniforms = torch.rand(1, executed.shape[-1], generator=generator)
        outputs.append(out[0].clone())
        drawn.append(engine.decode_action(out, uniforms, 0.9, top_p)[0].clone())
    return torch.stack(outputs), torch.stack(drawn)


@pytest.mark.parametrize("config", [*KINDS.values(), P2P], ids=[*KINDS, "p2p"])
@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_float32_draws_the_same_actions_beyond_the_window(config: PolicyConfig, top_p: float) -> None:
    policy, clip = tiny_policy(config), random_clip(config, 1, 3 * config.history_steps + 2)
    ours, theirs = OpenVinoLive(policy, is_int8=False), LivePolicy(policy)
    out, ids = played(ours, ours.new_state(), clip, top_p=top_p)
    expected_out, expected_ids = played(theirs, theirs.new_state(), clip, top_p=top_p)
    torch.testing.assert_close(out, expected_out, rtol=1e-3, atol=1e-4)
    assert torch.equal(ids, expected_ids)
    assert len({tuple(row) for row in ids.tolist()}) > 3


def test_temperature_0_takes_the_likeliest() -> None:
    policy, clip = tiny_policy(), random_clip(TINY, 1, 1)
    ours, theirs = OpenVinoLive(policy, is_int8=False), LivePolicy(policy)
    state, uniforms = ours.new_state(), torch.rand(1, 8)
    out = ours.step(state, ours.encode_image(clip[0][:, 0]), ours.embed_text(clip[1][:, 0]), clip[2][:, 0])
    assert torch.equal(ours.decode_action(out, uniforms, 0.0), theirs.decode_action(out, uniforms, 0.0))


def test_states_that_take_turns_do_not_notice_each_other() -> None:
    policy = tiny_policy(RICH)
    engine = OpenVinoLive(policy, is_int8=False)
    first, second = (random_clip(RICH, 1, 7, seed) for seed in (1, 2))
    alone = [played(engine, engine.new_state(), clip)[0] for clip in (first, second)]
    states = [engine.new_state(), engine.new_state()]
    outputs: list[list[Tensor]] = [[], []]
    for step in range(7):
        for index, clip in enumerate((first, second)):
            frames, text, executed, _ = clip
            tokens = engine.embed_text(text[:, step])
            out = engine.step(
                states[index], engine.encode_image(frames[:, step]), tokens, executed[:, max(step - 1, 0)]
            )
            outputs[index].append(out[0].clone())
            if step == 4:  # a fork goes on by itself
                fork = deepcopy(states[index])
                engine.step(fork, engine.encode_image(frames[:, 0]), tokens, executed[:, 0])
    for index in (0, 1):
        torch.testing.assert_close(torch.stack(outputs[index]), alone[index], rtol=1e-5, atol=1e-6)


def test_a_reset_state_is_a_new_one() -> None:
    policy, clip = tiny_policy(), random_clip(TINY, 1, 6)
    engine = OpenVinoLive(policy, is_int8=False)
    state = engine.new_state()
    first, _ = played(engine, state, clip)
    state.reset()
    again, _ = played(engine, state, clip)
    torch.testing.assert_close(again, first, rtol=1e-5, atol=1e-6)


def test_weights_are_a_snapshot_also_in_graphs_that_are_made_later() -> None:
    policy, clip = tiny_policy(), random_clip(TINY, 1, 4)
    engine, twin = (OpenVinoLive(policy, is_int8=False) for _ in range(2))
    text = torch.randn(1, TINY.num_text_tokens, TINY.text_dim, generator=torch.Generator().manual_seed(1))

    def results(engine: OpenVinoLive) -> list[Tensor]:
        plain, nucleus = (played(engine, engine.new_state(), clip, top_p=top_p) for top_p in (1.0, 0.7))
        return [*plain, *nucleus, *engine.score(plain[0][-1:], plain[1][-1:]), engine.embed_text(text)]

    before = results(twin)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    for ours, expected in zip(results(engine), before, strict=True):
        assert torch.equal(ours, expected)


def test_ctrl_c_is_no_crash_after_engines_have_been_freed() -> None:
    """In the order in which they were made; a process of its own, which a crash would end."""
    code = (
        "import os, signal, time\n"
        "from eyehand.inference.openvino_live import OpenVinoLive\n"
        "from tiny import tiny_policy\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "engines = [OpenVinoLive(tiny_policy()) for _ in range(2)]\n"
        "while engines:\n"
        "    del engines[0]\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    here = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("stopped\n", 0), done.stderr


def test_bytes_over_255_rounded_to_bfloat16_are_what_the_reference_divides() -> None:
    """What vision in bfloat16 relies on: one product, rounded, is the reference's quotient of two bfloat16."""
    levels = torch.arange(256)
    assert torch.equal((levels.float() * (1 / 255)).bfloat16(), levels.bfloat16() / 255)


def test_rotary_positions_are_those_of_torch_also_where_they_wrap() -> None:
    engine = OpenVinoLive(tiny_policy(RICH), is_int8=False)
    for tick in (0, 1, 5, POSITION_PERIOD - 1, POSITION_PERIOD, POSITION_PERIOD + 1):
        expected_2BQF = engine._ring.rope(tick, [0])
        cos_QF, sin_QF = (torch.from_numpy(table) for table in engine._rope(tick))
        torch.testing.assert_close(torch.stack((cos_QF, sin_QF)), expected_2BQF[:, 0], rtol=0, atol=1e-6)


def test_several_games_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="one episode at a time"):
        OpenVinoLive(tiny_policy()).new_state(2)


@pytest.fixture(scope="module")
def bundled() -> Policy:
    return load_checkpoint("pocket-doom").policy


def test_int8_weights_hardly_change_what_is_drawn(bundled: Policy) -> None:
    clip = random_clip(bundled.config, 1, 40)
    quantised, exact = OpenVinoLive(bundled, is_int8=True), LivePolicy(bundled)
    out, ids = played(quantised, quantised.new_state(), clip)
    expected_out, expected_ids = played(exact, exact.new_state(), clip)
    error = (out - expected_out).square().mean().sqrt() / expected_out.std()
    assert 1e-5 < error < 0.02
    assert (ids == expected_ids).all(dim=1).float().mean() > 0.8


def test_large_matrices_stand_once_in_a_graph_as_int8(bundled: Policy) -> None:
    """The decoder's eight steps share them, and nothing folds them back into float32."""
    module = DecodeActionGraph(DecodeAction(bundled, Packing(torch.device("cpu"), torch.float32, True)), ["targets"])
    inputs = [torch.zeros(1, bundled.config.width), torch.zeros(1, 8, dtype=torch.int32)]
    weights = {True: 0, False: 0}
    for is_int8 in weights:
        constants = [
            node for node in exported(module, inputs, is_int8=is_int8).get_ops() if node.get_type_name() == "Constant"
        ]
        weights[is_int8] = sum(str(node.get_element_type()) == "<Type: 'int8_t'>" for node in constants)
    decoder = bundled.decoder
    large = [decoder.input, *(bundled.head(index) for index in range(len(bundled.space.heads)))]
    num_large = 4 * len(decoder.blocks()) + sum(linear.weight.numel() >= 4096 for linear in large)
    assert weights == {True: num_large, False: 0}
