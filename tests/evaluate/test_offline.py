"""What predictions cost on held-out recordings: known networks give known perplexities."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import moving_block
from eyehand.action_space import P2P
from eyehand.checkpoint import save_checkpoint
from eyehand.cli import main
from eyehand.data.dataset import load_dataset
from eyehand.errors import UserError
from eyehand.evaluate.offline import evaluate_offline, print_offline
from eyehand.train.validation import HeldOut
from tiny import TINY, tiny_policy

CONFIG = replace(TINY, frame_size=192)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two recordings to learn from, one to predict."""
    root = tmp_path_factory.mktemp("recordings")
    for seed in (0, 1):
        moving_block.record(root / "train", seed=seed, num_frames=40)
    moving_block.record(root / "test", seed=2, num_frames=31)
    return root / "train", root / "test"


@pytest.fixture(scope="module")
def ignorant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that knows nothing: every token is as likely as any other."""
    policy = tiny_policy(CONFIG)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if name.startswith("heads."):
                parameter.zero_()
    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "ignorant", policy)


def test_a_network_that_knows_nothing_is_as_perplexed_as_there_are_choices(
    folders: tuple[Path, Path], ignorant: Path
) -> None:
    train, test = folders
    seen: list[tuple[int, int]] = []
    report = evaluate_offline(
        str(ignorant), [test], [train], device="cpu", progress=lambda what, done, total: seen.append((done, total))
    )
    assert report.num_recordings == 1
    assert report.num_steps == 30  # 31 frames; on the last one nothing is known to be done
    num_choices = {head.name: head.num_choices for head in P2P.heads}
    assert report.scores["policy"].perplexity == pytest.approx(num_choices, rel=1e-3)
    assert report.scores["policy"].loss == pytest.approx(len(P2P.heads), rel=1e-3)
    assert seen[-1] == (8, 8)  # clips of 4 steps each


def test_baselines_count_in_the_training_data(folders: tuple[Path, Path], ignorant: Path) -> None:
    train, test = folders
    scores = evaluate_offline(str(ignorant), [test], [train], device="cpu").scores
    data = load_dataset([train, test], P2P)
    by_folder: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for episode in data.episodes:
        by_folder[episode.path.parent.name].append(data.loaded().target_NA[episode.first_step :][: episode.num_steps])
    counted_NA, predicted_NA = (torch.cat([torch.from_numpy(a) for a in by_folder[name]]) for name in ("train", "test"))
    cost = 0.0
    for slot in range(2):  # the two slots of the mouse buttons
        counts = torch.bincount(counted_NA[:, 4 + slot].long(), minlength=4) + 1.0
        cost -= (counts / counts.sum()).log()[predicted_NA[:, 4 + slot].long()].mean().item() / 2
    assert scores["marginal"].perplexity["buttons"] == pytest.approx(math.exp(cost))
    # The block stays for up to five frames, so repeating the last action beats knowing how common each is.
    assert scores["copy_last"].perplexity["keys"] < scores["marginal"].perplexity["keys"]


def test_decoding_anew_gives_what_kept_pictures_give(folders: tuple[Path, Path]) -> None:
    data = load_dataset([folders[1]], P2P)
    text_MND = torch.zeros(len(data.instructions), TINY.num_text_tokens, TINY.text_dim)
    autocast = torch.autocast("cpu", enabled=False)
    kept, anew = (HeldOut(data, 4, 3, 100, is_kept=is_kept) for is_kept in (True, False))
    scores = [held.evaluate(tiny_policy(CONFIG), text_MND, autocast) for held in (kept, kept, anew, anew)]
    assert all(each == scores[0] for each in scores[1:])


def test_recordings_that_are_in_both_parts_are_refused(folders: tuple[Path, Path], ignorant: Path) -> None:
    with pytest.raises(UserError, match=r"2 of the recordings .* not held out"):
        evaluate_offline(str(ignorant), folders, [folders[0]], device="cpu")


def test_the_command_writes_json_and_shows_a_table(
    folders: tuple[Path, Path], ignorant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "offline.json"
    train, test = map(str, folders)
    command = ["evaluate", "--checkpoint", str(ignorant), "--data", test, "--baseline-data", train, "--device", "cpu"]
    assert main([*command, "--json", str(out)]) == 0
    assert "perplexity of 30 actions in 1 recording" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["policy"]["perplexity"]["dx"] == pytest.approx(23, rel=1e-3)
    assert set(found) >= {"checkpoint", "data", "baseline_data", "num_steps", "marginal", "copy_last"}


def test_predictions_need_a_predictor(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--data", str(folders[1])]) == 2
    assert "--checkpoint" in capsys.readouterr().err


def test_baselines_that_counted_what_they_predict_are_marked(folders: tuple[Path, Path], ignorant: Path) -> None:
    text = io.StringIO()
    print_offline(evaluate_offline(str(ignorant), [folders[1]], device="cpu"), Console(file=text, width=120))
    assert "very recordings that they predict" in text.getvalue()
