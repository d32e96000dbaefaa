"""`eyehand checkpoint` as a user meets it: info, import, verify, export, and how each ends."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from eyehand.checkpoint import save_checkpoint
from eyehand.cli import main
from eyehand.commands.checkpoint import Export, Import, Info, Verify
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from reference_file import write_reference

SHARED = Path(os.environ.get("EYEHAND_SHARED", Path(__file__).parents[2].parent / "shared"))
FIXTURE = SHARED / "fixtures" / "p2p_a"
needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_dir(), reason="the reference's weights are not here (set EYEHAND_SHARED)"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `policy.ckpt` of the reference's kind and a checkpoint `pocket` of ours."""
    folder = tmp_path_factory.mktemp("made")
    write_reference(folder)
    save_checkpoint(folder / "pocket", Policy(preset("pocket")))
    return folder


@pytest.mark.parametrize("action", [Info, Import, Export, Verify])
def test_every_option_is_documented(action: type) -> None:
    for field in dataclasses.fields(action):
        assert f"{field.name}:" in (action.__doc__ or ""), f"{field.name} has no help"


@pytest.mark.parametrize("name", ["info", "import", "export", "verify"])
def test_every_action_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["checkpoint", name, "--help"])
    assert stopped.value.code == 0
    assert f"eyehand checkpoint {name}" in capsys.readouterr().out


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_checkpoint(
        tmp_path / "mine",
        Policy(preset("pocket")),
        {"steps": 12, "held_out": {"loss": 0.51234, "by": None}, "config": {"lr": 0.0007, "seed": 0}},
    )
    assert main(["checkpoint", "info", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "mine" in out
    assert "remembers 9.6 s" in out
    assert "steps: 12" in out
    assert "held out: loss 0.5123\n" in out
    assert "config: lr 0.0007\n" in out


def test_import_says_what_it_used_and_export_brings_it_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = write_reference(tmp_path, optimizer_states=[])
    assert main(["checkpoint", "import", str(tmp_path / "policy.ckpt"), str(tmp_path / "ours")]) == 0
    out = capsys.readouterr().out
    repeated = sum(name.startswith("bc_transformer.image_tokenizer.") for name in state)
    assert f"{len(state) - repeated} tensors, each used once" in out
    assert f"({repeated} tensors that repeat image_tokenizer.*)" in out
    assert "ignored: optimizer_states" in out
    assert main(["checkpoint", "export", str(tmp_path / "ours"), "--to", "p2p"]) == 0
    assert "checkpoint-step=00000012.ckpt" in capsys.readouterr().out
    back = torch.load(tmp_path / "ours-p2p" / "checkpoint-step=00000012.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


@needs_fixture
def test_verify_ends_with_0_only_if_nothing_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, reference = tmp_path / "p2p_a", str(FIXTURE / "reference.npz")
    source = str(FIXTURE / "checkpoint-step=00001000.ckpt")
    config = str(FIXTURE / "model_config.yaml")
    assert main(["checkpoint", "import", source, str(ours), "--config", config]) == 0
    assert main(["checkpoint", "verify", str(ours), "--reference", reference]) == 0
    out = capsys.readouterr().out
    assert "image tokens" in out
    assert "logits mouse_delta_y" in out
    assert "0 of 7 differ" in out
    with np.load(reference) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["live_actions"] = changed["live_actions"].copy()
    changed["live_actions"][6, 0] = (changed["live_actions"][6, 0] + 1) % 20
    np.savez(tmp_path / "changed.npz", **changed)
    assert main(["checkpoint", "verify", str(ours), "--reference", str(tmp_path / "changed.npz")]) == 1
    assert "1 of 7 differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["info", "no/such"], "There is no checkpoint 'no/such'"),
        (["import", "no.ckpt", "OUT/new"], "There is no checkpoint no.ckpt"),
        (["import", "OUT/policy.ckpt", "OUT"], "is no checkpoint, so it is left alone"),
        (["import", "OUT/policy.ckpt", "OUT/new", "--q-heads", "4"], "for a checkpoint without model_config.yaml"),
        (["export", "no/such", "--to", "p2p"], "There is no checkpoint 'no/such'"),
        (["export", "OUT/pocket", "OUT/new/a.ckpt"], "Open P2P has no such network: its vision trunk is 'pocket'"),
        (["verify", "OUT/pocket", "--reference", "no.npz"], "There is no file no.npz"),
        (["verify", "OUT/pocket", "--reference", "OUT/policy.ckpt"], "lacks the array 'frames'"),
    ],
)
def test_a_mistake_gets_one_sentence_and_status_2(
    arguments: list[str], sentence: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["checkpoint", *(argument.replace("OUT", str(made)) for argument in arguments)])
    error = capsys.readouterr().err.strip()
    assert status == 2, error
    assert sentence in error
    assert len(error.splitlines()) == 1
    assert not (made / "new").exists()
