"""The loop on real recordings: it learns to look, it survives a kill, and it says what is wrong."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

import moving_block
from eyehand.checkpoint import load_checkpoint
from eyehand.data.dataset import load_dataset
from eyehand.errors import UserError
from eyehand.model.policy import Policy
from eyehand.model.presets import PRESETS
from eyehand.model.vision import EfficientNetTrunk
from eyehand.model.vision_weights import torchvision_name
from eyehand.train.log import LOG_FILE, read_log
from eyehand.train.loop import train
from eyehand.train.report import REPORT_FILE
from eyehand.train.sizes import try_step
from eyehand.train.state import STATE_FILE, TrainingState, save_state
from eyehand.train.train_config import TrainConfig


def config(recordings: Path, out: Path, **options: object) -> TrainConfig:
    quick = TrainConfig(
        *((recordings,), out, "tiny"),
        steps=6,
        batch_size=2,
        workers=1,
        device="cpu",
        log_every=1,
        eval_clips=4,
    )
    return replace(quick, **options)  # type: ignore[arg-type]


def losses(run: Path) -> list[tuple[int, float]]:
    return [(record["step"], record["loss"]) for record in read_log(run) if record["kind"] == "train"]


def test_it_learns_what_only_the_picture_tells(recordings: Path, tmp_path: Path) -> None:
    run = config(
        *(recordings, tmp_path),
        steps=80,
        batch_size=6,
        lr=5e-3,
        augment=0.0,
        ema_decay=0.9,
        eval_every=1000,
    )
    result = train(run)
    records = {record["kind"]: record for record in read_log(tmp_path)}
    blind = min(records["baselines"][name]["perplexity"]["keys"] for name in ("marginal", "copy_last"))
    assert result.is_finished
    assert result.held_out is not None
    assert result.held_out.perplexity["keys"] < 1 + 0.5 * (blind - 1)
    assert result.held_out.perplexity["buttons"] < 1.1
    assert records["eval"]["loss"] == pytest.approx(result.held_out.loss)
    checkpoint = load_checkpoint(result.policy)
    assert checkpoint.facts["step"] == 80
    assert sum(p.numel() for p in checkpoint.policy.parameters()) == checkpoint.policy.num_parameters


def test_logs_hold_what_they_promise(recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(config(recordings, tmp_path, steps=12))
    said = capsys.readouterr().err
    for expected in (
        " frames of 5 recordings held out",
        "it will take about ",
        "tensorboard --logdir",
        "watch it play: ",
    ):
        assert expected in said
    page = (tmp_path / REPORT_FILE).read_text()
    for expected in (
        "guessing ",
        "repeating ",
        "did: ",
        "would: ",
        "data:image/jpeg",
        "Is it learning?",
        "--checkpoint",
    ):
        assert expected in page
    assert "location.reload" not in page  # it is over
    assert {path.name for path in (tmp_path / "tensorboard").iterdir() if path.is_dir()} == {"marginal", "copy_last"}
    record = next(record for record in read_log(tmp_path) if record["kind"] == "train")
    assert set(record["perplexity"]) == {"keys", "buttons", "dx", "dy"}
    assert {"loss", "lr", "grad_norm", "frames_per_s", "data_wait_share", "elapsed_s"} <= set(record)
    assert list((tmp_path / "tensorboard").iterdir())
    assert json.loads((tmp_path / "config.json").read_text())["preset"] == "tiny"


def test_the_same_seed_gives_the_same_losses_whatever_the_workers(recordings: Path, tmp_path: Path) -> None:
    train(config(recordings, tmp_path / "a", steps=4, workers=0))
    train(config(recordings, tmp_path / "b", steps=4, workers=2, cache_frames_gb=1.0))
    train(config(recordings, tmp_path / "c", steps=4, seed=1))
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


SCRIPT = """
import os, signal, sys, torch
from pathlib import Path
from types import SimpleNamespace
sys.path[:0] = {paths!r}
from conftest import tiny
from eyehand.model.presets import PRESETS
from eyehand.train.train_config import TrainConfig
from eyehand.train.log import RunLog
from eyehand.train.loop import train
from eyehand.train.report import REPORT_FILE
torch.set_num_threads(1)
PRESETS["tiny"] = tiny
show = RunLog.show
def show_and_stop(log, step, *rest):
    show(log, step, *rest)
    if step == {stop_at!r}:
        os.kill(os.getpid(), signal.SIGTERM)
RunLog.show = show_and_stop
result = train(TrainConfig((Path({data!r}),), Path({out!r}), "tiny", steps=10, batch_size=2, workers=1, device="cpu",
                           log_every=2, eval_clips=4, eval_every=5, checkpoint_every=3, keep=1))
print(result.step, result.is_finished, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""


def start(recordings: Path, out: Path, stop_at: int | None = None) -> subprocess.Popen[str]:
    """A run of ten steps in a process of its own, which sends itself SIGTERM at step `stop_at`."""
    here = Path(__file__).parent
    script = SCRIPT.format(paths=[str(here), str(here.parent)], data=str(recordings), out=str(out), stop_at=stop_at)
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def resumed(recordings: Path, out: Path) -> TrainConfig:
    return config(recordings, out, steps=10, log_every=2, eval_every=5, checkpoint_every=3, keep=1, resume=True)


def wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while not any(record["step"] >= step for record in read_log(out)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_and_resumed_it_has_the_losses_of_a_run_that_was_not(recordings: Path, tmp_path: Path) -> None:
    train(replace(resumed(recordings, tmp_path / "whole"), resume=False))
    process = start(recordings, tmp_path / "killed")
    wait_for_step(process, tmp_path / "killed", 6)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    reached = torch.load(tmp_path / "killed" / STATE_FILE, weights_only=True)["step"]
    assert reached < 10, "it was over before it could be killed"
    result = train(resumed(recordings, tmp_path / "killed"))
    assert result.step == 10
    for kind in ("train", "eval"):
        whole, killed = (
            [{**record, **dict.fromkeys(("time_s", "elapsed_s", "frames_per_s", "data_wait_share"))}
             for record in read_log(tmp_path / name) if record["kind"] == kind]
            for name in ("whole", "killed")
        )  # fmt: skip
        assert [record["step"] for record in whole] == ([2, 4, 6, 8, 10] if kind == "train" else [5, 10])
        assert killed == whole
    weights = [load_checkpoint(tmp_path / name / "policy").policy.state_dict() for name in ("whole", "killed")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()] == ["step-00000010"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_polite_stop_saves_and_can_be_resumed(recordings: Path, tmp_path: Path) -> None:
    process = start(recordings, tmp_path, stop_at=4)
    told, problems = process.communicate()
    assert process.returncode == 0, problems
    assert told.split()[-3:] == ["4", "False", "True"]
    assert load_checkpoint(tmp_path / "policy").facts["step"] == 4
    assert train(resumed(recordings, tmp_path)).is_finished
    assert [step for step, _ in losses(tmp_path)] == [2, 4, 6, 8, 10]


def test_a_kill_while_it_is_saved_leaves_no_policy_older_than_the_state(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(run: Path, state: TrainingState) -> None:
        save_state(run, state)
        if state.step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("eyehand.train.loop.save_state", save)
    run = config(recordings, tmp_path, steps=4, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        train(run)
    result = train(replace(run, resume=True))
    assert load_checkpoint(result.policy).facts["step"] == result.step == 4


def test_a_line_that_a_kill_cut_off_is_no_obstacle(recordings: Path, tmp_path: Path) -> None:
    train(config(recordings, tmp_path, steps=2))
    with (tmp_path / LOG_FILE).open("a") as file:
        file.write('{"kind": "train", "st')
    train(config(recordings, tmp_path, steps=3, resume=True))
    assert [step for step, _ in losses(tmp_path)] == [1, 2, 3]


@pytest.mark.slow
def test_measuring_a_step_leaves_the_policy_as_it_was(recordings: Path) -> None:
    """Also the statistics of BatchNorm, and whatever fits into memory is measured to be so."""
    policy = Policy(replace(PRESETS["tiny"](), vision="p2p", vision_widths=()))
    dataset = load_dataset([recordings], policy.space)
    with torch.no_grad():  # at another length than the trial will have last: masks are kept for the next step
        tokens = torch.zeros(1, 3, policy.space.num_slots, dtype=torch.int64)
        policy(torch.zeros(1, 3, 3, 192, 192, dtype=torch.uint8), torch.zeros(1, 3, 1, 256), tokens, tokens)
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    assert any("running_mean" in name for name in before)
    trial = try_step(policy, dataset, torch.device("cpu"), torch.autocast("cpu", enabled=False), augmentation=1.0)
    assert trial.frames_per_s > 0
    assert 10 < trial.most_frames < 1e6
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_threads_of_a_training_sleep_while_they_wait(tmp_path: Path) -> None:
    """OpenMP reads how they wait when PyTorch is imported; spinning, they take the core of whoever else works."""
    code = (
        "import os, sys\n"
        "seen = []\n"
        "def hear(event, args):\n"
        "    if event == 'import' and args[0] == 'torch' and not seen:\n"
        "        seen.append(os.environ.get('OMP_WAIT_POLICY'))\n"
        "sys.addaudithook(hear)\n"
        "from eyehand.cli import main\n"
        f"main(['train', '--data', {str(tmp_path)!r}, '--out', {str(tmp_path / 'run')!r}])\n"
        "print(seen)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "['passive']\n", told


def test_fine_tuning_starts_from_the_checkpoint(recordings: Path, tmp_path: Path) -> None:
    first = train(config(recordings, tmp_path / "a", steps=3, ema_decay=0.0))
    second = train(config(recordings, tmp_path / "b", steps=1, lr=1e-12, ema_decay=0.0, init_from=first.policy))
    before, after = (load_checkpoint(result.policy).policy.state_dict() for result in (first, second))
    name = "image_encoder.linear.weight"
    torch.testing.assert_close(before[name], after[name])


def test_short_clips_are_learnt_from_and_judged_with_the_whole_history(recordings: Path, tmp_path: Path) -> None:
    result = train(config(recordings, tmp_path / "short", steps=4, clip_steps=2, keys_weight=3.0))
    checkpoint = load_checkpoint(result.policy)
    assert checkpoint.facts["frames_seen"] == 4 * 2 * 2
    assert checkpoint.config.history_steps > 2
    assert result.held_out is not None
    whole = train(config(recordings, tmp_path / "whole", steps=1, lr=1e-12, ema_decay=0.0, init_from=result.policy))
    assert whole.held_out is not None
    assert result.held_out.loss == pytest.approx(whole.held_out.loss, rel=1e-2)


@pytest.mark.slow
@pytest.mark.needs("g++")  # torch.compile
def test_a_compiled_network_learns_the_same(recordings: Path, tmp_path: Path) -> None:
    options = {"steps": 3, "clip_steps": 4, "augment": 0.0}
    plain = train(config(recordings, tmp_path / "plain", **options))
    compiled = train(config(recordings, tmp_path / "compiled", compile=True, **options))
    assert plain.held_out is not None
    assert compiled.held_out is not None
    assert compiled.held_out.loss == pytest.approx(plain.held_out.loss, rel=2e-2)


def test_the_clock_can_be_the_budget(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes whenever the loop looks at the clock; of the 60 steps that it may do there is time for a few."""
    seconds = itertools.count()
    monkeypatch.setattr("eyehand.train.loop.time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    result = train(config(recordings, tmp_path / "minute", steps=60, minutes=1.0))
    assert result.is_finished
    assert 5 < result.step < 30
    result = train(config(recordings, tmp_path / "none", steps=None, minutes=1e-9))
    assert (result.step, result.is_finished) == (0, True)
    assert load_checkpoint(result.policy).facts["step"] == 0


def test_without_held_out_recordings_it_trains_all_the_same(tmp_path: Path) -> None:
    moving_block.record(tmp_path / "one", seed=0, num_frames=12)
    result = train(config(tmp_path / "one", tmp_path / "run", steps=2, held_out=0.0))
    assert result.held_out is None
    assert load_checkpoint(result.policy).facts["step"] == 2


def test_wrong_use_is_the_users_error(recordings: Path, tmp_path: Path) -> None:
    def refused(match: str, **options: object) -> None:
        with pytest.raises(UserError, match=match):
            train(config(*(recordings, tmp_path / "run"), **options))

    refused("Unknown preset 'huge'", preset="huge")
    refused("no run to resume", resume=True)
    refused("no recordings", data=(tmp_path,))
    assert not (tmp_path / "run").exists()
    train(config(recordings, tmp_path / "run", steps=1))
    refused("already holds a run")
    refused(r"started with seed = 0, not 5", resume=True, seed=5)
    (tmp_path / "run" / STATE_FILE).write_bytes(b"")
    refused("damaged", resume=True)


def test_published_weights_are_where_a_trained_trunk_begins(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        PRESETS, "tiny-p2p", lambda: replace(PRESETS["tiny"](), vision="p2p", text_encoder="gemma", text_dim=768)
    )
    weights = {f"features.{torchvision_name(n)}": t + 0.5 for n, t in EfficientNetTrunk().state_dict().items()}
    weights["features.0.0.weight"] = torch.full((32, 3, 3, 3), 0.25)
    file = tmp_path / "b0.safetensors"
    save_file(weights, file)
    quick = {"steps": 1, "batch_size": 1, "clip_steps": 1, "eval_clips": 1, "lr": 1e-9}
    run = config(recordings, tmp_path / "run", preset="tiny-p2p", text_encoder="wordllama", **quick)
    with pytest.raises(UserError, match="There is no file"):
        train(replace(run, trunk="p2p:no/such.safetensors", train_trunk=True))
    policy = load_checkpoint(train(replace(run, trunk=f"p2p:{file}", train_trunk=True)).policy).policy
    assert (policy.config.text_encoder, policy.config.text_dim) == ("wordllama", 256)
    torch.testing.assert_close(
        policy.image_encoder.state_dict()["trunk.stem.conv.weight"], weights["features.0.0.weight"]
    )
    assert not list(recordings.glob(".features"))
    for trunk, match in (
        ("p2p", "write p2p:FILE"),
        ("pocket", "no published"),
        ("lite0:big", "write lite0"),
        ("lite1", "no trunk 'lite1'"),
    ):
        with pytest.raises(UserError, match=match):
            train(config(recordings, tmp_path / "other", trunk=trunk))


def test_a_kill_between_state_and_policy_leaves_no_older_policy(recordings: Path, tmp_path: Path) -> None:
    run = config(recordings, tmp_path / "run", steps=4, checkpoint_every=2, keep=2)
    policy = train(run).policy
    finished = (policy / "weights.safetensors").read_bytes()
    shutil.rmtree(policy)
    shutil.copytree(tmp_path / "run" / "checkpoints" / "step-00000002", policy)
    train(replace(run, resume=True))
    assert (policy / "weights.safetensors").read_bytes() == finished
    assert load_checkpoint(policy).facts["step"] == 4
