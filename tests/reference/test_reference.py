"""The reference's weights give the reference's numbers: image tokens, logits, live actions."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from eyehand.errors import UserError
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig, ffn_hidden_of
from eyehand.reference.weights import policy_state_of, read_reference
from peak_memory import peak_mb
from tiny import TINY

SHARED = Path(os.environ.get("EYEHAND_SHARED", Path(__file__).parents[2].parent / "shared"))
FIXTURE = SHARED / "fixtures" / "p2p_a"
needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_dir(), reason="the reference's weights are not here (set EYEHAND_SHARED)"
)
HEADS = ("keys", "mouse_buttons", "mouse_delta_x", "mouse_delta_y")
CONFIG = PolicyConfig(  # model_config.yaml of the fixture
    history_steps=4,
    width=64,
    num_layers=2,
    num_q_heads=4,
    num_kv_heads=4,
    ffn_hidden=ffn_hidden_of(64),
    layer_history=(4, 4),
    decoder_ffn_hidden=ffn_hidden_of(64),
)


@pytest.fixture(scope="module")
def policy() -> Policy:
    network = Policy(CONFIG).eval()
    network.load_state_dict(
        policy_state_of(read_reference(FIXTURE / "checkpoint-step=00001000.ckpt")["state_dict"], CONFIG)
    )
    return network


@pytest.fixture(scope="module")
def truth() -> dict[str, torch.Tensor]:
    with np.load(FIXTURE / "reference.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@needs_fixture
@torch.no_grad()
def test_image_tokens_and_logits(policy: Policy, truth: dict[str, torch.Tensor]) -> None:
    frames = truth["frames"][:, :4]
    torch.testing.assert_close(policy.image_encoder(frames[0]), truth["image_tokens"][0], rtol=0, atol=1e-4)
    ids = torch.cat([truth[f"in_{head}"] for head in HEADS], dim=-1)
    logits = policy(frames, truth["text"], ids, ids)
    for head, ours in zip(HEADS, logits, strict=True):
        torch.testing.assert_close(ours, truth[f"logits_{head}"], rtol=0, atol=1e-4)


@needs_fixture
def test_live_actions_beyond_the_window(policy: Policy, truth: dict[str, torch.Tensor]) -> None:
    live = LivePolicy(policy)
    state, previous = live.new_state(), torch.zeros(1, 8, dtype=torch.long)
    actions = []
    for step in range(7):
        text = truth["text"][:, step] if step < 4 else torch.zeros(1, 1, 768)
        out = live.step(state, live.encode_image(truth["frames"][:, step]), live.embed_text(text), previous)
        previous = live.decode_action(out, truth["live_uniforms"][step : step + 1])
        actions.append(previous[0])
    assert torch.stack(actions).tolist() == truth["live_actions"].tolist()


def test_unreadable_and_foreign_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no checkpoint"):
        read_reference(tmp_path / "none.ckpt")
    (tmp_path / "torn.ckpt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="not a whole"):
        read_reference(tmp_path / "torn.ckpt")
    torch.save({"state_dict": {"a": 1}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="holds no weights"):
        read_reference(tmp_path / "other.ckpt")


def test_a_file_that_takes_more_memory_than_it_has_bytes_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(5)}, "of": list(range(10_000))}, tmp_path / "plain.ckpt")
    assert read_reference(tmp_path / "plain.ckpt")["state_dict"]["a"].shape == (5,)
    with zipfile.ZipFile(tmp_path / "plain.ckpt") as plain:
        parts = {name: plain.read(name) for name in plain.namelist()}
    with zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, content in parts.items():
            bomb.writestr(name, content[:-1] + bytes(1 << 28) + b"." if name.endswith("data.pkl") else content)
    assert (tmp_path / "bomb.ckpt").stat().st_size < 1 << 20
    os.mkfifo(tmp_path / "fifo.ckpt")
    setup = """
    from pathlib import Path
    from eyehand.errors import UserError
    from eyehand.reference.weights import read_reference
    """
    code = """
    for path in map(Path, sys.argv[1:]):
        try:
            read_reference(path)
        except UserError as error:
            print(error)
    """
    grown_mb, said = peak_mb(setup, code, tmp_path / "bomb.ckpt", tmp_path / "fifo.ckpt")
    assert [line.rpartition(" is not")[2] for line in said.splitlines()] == [
        " a whole Open P2P checkpoint: download it again."
    ] * 2
    assert grown_mb < 100


@pytest.mark.parametrize("tensor", [torch.zeros(1).expand(1 << 20, 1 << 20), torch.zeros(3, device="meta")])
def test_tensors_without_numbers_of_their_own_are_refused(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save({"state_dict": {"a": tensor}}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="larger tensors than it holds"):
        read_reference(tmp_path / "a.ckpt")


def test_code_in_a_file_is_not_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.ckpt")
    with pytest.raises(UserError):
        read_reference(tmp_path / "bomb.ckpt")
    assert not (tmp_path / "exploded").exists()


def test_p2p_trunk_has_the_reference_shape() -> None:
    config = PolicyConfig.from_json({**TINY.to_json(), "vision": "p2p", "vision_widths": []})
    assert Policy(config).image_encoder.linear.in_features == 112 * 2 * 2
