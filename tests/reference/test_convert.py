"""The reference's files become checkpoints and come back tensor for tensor; whatever is wrong is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from eyehand.checkpoint import load_checkpoint, save_checkpoint
from eyehand.errors import UserError
from eyehand.model.policy import Policy
from eyehand.model.presets import preset
from eyehand.reference.convert import export_reference, import_reference
from eyehand.reference.model_config import read_reference_config
from eyehand.reference.weights import policy_state_of, reference_layout
from reference_file import VARIANTS, config_yaml, random_policy, write_reference

SHARED = Path(os.environ.get("EYEHAND_SHARED", Path(__file__).parents[2].parent / "shared"))
FIXTURE = SHARED / "fixtures" / "p2p_a"
needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_dir(), reason="the reference's weights are not here (set EYEHAND_SHARED)"
)


def _weights(path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def _assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert list(a) == list(b)
    for name, tensor in a.items():
        assert tensor.dtype == b[name].dtype, name
        assert torch.equal(tensor, b[name]), name


@needs_fixture
def test_the_original_comes_back_tensor_for_tensor(tmp_path: Path) -> None:
    original = FIXTURE / "checkpoint-step=00001000.ckpt"
    imported = import_reference(original, tmp_path / "p2p_a")
    assert (imported.num_used, imported.num_repeated) == (314, 246)
    assert "optimizer_states" in imported.ignored
    exported = export_reference(imported.folder)
    assert exported == tmp_path / "p2p_a-p2p" / "checkpoint-step=00001000.ckpt"
    _assert_same(_weights(exported), _weights(original))
    listed = (FIXTURE / "state_dict.txt").read_text().splitlines()
    assert [f"{n} {tuple(t.shape)} {str(t.dtype)[6:]}" for n, t in _weights(exported).items()] == listed
    assert abs(exported.stat().st_size - original.stat().st_size) < 200_000  # what is repeated lies there once
    before, after = (read_reference_config(path.with_name("model_config.yaml")) for path in (original, exported))
    assert before == after


@needs_fixture
def test_the_layout_is_that_of_the_original() -> None:
    config = read_reference_config(FIXTURE / "model_config.yaml").policy
    lines = [f"{t.name} {tuple(t.shape)} {str(t.dtype)[6:]}" for t in reference_layout(config)]
    assert lines == (FIXTURE / "state_dict.txt").read_text().splitlines()


def test_the_norm_of_a_picture_spans_all_its_tokens(tmp_path: Path) -> None:
    state = write_reference(tmp_path, VARIANTS["two image tokens"])
    assert state["image_tokenizer.mlp.1.weight"].shape == (2 * 32,)
    assert state["bc_transformer.img_pos_tokens"].shape == (1, 2, 32)


@pytest.mark.parametrize("variant", ["no thinking", "all at once"])
def test_round_trip(tmp_path: Path, variant: str) -> None:
    state = write_reference(tmp_path, VARIANTS[variant], optimizer_states=[{"state": {0: torch.zeros(5)}}])
    imported = import_reference(tmp_path / "policy.ckpt", tmp_path / "ours")
    assert imported.ignored == ("epoch", "global_step", "optimizer_states")
    stored = load_file(imported.folder / "weights.safetensors")
    own = policy_state_of(state, imported.config.policy)
    assert {name: tensor.dtype for name, tensor in stored.items()} == {n: t.dtype for n, t in own.items()}
    assert stored["embeddings.0.weight"].dtype == torch.bfloat16
    policy = load_checkpoint(imported.folder).policy
    for name, tensor in random_policy(policy.config).state_dict().items():
        assert torch.equal(policy.state_dict()[name], tensor.to(own[name].dtype).to(tensor.dtype)), name
    exported = export_reference(imported.folder, tmp_path / "back" / "again.ckpt")
    _assert_same(_weights(exported), state)
    assert read_reference_config(exported.with_name("model_config.yaml")) == imported.config


def test_what_was_trained_here_is_exported_in_the_dtypes_of_the_original(tmp_path: Path) -> None:
    (tmp_path / "model_config.yaml").write_text(config_yaml())
    config = read_reference_config(tmp_path / "model_config.yaml").policy
    policy = Policy(config)
    exported = export_reference(save_checkpoint(tmp_path / "trained", policy, {"step": 7}))
    assert exported.name == "checkpoint-step=00000007.ckpt"
    state = _weights(exported)
    assert {n: t.dtype for n, t in state.items()} == {t.name: t.dtype for t in reference_layout(config)}
    for name, tensor in policy_state_of(state, config).items():
        torch.testing.assert_close(tensor.float(), policy.state_dict()[name].float(), rtol=1e-2, atol=1e-3)


def test_without_a_configuration(tmp_path: Path) -> None:
    write_reference(tmp_path)
    (tmp_path / "model_config.yaml").rename(tmp_path / "elsewhere.yaml")
    source = tmp_path / "policy.ckpt"
    with pytest.raises(UserError, match=r"There is no model_config\.yaml beside .*: give --config, or --history"):
        import_reference(source, tmp_path / "ours")
    derived = import_reference(source, tmp_path / "ours", history_steps=4, num_q_heads=4)
    given = import_reference(source, tmp_path / "given", tmp_path / "elsewhere.yaml")
    assert derived.config.policy.history_of(1) == given.config.policy.history_of(1) == 3
    assert derived.config.policy.num_kv_heads == given.config.policy.num_kv_heads == 4
    with pytest.raises(UserError, match=r"for a checkpoint without model_config\.yaml"):
        import_reference(source, tmp_path / "both", tmp_path / "elsewhere.yaml", history_steps=4)
    with pytest.raises(UserError, match=r"There is no .*none\.yaml"):
        import_reference(source, tmp_path / "both", tmp_path / "none.yaml")


def _flip(state: dict[str, Tensor], name: str) -> None:
    state[name] = state[name].clone().add_(1)


STATES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "missing": (lambda s: s.pop("key_action_embedding.weight"), "lacks the tensor 'key_action_embedding.weight'"),
    "left over": (lambda s: s.update(value_head=torch.zeros(2)), "has a tensor 'value_head'"),
    "shape": (
        lambda s: s.update({"keyboard_out_logits.bias": torch.zeros(21)}),
        r"'keyboard_out_logits\.bias' has the shape \(21,\), but this configuration asks for \(20,\)",
    ),
    "sparse": (
        lambda s: s.update({"keyboard_out_logits.bias": torch.ones(20).to_sparse()}),
        "'keyboard_out_logits.bias' is",
    ),
    "kind": (lambda s: s.update({"keyboard_out_logits.bias": torch.zeros(20).int()}), r"is torch\.int32, not"),
    "not finite": (lambda s: s["image_tokenizer.mlp.1.bias"].fill_(torch.nan), "is not finite"),
    "repetition": (lambda s: _flip(s, "bc_transformer.image_tokenizer.mlp.1.bias"), "differs from the tensor"),
    "half a repetition": (lambda s: s.pop("bc_transformer.image_tokenizer.mlp.1.bias"), "lacks the tensor"),
}


@pytest.mark.parametrize("case", STATES)
def test_weights_that_do_not_fit(tmp_path: Path, case: str) -> None:
    change, message = STATES[case]
    state = write_reference(tmp_path)
    change(state)
    torch.save({"state_dict": state}, tmp_path / "policy.ckpt")
    with pytest.raises(UserError, match=message) as caught:
        import_reference(tmp_path / "policy.ckpt", tmp_path / "ours")
    assert str(tmp_path / "policy.ckpt") in str(caught.value)
    assert not (tmp_path / "ours").exists()


def test_tensors_that_share_memory_are_written_one_by_one(tmp_path: Path) -> None:
    state = write_reference(tmp_path)
    both = torch.rand(2, 17)
    state["mouse_delta_y_out_logits.bias"], other = both[0], both.T[:, 1]
    state["image_tokenizer.mlp.1.bias"] = state["bc_transformer.image_tokenizer.mlp.1.bias"] = torch.rand(64)[::2]
    state["mouse_button_out_logits.bias"] = other[:4]
    torch.save({"state_dict": state}, tmp_path / "policy.ckpt")
    stored = load_file(import_reference(tmp_path / "policy.ckpt", tmp_path / "ours").folder / "weights.safetensors")
    assert torch.equal(stored["heads.3.bias"], both[0])
    assert torch.equal(stored["heads.1.bias"], both[1, :4])
    assert torch.equal(stored["image_encoder.norm.bias"], state["image_tokenizer.mlp.1.bias"])


def test_a_configuration_of_another_network(tmp_path: Path) -> None:
    write_reference(tmp_path)
    for changes, message in (
        ({"policy_model.n_kv_sink_tokens": 1}, "lacks the tensor .*k_sinks"),
        ({"policy_model.n_thinking_tokens": 2}, r"'bc_transformer\.thinking_pos_tokens' has the shape \(1, 1, 32\)"),
        ({"policy_model.n_transformer_layers": 1, "policy_model.attention_history_len": [4]}, "has a tensor .*layers"),
    ):
        (tmp_path / "model_config.yaml").write_text(config_yaml(changes))
        with pytest.raises(UserError, match=message):
            import_reference(tmp_path / "policy.ckpt", tmp_path / "ours")


def test_damaged_files(tmp_path: Path) -> None:
    write_reference(tmp_path)
    path = tmp_path / "policy.ckpt"
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged, message in (
        (content[: len(content) // 2], "not a whole"),
        (b"", "not a whole"),
        (content[:-30], "not a whole"),
        (os.urandom(1000), "not a whole"),
        (bytes(flipped), "is damaged"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=message):
            import_reference(path, tmp_path / "ours")
    path.unlink()
    with pytest.raises(UserError, match="There is no checkpoint"):
        import_reference(path, tmp_path / "ours")
    for content_of, message in (
        ({"weights": 1}, "holds no weights"),
        ([1], "holds no weights"),
        ({"state_dict": {}}, "no"),
    ):
        torch.save(content_of, path)
        with pytest.raises(UserError, match=message):
            import_reference(path, tmp_path / "ours")


def test_code_in_a_file_is_not_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    write_reference(tmp_path, hyper_parameters=Bomb())
    with pytest.raises(UserError, match="does not execute"):
        import_reference(tmp_path / "policy.ckpt", tmp_path / "ours")
    assert not (tmp_path / "exploded").exists()


def test_only_checkpoints_are_replaced(tmp_path: Path) -> None:
    write_reference(tmp_path)
    source, thesis = tmp_path / "policy.ckpt", tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.txt").write_text("years of work")
    for target in (thesis, thesis / "chapter1.txt"):
        with pytest.raises(UserError, match="is no checkpoint, so it is left alone"):
            import_reference(source, target)
    assert (thesis / "chapter1.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        import_reference(source, tmp_path / "empty")
    exported = export_reference(tmp_path / "empty", tmp_path / "out" / "a.ckpt")
    for target in (exported, exported.with_name("b.ckpt")):
        with pytest.raises(UserError, match="exists and is left alone"):
            export_reference(tmp_path / "empty", target)
    with pytest.raises(UserError, match=r"not the name of a \.ckpt file"):
        export_reference(tmp_path / "empty", tmp_path / "out2")
    assert sorted(path.name for path in tmp_path.glob("**/*.tmp")) == []


def test_a_network_that_the_reference_lacks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its vision trunk is 'pocket'"):
        export_reference(save_checkpoint(tmp_path / "pocket", Policy(preset("pocket"))), tmp_path / "x" / "a.ckpt")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of memory is known on Linux only")
def test_import_needs_the_weights_once(tmp_path: Path) -> None:
    """A file like a real one, with AdamW's two moments: peak memory grows by less than 1.5 x the weights."""
    size = {
        "policy_model.transformer_dim": 768,
        "policy_model.action_decoder.embed_dim": 768,
        "policy_model.n_q_head": 8,
        "policy_model.n_kv_head": 8,
    }
    (tmp_path / "model_config.yaml").write_text(config_yaml(size))
    code = """
        import sys, torch
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        folder = Path(sys.argv[2])
        if sys.argv[3] == "write":
            from reference_file import write_reference
            import yaml
            write_reference(folder, dict(eval(sys.argv[4])))
            content = torch.load(folder / "policy.ckpt", weights_only=True)
            moments = {n: {"exp_avg": torch.ones(t.shape), "exp_avg_sq": torch.ones(t.shape)}
                       for n, t in content["state_dict"].items()}
            torch.save({**content, "optimizer_states": [{"state": moments}]}, folder / "policy.ckpt")
        else:
            from eyehand.reference.convert import import_reference
            from reference_file import write_reference
            (folder / "small").mkdir()
            write_reference(folder / "small", {})
            import_reference(folder / "small" / "policy.ckpt", folder / "small" / "ours")  # loads what is loaded once
            def peak():  # not ru_maxrss, which begins with that of the process that started this one
                status = Path("/proc/self/status").read_text()
                return int(status.split("VmHWM:")[1].split()[0]) * 1024
            before = peak()
            import_reference(folder / "policy.ckpt", folder / "ours")
            print(peak() - before)
        """

    def run(mode: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(code), str(Path(__file__).parents[1]), str(tmp_path), mode]
        done = subprocess.run([*command, repr(size)], capture_output=True, text=True, timeout=250, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("write")
    grown = int(run("import"))
    weights = (tmp_path / "ours" / "weights.safetensors").stat().st_size
    assert (tmp_path / "policy.ckpt").stat().st_size > 2.9 * weights > 4e8
    assert 0 < grown < 1.5 * weights
