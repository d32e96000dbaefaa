"""The gap between recorded and live pictures: zero for the same ones, else the right number; by the command too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import moving_block
from eyehand.checkpoint import save_checkpoint
from eyehand.cli import main
from eyehand.evaluate.clips import PolicyClip
from eyehand.evaluate.gap import late_pictures, measure_gap
from eyehand.evaluate.gap_play import play_and_record, recorded_clips
from eyehand.recording.reader import find_recordings
from tiny import TINY, tiny_policy


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    for seed in range(3):
        moving_block.record(root, seed=seed, num_frames=(40, 3, 12)[seed])
    return root


def dark(clip: PolicyClip) -> np.ndarray:
    return clip.frames_THWC // 2


def test_it_is_the_divergence_of_the_distributions(recordings: Path) -> None:
    policy = tiny_policy()
    clips = recorded_clips(find_recordings(recordings), TINY, 5, seed=0)
    assert {len(clip.known_T) for clip in clips} == {2, 4}  # one recording is shorter than the memory
    same, late, darker = measure_gap(
        policy, clips, {"same": lambda clip: clip.frames_THWC, "late": late_pictures, "dark": dark}
    )
    assert (same.total.mean, same.total.max, same.same, same.psnr_db) == (0, 0, 1, float("inf"))
    assert late.total.mean > 0
    assert darker.brightness == pytest.approx(-np.mean([clip.frames_THWC.mean() / 2 for clip in clips]), abs=0.5)
    expected = []
    for clip in clips:
        logs = []
        for frames_THWC in (clip.frames_THWC, dark(clip)):
            with torch.no_grad():
                logits = policy(
                    torch.from_numpy(frames_THWC).permute(0, 3, 1, 2)[None],
                    torch.from_numpy(clip.text_TND)[None],
                    torch.from_numpy(clip.executed_TA)[None],
                    torch.from_numpy(clip.target_TA)[None],
                )
            logs.append([head[0].log_softmax(-1) for head in logits])
        expected.append(
            sum(
                torch.nn.functional.kl_div(ours, truth, log_target=True, reduction="none").sum((1, 2))
                for truth, ours in zip(*logs, strict=True)
            )
        )
    assert darker.num_frames == sum(len(clip.known_T) for clip in clips)
    assert darker.total.mean == pytest.approx(float(torch.cat(expected).mean()), rel=1e-3)
    assert sum(spread.mean for spread in darker.heads.values()) == pytest.approx(darker.total.mean)


@pytest.mark.slow
def test_played_pictures_are_the_games_own(tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    policy = tiny_policy()
    played = play_and_record("doom/aim", "random", TINY, num_clips=3, seed=3)
    assert len(played.live) == len(played.recorded) == len(played.captured) == 3
    gaps = {gap.name: gap for gap in measure_gap(policy, played.live, {**played.variants(), "late": late_pictures})}
    for name in ("192x192.mp4", "video.mp4"):
        assert gaps[name].psnr_db > 25  # the same moments: coded, not shifted
        assert gaps[name].psnr_db > gaps["late"].psnr_db
        assert gaps[name].total.mean < gaps["late"].total.mean
    again = play_and_record("doom/aim", "random", TINY, num_clips=3, seed=3)
    assert all(
        np.array_equal(one.frames_THWC, other.frames_THWC) for one, other in zip(played.live, again.live, strict=True)
    )


def test_by_the_command(recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = str(save_checkpoint(tmp_path / "tiny", tiny_policy()))
    options = ["--policy", policy, "--clips", "3", "--crf", "6", "30", "--chroma", "420"]
    assert main(["data", "gap", str(recordings), *options, "--as-json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [gap["name"] for gap in shown["gaps"]] == ["CRF 6, 4:2:0", "CRF 30, 4:2:0", "one tick late"]
    assert shown["gaps"][0]["psnr_db"] > shown["gaps"][1]["psnr_db"]
    assert main(["data", "gap", str(recordings), *options]) == 0
    printed = capsys.readouterr().out
    assert "one tick late" in printed
    assert "…" not in printed  # it fits 80 columns
    for wrong in ([], [str(recordings), "--game", "doom/aim"], [str(recordings), "--crf", "99"]):
        assert main(["data", "gap", *wrong, "--policy", policy]) == 2
        assert capsys.readouterr().err.count("\n") == 1
