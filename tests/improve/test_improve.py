"""Self-improvement in Doom: what is kept and learnt from, what is accepted, and that a killed run goes on."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eyehand.checkpoint import load_checkpoint, save_checkpoint
from eyehand.collect.episodes import EpisodeRecord, collect
from eyehand.collect.record_options import CollectOptions
from eyehand.errors import UserError
from eyehand.improve.loop import better_than_the_mean, improve, read_rounds
from eyehand.improve.options import ImproveOptions
from eyehand.improve.report import round_rows
from eyehand.improve.round import Round
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from eyehand.recording.reader import Recording, find_recordings
from patience import wait_until


def episode(start: int, score: float, game: str = "doom/aim") -> EpisodeRecord:
    return EpisodeRecord(game, start, score, 10, f"{game}/{start}/{score}")


def test_the_best_of_a_start_is_kept_if_it_is_better_than_their_mean() -> None:
    episodes = [episode(1, 3.0), episode(1, 5.0), episode(1, 4.0), episode(2, 7.0), episode(2, 7.0)]
    episodes += [episode(1, 0.5, "doom/line"), episode(1, 0.0, "doom/line")]
    assert better_than_the_mean(episodes) == [episodes[1], episodes[5]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that acts at random, and so differently every time."""
    torch.manual_seed(0)
    config = replace(
        preset("pocket"), width=48, num_layers=1, ffn_hidden=32, history_steps=8, vision_widths=(8, 8, 8, 8)
    )
    return save_checkpoint(tmp_path_factory.mktemp("policies") / "random", Policy(config), temperature=0.7)


def test_several_tries_begin_alike_and_are_labelled_by_what_was_done(policy: Path, tmp_path: Path) -> None:
    options = CollectOptions(
        games=("doom/aim",), out=tmp_path, player=str(policy), episodes=6, tries=3, learns_itself=True, seed=70
    )
    done = list(collect(replace(options, noise_injection=0.0)))
    assert sorted(each.seed for each in done) == [70, 70, 70, 71, 71, 71]
    firsts, actions = {}, set()
    for each in done:
        with Recording.open(each.folder) as recording:
            assert recording.info.seed == each.seed
            assert all(recording.user_action(i) == recording.executed(i) for i in range(recording.num_frames - 1))
            firsts.setdefault(each.seed, set()).add(recording.decode_clip(0, 1).tobytes())
            actions.add(tuple(recording.executed(i) for i in range(min(5, recording.num_frames - 1))))
    assert [len(pictures) for pictures in firsts.values()] == [1, 1]
    assert len(actions) == 6


def options(policy: Path, out: Path, **changes: object) -> ImproveOptions:
    small = ImproveOptions(
        checkpoint=str(policy),
        game="doom/aim",
        out=out,
        rounds=1,
        starts=2,
        tries=3,
        minutes=0.02,
        validation=2,
        workers=1,
    )
    return replace(small, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one round."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert improve(options(policy, out)) == read_rounds(out)
    return out


def test_a_round_learns_from_what_it_kept(policy: Path, finished: Path) -> None:
    rounds = read_rounds(finished)
    assert [each.number for each in rounds] == [0, 1]
    assert rounds[1].num_played == 6
    folders = find_recordings(finished / "round-1" / "play")
    assert len(folders) == rounds[1].num_kept > 0
    facts = load_checkpoint(finished / "round-1" / "train" / "policy").facts
    assert facts["recordings"] == rounds[1].num_kept
    best = load_checkpoint(finished / "policy")
    assert best.temperature == 0.7
    expected = load_checkpoint(finished / "round-1" / "train" / "policy" if rounds[1].is_accepted else policy)
    for name, tensor in expected.policy.state_dict().items():
        assert torch.equal(best.policy.state_dict()[name], tensor), name
    assert "round 1" in (finished / "report.html").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="was started with starts = 2, not 3"):
        improve(options(policy, finished, starts=3))


def test_a_run_that_was_killed_before_it_was_noted_goes_on(
    policy: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(wanted: CollectOptions) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eyehand.improve.loop.collect", stop)
    out = shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("round-1", "improve.json"))
    validated = (out / "validation.json").stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):
        improve(options(policy, out))
    assert read_rounds(out) == read_rounds(finished)[:1]
    assert (out / "validation.json").stat().st_mtime_ns == validated
    for name in ("improve.json", "validation.json"):
        (out / name).unlink()
    with pytest.raises(UserError, match="is not empty"):  # a policy, but whose?
        improve(options(policy, out))


def test_a_run_may_be_moved(policy: Path, finished: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(finished, tmp_path / "moved")
    assert improve(options(policy, moved)) == read_rounds(finished)


@pytest.mark.slow
def test_more_rounds_go_on_from_the_last(policy: Path, finished: Path, tmp_path: Path) -> None:
    again = improve(options(policy, shutil.copytree(finished, tmp_path / "run"), rounds=2))
    assert [each.number for each in again] == [0, 1, 2]
    assert again[:2] == read_rounds(finished)


def test_scores_stand_below_their_games() -> None:
    rounds = [Round(0, {"doom/aim": (1.0,), "doom/line": (2.0,)}), Round(1, {"doom/line": (4.0,), "doom/aim": (3.0,)})]
    assert [row[2:4] for row in round_rows(rounds)] == [
        ["1.0 [1.0, 1.0]", "2.0 [2.0, 2.0]"],
        ["3.0 [3.0, 3.0]", "4.0 [4.0, 4.0]"],
    ]


@pytest.mark.slow
def test_labels_of_the_demonstrator_are_learnt_from_too(policy: Path, tmp_path: Path) -> None:
    rounds = improve(options(policy, tmp_path / "run", dagger=True, starts=1, tries=2, validation=1))
    dagger = find_recordings(tmp_path / "run" / "round-1" / "dagger")
    assert len(dagger) == 1
    facts = load_checkpoint(tmp_path / "run" / "round-1" / "train" / "policy").facts
    assert facts["recordings"] == rounds[1].num_kept + 1


@pytest.mark.slow  # ten seconds and more
def test_a_killed_run_goes_on_with_the_step_that_was_not_finished(policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "eyehand", "improve", "--checkpoint", policy, "--game", "doom/aim", "--out", out]
    command += ["--rounds=1", "--starts=1", "--tries=3", "--minutes=0.02", "--validation=1", "--workers=1"]
    process = subprocess.Popen(command)
    wait_until(
        lambda: (out / "round-1" / "episodes.json").exists() or process.poll() is not None, "the round is played"
    )
    process.send_signal(signal.SIGKILL)
    process.wait()
    played = (out / "round-1" / "episodes.json").read_text()
    assert len(read_rounds(out)) == 1
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "round-1" / "episodes.json").read_text() == played
    assert len(json.loads((out / "improve.json").read_text())["rounds"]) == 2
    assert "is the best policy" in done.stdout


def test_what_cannot_work_is_said_before_anything_is_played(policy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--tries is 1"):
        options(policy, tmp_path / "run", tries=1)
    with pytest.raises(UserError, match="--rounds is 0"):
        options(policy, tmp_path / "run", rounds=0)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("")
    with pytest.raises(UserError, match="is not empty"):
        improve(options(policy, full))
    with pytest.raises(UserError, match="There is no checkpoint"):
        improve(options(tmp_path / "nobody", tmp_path / "other"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "improve.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        improve(options(policy, tmp_path / "broken"))
