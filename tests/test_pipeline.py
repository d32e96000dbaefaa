"""The smallest whole run, by the command line, on the real engine: record, inspect, train, resume, play, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eyehand.cli import main
from eyehand.recording.reader import Recording, find_recordings

pytest.importorskip("vizdoom")


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two recordings of each of two tasks, and a policy trained on them for a few steps."""
    folder = tmp_path_factory.mktemp("pipeline")
    data, run = str(folder / "data"), str(folder / "run")
    assert (
        main(["record", "--game", "doom/aim,doom/approach", "--episodes", "2", "--out", data, "--noise-injection", "1"])
        == 0
    )
    options = [
        "--data",
        data,
        "--out",
        run,
        "--batch-size",
        "2",
        "--log-every",
        "1",
        "--augment",
        "0",
        "--device",
        "cpu",
    ]
    assert main(["train", *options, "--steps", "2"]) == 0
    assert main(["train", *options, "--steps", "4", "--resume"]) == 0
    return folder


def test_recordings_are_sound(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings = [Recording.open(folder) for folder in find_recordings(work / "data")]
    assert sorted(recording.info.env_subtype for recording in recordings) == ["aim", "aim", "approach", "approach"]
    assert all(recording.num_frames >= 5 for recording in recordings)
    capsys.readouterr()
    assert main(["inspect", str(work / "data"), "--as-json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_training_went_on_where_it_was(work: Path) -> None:
    steps = [line["step"] for line in _lines(work / "run" / "log.jsonl") if "lr" in line]
    assert steps == [1, 2, 3, 4]


def test_the_policy_plays_live_and_is_recorded(work: Path) -> None:
    out, kept = work / "play", work / "kept"
    options = ["--checkpoint", str(work / "run" / "policy"), "--seconds", "2", "--out", str(out), "--record", str(kept)]
    assert main(["play", "--game", "doom/approach", "--instruction", "go and touch the monster", *options]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["game"] == "doom/approach"
    assert (out / "play.mp4").stat().st_size > 1000
    assert "<svg" in (out / "report.html").read_text()
    recordings = [Recording.open(folder) for folder in find_recordings(kept)]
    assert sum(recording.num_frames for recording in recordings) > 10
    # What a policy does is a system's action: later training sees it and does not learn it.
    assert all(one.user_action(index) is None for one in recordings for index in range(one.num_frames))


def test_the_policy_is_measured_by_playing(work: Path) -> None:
    result = work / "scores.json"
    options = ["--checkpoint", str(work / "run" / "policy"), "--episodes", "1", "--workers", "1", "--json", str(result)]
    assert main(["evaluate", "--game", "doom/aim", *options]) == 0
    players = {episode["player"] for episode in json.loads(result.read_text())["episodes"]}
    assert {"random", "demonstrator"} < players
    assert result.with_suffix(".html").exists()


def test_the_learners_own_play_is_labelled_by_the_expert(work: Path) -> None:
    """DAgger: every tick has a target; the history is what was really done."""
    dagger = work / "dagger"
    policy = str(work / "run" / "policy")
    options = ["--player", policy, "--dagger", "--learner-share", "1", "--episodes", "1"]
    assert main(["record", "--game", "doom/approach", "--out", str(dagger), *options]) == 0
    (folder,) = find_recordings(dagger)
    from eyehand.action_space import P2P

    labels = Recording.open(folder).load_labels(P2P)
    assert labels.target_mask_T[:-1].all()
    assert (labels.executed_TA != labels.target_TA).any()
