"""Likelihood under a policy: the right number, the right recordings left out, the same clips every time."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import moving_block
from eyehand.checkpoint import save_checkpoint
from eyehand.cli import main
from eyehand.data.decisions import read_decisions
from eyehand.data.index import read_index
from eyehand.evaluate.clips import log_probabilities, read_policy_clips
from eyehand.evaluate.likelihood import Likelihood
from eyehand.recording.reader import Recording
from eyehand.train.losses import behaviour_cloning_loss
from tiny import TINY, tiny_policy

KEYS_HEAD = 0


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(4):
        moving_block.record(root, seed=seed)
    moving_block.record(root, seed=9, by_user=False)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that is nearly certain that no key is held."""
    policy = tiny_policy()
    with torch.no_grad():
        policy.head(KEYS_HEAD).bias[0] += 20
    return save_checkpoint(tmp_path_factory.mktemp("runs") / "tiny", policy, dtype="float32")


def test_it_is_what_the_loss_says(recordings: Path, checkpoint: Path) -> None:
    scorer = Likelihood.of(str(checkpoint), num_clips=3, seed=5)
    policy = tiny_policy()
    with torch.no_grad():
        policy.head(KEYS_HEAD).bias[0] += 20
    with Recording.open(recordings / "block-000") as recording:
        clips = read_policy_clips(recording, TINY, 3, 5)
        assert len(clips) == 3
        for clip in clips:
            here = slice(clip.start, clip.start + TINY.history_steps)
            assert np.array_equal(clip.target_TA, recording.load_labels(TINY.space).target_TA[here])
        target_BTA = torch.from_numpy(np.stack([clip.target_TA for clip in clips]))
        logits = policy(
            torch.from_numpy(np.stack([clip.frames_THWC for clip in clips])).permute(0, 1, 4, 2, 3),
            torch.from_numpy(np.stack([clip.text_TND for clip in clips])),
            torch.from_numpy(np.stack([clip.executed_TA for clip in clips])),
            target_BTA,
        )
        known_BT = torch.from_numpy(np.stack([clip.known_T for clip in clips]))
        losses = behaviour_cloning_loss(logits, target_BTA, known_BT, TINY.space.heads)
        slots = [head.num_slots for head in TINY.space.heads]
        nats = sum(entropy * n for entropy, n in zip(losses.cross_entropy_H.tolist(), slots, strict=True))
        assert scorer(recording) == pytest.approx(math.exp(-nats), rel=1e-4)
        for outputs in log_probabilities(policy, clips):
            assert all(torch.allclose(head.exp().sum(-1), torch.ones(1), atol=1e-5) for head in outputs)


def test_clips_follow_from_seed_and_recording_alone(recordings: Path) -> None:
    def starts(name: str, seed: int) -> list[int]:
        with Recording.open(recordings / name) as recording:
            return [clip.start for clip in read_policy_clips(recording, TINY, 5, seed)]

    first = starts("block-000", 0)
    assert first == starts("block-000", 0)
    assert first != starts("block-000", 1)
    assert first != starts("block-001", 0)
    assert all(later - earlier >= TINY.history_steps for earlier, later in pairwise(first))


def test_nothing_can_be_said_of_a_system_that_nobody_labelled(recordings: Path, checkpoint: Path) -> None:
    with Recording.open(recordings / "block-009") as recording:
        assert Likelihood.of(str(checkpoint))(recording) is None


def test_unlikely_recordings_are_left_out_and_queued(
    recordings: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index.parquet"
    assert main(["data", "index", str(recordings), "--out", str(index), "--workers", "1"]) == 0
    options = ["--policy", str(checkpoint), "--max-key-share", "1", "--clips", "99", "--workers", "1", "--as-json"]
    capsys.readouterr()
    assert main(["data", "check", str(index), *options]) == 0
    shown = {each["id"]: each["likelihood"] for each in json.loads(capsys.readouterr().out)}
    assert shown.pop("block-009") is None
    values = sorted(shown.values())
    assert values[0] < values[-1] < 1  # the less a key is held, the likelier
    middle = str((values[1] + values[2]) / 2)
    assert main(["data", "check", str(index), *options, "--least-likelihood", middle]) == 0
    left_out = [each["id"] for each in json.loads(capsys.readouterr().out) if each["reasons"]]
    assert left_out == [key for key in sorted(shown) if shown[key] < float(middle)]
    decided = read_decisions(index.with_name("index.parquet.checked.json"))
    assert sorted(each.id for each in decided.values() if each.choice == "leave out") == left_out
    assert [row.id for row in read_index(index, f"likelihood < {middle}")] == left_out
    errors = [row.error for row in read_index(index) if row.error is not None]
    assert len(errors) == 2
    assert all("likelihood of only" in error for error in errors)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--least-likelihood", "0.1"], "does nothing without --policy"),
        (["--policy", "none"], "There is no checkpoint 'none'"),
        (["--policy", "pocket-doom", "--least-likelihood", "2"], "between 0 and 1"),
    ],
)
def test_mistakes_are_said(recordings: Path, capsys: pytest.CaptureFixture[str], options, sentence) -> None:
    assert main(["data", "check", str(recordings), *options]) == 2
    assert sentence in capsys.readouterr().err
