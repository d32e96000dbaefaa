"""A checkpoint is whole or an error with one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from eyehand import checkpoint as checkpoint_module
from eyehand.checkpoint import bundled_names, find_checkpoint, load_checkpoint, read_checkpoint, save_checkpoint
from eyehand.checkpoint_files import file_sha256
from eyehand.errors import UserError
from eyehand.frame import RESIZE_VERSION
from eyehand.model.policy import Policy
from eyehand.model.policy_config import PolicyConfig
from eyehand.model.presets import preset
from peak_memory import peak_mb

CONFIG = replace(
    preset("medium"), frame_size=32, width=32, num_layers=1, ffn_hidden=32, vision_widths=(8, 8, 8, 8),
    decoder_ffn_hidden=32,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save_checkpoint(tmp_path / "trained", Policy(CONFIG), {"steps": 7}, fps=20.0, temperature=0.8)


def _change_json(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "checkpoint.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _change_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Weights that are whole but not what the configuration asks for."""
    path = folder / "weights.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)
    _change_json(folder, lambda content: content.update(weights_sha256=file_sha256(path)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_round_trip(tmp_path: Path, dtype: checkpoint_module.StoredDtype) -> None:
    torch.manual_seed(0)
    policy = Policy(CONFIG)
    loaded = load_checkpoint(
        save_checkpoint(tmp_path / "a" / "b", policy, {"steps": 7}, dtype=dtype, mouse_sampling="mean")
    )
    assert (loaded.name, loaded.config, loaded.facts) == ("b", CONFIG, {"steps": 7})
    assert (loaded.fps, loaded.mouse_sampling, loaded.temperature) == (20.0, "mean", 1.0)
    assert not loaded.policy.training
    for name, tensor in policy.state_dict().items():
        stored = getattr(torch, dtype) if tensor.is_floating_point() and tensor.ndim >= 2 else tensor.dtype
        assert torch.equal(loaded.policy.state_dict()[name], tensor.to(stored).to(tensor.dtype)), name


def test_a_matrix_that_overflows_half_precision_is_kept(tmp_path: Path) -> None:
    policy = Policy(CONFIG)
    with torch.no_grad():
        policy.action_out.fill_(1e6)
    loaded = load_checkpoint(save_checkpoint(tmp_path / "large", policy))
    assert (loaded.policy.action_out == 1e6).all()


def test_saving_replaces_the_old_one_and_leaves_nothing_behind(folder: Path) -> None:
    save_checkpoint(folder, Policy(CONFIG), {"steps": 8})
    assert load_checkpoint(folder).facts == {"steps": 8}
    assert [path.name for path in folder.parent.iterdir()] == ["trained"]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "weights.safetensors"]


@pytest.mark.parametrize("facts", [{}, {"much": "x" * 10_000_000}], ids=["in the weights", "in the description"])
@pytest.mark.parametrize("name", ["trained", "new"])
def test_a_failed_save_keeps_the_old_one(folder: Path, name: str, facts: dict[str, Any]) -> None:
    room = 2_000_000 if facts else 1000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # no file may grow beyond: the kernel refuses to write
    try:
        with pytest.raises(UserError, match=r"^Cannot write .*File too large.*: make space or choose another place\.$"):
            save_checkpoint(folder.with_name(name), Policy(CONFIG), facts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_checkpoint(folder).facts == {"steps": 7}
    assert [path.name for path in folder.parent.iterdir()] == ["trained"]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "weights.safetensors"]


def test_a_failed_save_keeps_weights_that_have_yet_to_get_their_name(folder: Path) -> None:
    policy, weights = load_checkpoint(folder).policy, folder / "weights.safetensors"
    weights.rename(folder / f".new-weights-{read_checkpoint(folder).description.weights_sha256}")
    weights.mkdir()  # as on Windows while somebody reads the old ones: they cannot be replaced
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_checkpoint(folder, policy, {"steps": object()}, fps=20.0, temperature=0.8)
    assert load_checkpoint(folder).facts == {"steps": 7}
    weights.rmdir()
    save_checkpoint(folder, policy, {"steps": 8})
    assert load_checkpoint(folder).facts == {"steps": 8}
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "weights.safetensors"]


_KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)  # a fork has none of the threads that OpenMP counts on
from eyehand.checkpoint import load_checkpoint, save_checkpoint
from test_checkpoint import CONFIG, constant_policy

STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod")
folder, value = Path(sys.argv[1]), 1
save_checkpoint(folder, constant_policy(1), {"value": 1})
for kill_at in range(1000):
    child = os.fork()
    if child == 0:  # the next checkpoint, killed before its step number `kill_at` in the file system
        steps = iter(range(kill_at))
        def on_step(event, args):
            if event in STEPS and folder.name in str(args) and next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(on_step)
        save_checkpoint(folder, constant_policy(value + 1), {"value": value + 1})
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    loaded = load_checkpoint(folder)
    assert loaded.facts["value"] in (value, value + 1), (kill_at, loaded.facts)
    assert {float(each.detach().unique()) for each in loaded.policy.parameters()} == {loaded.facts["value"]}
    value = loaded.facts["value"]
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(kill_at, value)
"""


def constant_policy(value: int) -> Policy:
    policy = Policy(CONFIG)
    for parameter in policy.parameters():
        torch.nn.init.constant_(parameter, value)
    return policy


def test_wherever_a_save_is_killed_there_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED_AT_EVERY_STEP, str(tmp_path / "killed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr
    num_kills, newest = map(int, done.stdout.split())
    assert num_kills >= 5
    assert load_checkpoint(tmp_path / "killed").facts == {"value": newest}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkpoint.json", "killed", "weights.safetensors"]


def test_who_reads_while_it_is_replaced_gets_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "replaced", constant_policy(0), {"value": 0})
    write = "import sys, test_checkpoint as t\nfor i in range(1, 31): "
    write += "t.save_checkpoint(sys.argv[1], t.constant_policy(i), {'value': i})"
    with subprocess.Popen([sys.executable, "-c", write, str(folder)], cwd=Path(__file__).parent) as writer:
        values = []
        while writer.poll() is None or not values:
            loaded = load_checkpoint(folder)
            values.append(loaded.facts["value"])
            assert {float(each.detach().unique()) for each in loaded.policy.parameters()} == {values[-1]}
    assert writer.returncode == 0
    assert values == sorted(values)
    assert load_checkpoint(folder).facts == {"value": 30}


def test_of_two_that_write_it_at_once_each_leaves_a_whole_one(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "shared", constant_policy(0), {"value": 0})
    write = "import sys, test_checkpoint as t\nfor i in range(30):\n value = int(sys.argv[2]) + i"
    write += (
        "\n t.save_checkpoint(sys.argv[1], t.constant_policy(value), {'value': value})\n t.load_checkpoint(sys.argv[1])"
    )
    commands = [[sys.executable, "-c", write, str(folder), first] for first in ("100", "200")]
    writers = [subprocess.Popen(command, cwd=Path(__file__).parent) for command in commands]
    assert [writer.wait() for writer in writers] == [0, 0]
    loaded = load_checkpoint(folder)
    assert {float(each.detach().unique()) for each in loaded.policy.parameters()} == {loaded.facts["value"]}
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "weights.safetensors"]


def test_loading_leaves_the_callers_random_numbers_alone(folder: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_checkpoint(folder)
    assert torch.equal(torch.rand(3), expected)


def test_loading_draws_no_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor of the network is read from the file or computed; none is filled first."""
    drawn: list[torch.device] = []
    normal_ = Tensor.normal_

    def noted(tensor: Tensor, *arguments: Any, **named: Any) -> Tensor:
        drawn.append(tensor.device)
        return normal_(tensor, *arguments, **named)

    monkeypatch.setattr(Tensor, "normal_", noted)
    policy = load_checkpoint(folder).policy
    assert drawn
    assert all(device.type == "meta" for device in drawn)
    assert not any(tensor.is_meta for tensor in (*policy.parameters(), *policy.buffers()))
    assert all(parameter.requires_grad for parameter in policy.parameters())


_LOAD = """
import re, sys
from pathlib import Path
from eyehand.checkpoint import load_checkpoint
def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
load_checkpoint(sys.argv[1])  # loads what is loaded lazily
before = peak_bytes()
policy = load_checkpoint(sys.argv[2]).policy
size = sum(tensor.numel() * tensor.element_size() for tensor in policy.state_dict().values())
print((peak_bytes() - before) / size)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of memory is known on Linux only")
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_loading_needs_little_more_memory_than_the_weights(
    folder: Path, tmp_path: Path, dtype: checkpoint_module.StoredDtype
) -> None:
    config = replace(CONFIG, width=512, num_layers=12, ffn_hidden=1024, decoder_ffn_hidden=1024)
    large = save_checkpoint(tmp_path / "large", Policy(config), dtype=dtype)
    told = subprocess.run([sys.executable, "-c", _LOAD, folder, large], capture_output=True, text=True, check=True)
    assert 0.8 < float(told.stdout) < 1.2


def test_weights_that_are_replaced_while_they_are_read(folder: Path) -> None:
    stored = read_checkpoint(folder)
    before = stored.state["no_text"].clone()
    save_checkpoint(folder, constant_policy(3))
    assert torch.equal(stored.state["no_text"], before)  # still the old ones
    _change_weights(folder, lambda state: state["no_text"].fill_(4))
    assert torch.equal(stored.state["no_text"], before)


def test_weights_that_are_written_over_while_they_are_read(folder: Path) -> None:
    stored = read_checkpoint(folder)
    other = save_checkpoint(folder.with_name("other"), constant_policy(3))
    shutil.copyfile(other / "weights.safetensors", folder / "weights.safetensors")  # into the very file
    with pytest.raises(UserError, match="replaced while it was read: try again"):
        stored.state["no_text"]


def test_names(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "BUNDLED", tmp_path)
    assert bundled_names() == ["trained"]
    assert find_checkpoint("trained") == folder
    with pytest.raises(UserError, match=r"There is no checkpoint 'trianed': .* bundled trained"):
        find_checkpoint("trianed")
    with pytest.raises(UserError, match="so it is no checkpoint"):
        find_checkpoint(tmp_path)
    folder.rename(tmp_path / "policy")
    assert find_checkpoint(tmp_path) == tmp_path / "policy"  # of a training run the newest


JSON_CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer format": (lambda c: c.update(format_version=2, more=1), "newer eyehand"),
    "no format": (lambda c: c.pop("format_version"), "not a checkpoint's description"),
    "other resize": (lambda c: c.update(resize_version=RESIZE_VERSION + 1), "resize version"),
    "no fps": (lambda c: c.pop("fps"), "fps is missing"),
    "text fps": (lambda c: c.update(fps="20"), "fps must be a number"),
    "unknown entry": (lambda c: c.update(colour="red"), "colour is not known"),
    "unknown sampling": (lambda c: c.update(mouse_sampling="median"), "mouse_sampling cannot be 'median'"),
    "unknown model option": (lambda c: c["policy"].update(widht=3), r"widht is not known \(did you mean width"),
    "unknown action space": (lambda c: c["policy"].update(action_space="x"), "Unknown action space 'x'"),
    "other width": (lambda c: c["policy"].update(width=64), "have the shape"),
    "more layers": (lambda c: c["policy"].update(num_layers=2), "lacks the weights 'backbone.layers.1"),
    "fewer layers": (lambda c: c["policy"].update(decoder_sinks=0), "has weights 'decoder.layers.0.attention.k_sinks'"),
}


@pytest.mark.parametrize("case", list(JSON_CHANGES))
def test_a_description_that_does_not_fit(folder: Path, case: str) -> None:
    change, message = JSON_CHANGES[case]
    _change_json(folder, change)
    with pytest.raises(UserError, match=message):
        load_checkpoint(folder)


_OTHER_NUMBERS = """
content = json.loads(path.read_text())
numbers = {("fps",): 20.0, ("temperature",): 0.8}
for name, value in content["policy"].items():
    if isinstance(value, list):
        numbers["policy", name, 0] = 8
        content["policy"][name] = value or [0]
    elif not isinstance(value, str):
        numbers["policy", name] = value
num_refused = 0
odd = (-1, 0, 1e3, 1e5, 2**31, 1e9, 1e12, 2**63, 10**30, 1e308, -1e308, float("nan"), float("inf"))
for (*places, last), usual in numbers.items():
    for value in (usual * 64, *odd):
        changed = copy.deepcopy(content)
        inner = changed
        for key in places:
            inner = inner[key]
        inner[last] = int(value) if isinstance(usual, int) and math.isfinite(value) else value
        path.write_text(json.dumps(changed))
        try:
            load_checkpoint(path.parent)
        except UserError as error:
            num_refused += 1
            assert len(str(error)) < 1000 and "\\n" not in str(error), error
print(num_refused, len(numbers))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of a process are known on Linux only")
def test_no_number_of_a_description_crashes_or_takes_much_memory(folder: Path) -> None:
    setup = """
    import copy, json, math
    from pathlib import Path
    from eyehand.checkpoint import load_checkpoint
    from eyehand.errors import UserError
    path = Path(sys.argv[1]) / "checkpoint.json"
    load_checkpoint(path.parent)
    """
    grown_mb, said = peak_mb(setup, _OTHER_NUMBERS, folder)
    num_refused, num_numbers = map(int, said.split())
    assert num_refused > 10 * num_numbers
    assert grown_mb < 1500


def test_a_description_that_is_endless_or_deep(folder: Path) -> None:
    path = folder / "checkpoint.json"
    content = json.loads(path.read_text())
    for depth in (500, 100_000):
        path.write_text(
            json.dumps({**content, "facts": {"x": 0}}).replace('"x": 0', f'"x": {"[" * depth}{"]" * depth}')
        )
        with contextlib.suppress(UserError):
            load_checkpoint(folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint(folder)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match=r"It is larger than 16,777,216 bytes"):
        load_checkpoint(folder)


def test_the_weights_are_compared_by_their_header_before_they_are_read(folder: Path) -> None:
    header = json.dumps({"no_text": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}}).encode()
    with (folder / "weights.safetensors").open("wb") as file:  # 4 GB, of which the disk holds nothing
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + (1 << 32))
    with pytest.raises(UserError, match=r"too few weights|lacks the weights"):
        load_checkpoint(folder)


def test_damaged_description(folder: Path) -> None:
    path = folder / "checkpoint.json"
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\xff\xfe\x00", b"[]"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"checkpoint\.json"):
            load_checkpoint(folder)


def test_damaged_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-100] ^= 1
    for damaged in (content[: len(content) // 2], b"", bytes(flipped), os.urandom(100)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="is damaged"):
            load_checkpoint(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"has no weights\.safetensors"):
        load_checkpoint(folder)


def test_weights_that_do_not_fit(folder: Path) -> None:
    whole = {name: tensor.clone() for name, tensor in load_file(folder / "weights.safetensors").items()}
    for change, message in (
        (lambda state: state.pop("no_text"), "lacks the weights 'no_text'"),
        (lambda state: state.update(extra=torch.zeros(1)), "has weights 'extra'"),
        (lambda state: state.update(no_text=torch.zeros(3, 3)), "have the shape"),
        (lambda state: state["no_text"].fill_(float("nan")), "not finite"),
    ):
        _change_weights(folder, change)
        with pytest.raises(UserError, match=message):
            load_checkpoint(folder)
        _change_weights(folder, lambda state: (state.clear(), state.update(whole)))
    assert load_checkpoint(folder).config == CONFIG


def test_bundled_checkpoints_are_small_and_load() -> None:
    for name in bundled_names():
        size = sum(path.stat().st_size for path in find_checkpoint(name).iterdir())
        assert size <= 20_000_000
        assert isinstance(load_checkpoint(name).config, PolicyConfig)
