"""Policies as players: seeded, fed with what was executed, following the instruction, alone or in a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eyehand.action import NOTHING, Action
from eyehand.checkpoint import Checkpoint, save_checkpoint
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.games.families import open_game
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from eyehand.player import Decision, Observation
from eyehand.players.batched_rollout import rollout_of
from eyehand.players.kinds import open_player
from eyehand.players.policy import BatchPolicyPlayer, PolicyPlayer

CONFIG = replace(
    preset("medium"), history_steps=4, frame_size=32, width=32, num_layers=2, ffn_hidden=32, vision_widths=(8, 8, 8, 8),
    decoder_ffn_hidden=32,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = Policy(CONFIG).eval()
        with torch.no_grad():
            for head in policy.heads:
                head.weight.mul_(10)  # decided enough for what it sees to matter
            policy.image_encoder.linear.weight.mul_(100)
    return Checkpoint(policy, "tiny")


def _frames(seed: int, num: int = 10) -> list[Frame]:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (num, 1, 1, 3), dtype=np.uint8)
    return [Frame(np.broadcast_to(colour, (40, 60, 3)), index) for index, colour in enumerate(colours)]


def _play(player: PolicyPlayer, seed: int, *, frames: int = 0, text: str | None = None) -> list[Action]:
    """An episode in which everything that is decided is executed."""
    player.reset(seed)
    actions = [NOTHING]
    for frame in _frames(frames):
        decision = player.act(Observation(frame, text, actions[-1]))
        assert decision == Decision(decision.action, by_user=False, label=None)
        actions.append(decision.action)
    return actions[1:]


def test_an_episode_depends_on_seed_picture_and_instruction_alone(checkpoint: Checkpoint) -> None:
    player = PolicyPlayer(checkpoint)
    first = _play(player, 3)
    assert _play(player, 3) == first
    assert _play(PolicyPlayer(checkpoint), 3) == first
    assert _play(player, 4) != first
    assert _play(player, 3, frames=1) != first
    assert _play(player, 3, text="shoot the monster") != first
    assert _play(player, 3) == first


def test_what_was_executed_is_what_counts(checkpoint: Checkpoint) -> None:
    """The same pictures and random numbers, but another executed action: other decisions follow."""
    player = PolicyPlayer(checkpoint)
    decisions = []
    for executed in (NOTHING, Action.of(keys=["w", "d"], buttons=["0"], dx=120)):
        player.reset(0)
        decisions.append([player.act(Observation(frame, None, executed)).action for frame in _frames(0)])
    assert decisions[0][0] == decisions[1][0]  # what was done before an episode is no part of it
    assert decisions[0] != decisions[1]


def test_temperature_zero_ignores_the_seed(checkpoint: Checkpoint) -> None:
    player = PolicyPlayer(checkpoint, temperature=0.0, mouse_sampling="mean")
    assert _play(player, 1) == _play(player, 2)


def test_batch_equals_single_games(checkpoint: Checkpoint) -> None:
    """Three games begun at different times, one of them waiting in between and one begun again."""
    batch = BatchPolicyPlayer(checkpoint, 3)
    texts = (None, "turn left", "turn right")
    begins, frames = (0, 2, 5), [_frames(10 + game, 14) for game in range(3)]
    got: dict[int, list[Action]] = {game: [] for game in range(3)}
    for tick in range(12):
        observations: list[Observation | None] = []
        for game in range(3):
            if tick == begins[game]:
                batch.reset(game, seed=game)
                got[game] = []
            executed = got[game][-1] if got[game] else NOTHING
            waits = tick < begins[game] and game == 2
            observations.append(None if waits else Observation(frames[game][tick], texts[game], executed))
        for game, decision in enumerate(batch.act(observations)):
            got[game].append(decision.action)
    for game in range(3):
        single = PolicyPlayer(checkpoint)
        single.reset(game)
        actions: list[Action] = []
        for tick in range(begins[game], 12):
            executed = actions[-1] if actions else NOTHING
            actions.append(single.act(Observation(frames[game][tick], texts[game], executed)).action)
        assert got[game] == actions, game


def test_warm_up_leaves_no_trace(checkpoint: Checkpoint) -> None:
    player, warmed = PolicyPlayer(checkpoint), PolicyPlayer(checkpoint)
    warmed.warm_up()
    assert _play(warmed, 5) == _play(player, 5)


def test_stages_are_timed(checkpoint: Checkpoint) -> None:
    player = PolicyPlayer(checkpoint)
    _play(player, 0)
    assert list(player.stage_ms) == ["resize", "vision", "backbone", "decoder"]
    assert all(value > 0 for value in player.stage_ms.values())


def test_one_thread_is_used_in_whichever_thread_acts(checkpoint: Checkpoint) -> None:
    torch.set_num_threads(2)
    _play(PolicyPlayer(checkpoint, threads=1), 0)
    assert torch.get_num_threads() == 1


def test_an_encoder_that_is_not_here_is_missed_only_when_needed(checkpoint: Checkpoint) -> None:
    foreign = Checkpoint(Policy(replace(CONFIG, text_encoder="gemma")).eval(), "foreign")
    player = PolicyPlayer(foreign)
    player.warm_up()
    player.reset(0)
    player.act(Observation(_frames(0)[0]))
    with pytest.raises(UserError, match="'gemma' is not available"):
        player.act(Observation(_frames(0)[0], "go"))


@pytest.mark.parametrize(("options", "message"), [({"temperature": -1.0}, "temperature"), ({"top_p": 0.0}, "Top-p")])
def test_impossible_options(checkpoint: Checkpoint, options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PolicyPlayer(checkpoint, **options)  # type: ignore[arg-type]


def test_a_game_of_another_rate_than_the_checkpoints_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    slow = save_checkpoint(tmp_path / "slow", checkpoint.policy, fps=10)
    game = open_game("doom/aim")
    with pytest.raises(UserError, match="slow was trained on 10 ticks a second and doom/aim has 20"):
        open_player(str(slow), game)
    parts = [lambda player: player.at(game)]
    with pytest.raises(UserError, match="trained on 10 ticks a second"):
        rollout_of(str(slow), 1).play(parts)
