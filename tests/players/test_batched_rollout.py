"""BatchedRollout: games in step with one batched policy, each with its own episode, ends and failures."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eyehand.action import NOTHING, Action
from eyehand.checkpoint import Checkpoint, save_checkpoint
from eyehand.frame import Frame
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from eyehand.player import Observation
from eyehand.players.batched_rollout import BatchedRollout, RolloutPlayer, rollout_of
from eyehand.players.policy import BatchPolicyPlayer, PolicyPlayer

CONFIG = replace(preset("medium"), history_steps=4, frame_size=32, width=32, num_layers=2, ffn_hidden=32,
                 vision_widths=(8, 8, 8, 8), decoder_ffn_hidden=32)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Checkpoint(Policy(CONFIG).eval(), "tiny")


def _episode(player: RolloutPlayer | PolicyPlayer, seed: int, num_ticks: int) -> list[Action]:
    rng = np.random.default_rng(seed)
    player.reset(seed)
    actions = [NOTHING]
    for tick in range(num_ticks):
        frame = Frame(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), tick)
        actions.append(player.act(Observation(frame, None, actions[-1])).action)
    return actions[1:]


def test_every_game_of_a_batch_is_played_as_it_would_be_alone(checkpoint: Checkpoint) -> None:
    """Episodes of different lengths: those that end early leave the others playing."""
    lengths = (9, 3, 6)
    rollout = BatchedRollout(BatchPolicyPlayer(checkpoint, 4, threads=1))
    parts = [lambda slot, n=n, s=s: _episode(slot, s, n) + _episode(slot, s + 10, 2) for s, n in enumerate(lengths)]
    together = rollout.play(parts)
    for seed, length in enumerate(lengths):
        alone = PolicyPlayer(checkpoint)
        assert together[seed] == _episode(alone, seed, length) + _episode(alone, seed + 10, 2)
    assert rollout.play(parts) == together


def test_a_process_keeps_its_policy_until_the_checkpoint_is_another_one(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def play(rollout: BatchedRollout) -> list[list[Action]]:
        return rollout.play([lambda slot: _episode(slot, 0, 20)])

    folder = str(save_checkpoint(tmp_path / "mine", checkpoint.policy, dtype="float32"))
    first = rollout_of(folder, 2)
    assert rollout_of(folder, 2) is first
    before = play(first)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        save_checkpoint(folder, Policy(CONFIG))
    assert play(rollout_of(folder, 2)) != before
    save_checkpoint(folder, checkpoint.policy, dtype="float32")
    assert play(rollout_of(folder, 2)) == before


def test_a_part_that_fails_does_not_hold_up_the_others(checkpoint: Checkpoint) -> None:
    def failing(slot: RolloutPlayer) -> list[Action]:
        _episode(slot, 1, 2)
        raise OSError("the game broke")

    played = []
    rollout = BatchedRollout(BatchPolicyPlayer(checkpoint, 2, threads=1))
    with pytest.raises(OSError, match="the game broke"):
        rollout.play([failing, lambda slot: played.append(_episode(slot, 2, 8))])
    assert len(played[0]) == 8


def test_a_policy_that_fails_ends_every_part(checkpoint: Checkpoint) -> None:
    rollout = BatchedRollout(BatchPolicyPlayer(checkpoint, 2, threads=1))

    def wrong_size(slot: RolloutPlayer) -> None:
        slot.reset(0)
        slot.act(Observation(Frame(np.zeros((0, 0, 3), np.uint8), 0)))

    with pytest.raises(RuntimeError, match="sizes should be greater than 0"):
        rollout.play([lambda slot: _episode(slot, 2, 8), wrong_size])


INTERRUPTED = """
import os, signal
import numpy as np
from eyehand.checkpoint import Checkpoint
from eyehand.frame import Frame
from eyehand.player import Observation
from eyehand.players.batched_rollout import BatchedRollout
from eyehand.players.policy import BatchPolicyPlayer
from tiny import TINY, tiny_policy

signal.signal(signal.SIGINT, signal.default_int_handler)
frame = Frame(np.zeros((TINY.frame_size, TINY.frame_size, 3), np.uint8), 0)
ended = []

def part(player, is_interrupting):
    player.reset(0)
    num_ticks = 0
    try:
        for num_ticks in range(3000):
            player.act(Observation(frame))
            if is_interrupting and num_ticks == 3:
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        ended.append(num_ticks)

try:
    rollout = BatchedRollout(BatchPolicyPlayer(Checkpoint(tiny_policy(), "tiny"), 2, threads=1))
    rollout.play([lambda player: part(player, True), lambda player: part(player, False)])
except KeyboardInterrupt:
    print(len(ended), max(ended, default=0) < 2999, flush=True)
"""


def test_ctrl_c_ends_every_part_at_its_next_tick() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "2 True\n", done.stderr


def test_more_games_than_the_batch_holds(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="2 games do not fit into a batch of 1"):
        BatchedRollout(BatchPolicyPlayer(checkpoint, 1, threads=1)).play([lambda slot: None] * 2)
