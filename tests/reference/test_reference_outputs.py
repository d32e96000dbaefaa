"""A reference.npz is checked before it is believed, and one that another network made shows."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from eyehand.errors import UserError
from eyehand.inference.torch_live import LivePolicy
from eyehand.model.policy import Policy
from eyehand.reference.outputs import HEADS, differences, read_reference_outputs
from tiny import RICH, random_clip, tiny_policy

CONFIG = replace(RICH, text_dim=24)
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return tiny_policy(CONFIG)


@pytest.fixture(scope="module")
def arrays(policy: Policy) -> Arrays:
    """What this network itself computes: 6 pictures, 4 of them teacher-forced."""
    torch.set_num_threads(1)
    frames, text, executed, _ = random_clip(CONFIG, 1, 6)
    ids, text = executed[:, :4], text[:, :4]
    with torch.no_grad():
        logits = policy(frames[:, :4], text, ids, ids)
        image = policy.image_encoder(frames[0, :4])
    uniforms = torch.rand(6, CONFIG.space.num_slots, generator=torch.Generator().manual_seed(2))
    live = LivePolicy(policy)
    state, previous, drawn = live.new_state(), torch.zeros_like(ids[:, 0]), []
    for step in range(6):
        words = text[:, step] if step < 4 else torch.zeros_like(text[:, 0])
        out = live.step(state, live.encode_image(frames[:, step]), live.embed_text(words), previous)
        previous = live.decode_action(out, uniforms[step : step + 1])
        drawn.append(previous)
    parts = ids.split([head.num_slots for head in CONFIG.space.heads], dim=-1)
    return {
        "frames": frames.numpy(),
        "text": text.numpy(),
        "image_tokens": image[None].numpy(),
        "live_uniforms": uniforms.numpy(),
        "live_actions": torch.cat(drawn).numpy(),
        **{f"in_{name}": part.numpy() for name, part in zip(HEADS, parts, strict=True)},
        **{f"logits_{name}": part.numpy() for name, part in zip(HEADS, logits, strict=True)},
    }


def _written(path: Path, arrays: Arrays, **changes: Any) -> Path:
    np.savez(path, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
    return path


def test_the_same_network_is_exact(policy: Policy, arrays: Arrays, tmp_path: Path) -> None:
    found = differences(policy, read_reference_outputs(_written(tmp_path / "r.npz", arrays), CONFIG))
    assert found.is_exact
    assert (found.num_actions, found.num_differing) == (6, 0)
    assert max(found.image, *found.logits.values()) < 1e-5


def test_every_difference_counts(policy: Policy, arrays: Arrays, tmp_path: Path) -> None:
    def found(**changes: Any) -> Any:
        return differences(policy, read_reference_outputs(_written(tmp_path / "r.npz", arrays, **changes), CONFIG))

    def with_one(name: str, value: float) -> NDArray[Any]:
        array = arrays[name].copy()
        array.flat[-1] += value
        return array

    image = found(image_tokens=with_one("image_tokens", 3e-4))
    assert image.image == pytest.approx(3e-4, rel=0.1)
    assert not image.is_exact
    logits = found(logits_mouse_delta_y=with_one("logits_mouse_delta_y", -2.0))
    assert logits.logits["mouse_delta_y"] == pytest.approx(2.0, rel=1e-3)
    assert not logits.is_exact
    assert not found(logits_keys=with_one("logits_keys", np.nan)).is_exact
    actions = found(live_actions=with_one("live_actions", 1))
    assert (actions.num_differing, actions.is_exact) == (1, False)


def test_another_network_is_not_exact(arrays: Arrays, tmp_path: Path) -> None:
    outputs = read_reference_outputs(_written(tmp_path / "r.npz", arrays), CONFIG)
    found = differences(tiny_policy(CONFIG, seed=1), outputs)
    assert min(found.image, *found.logits.values()) > 1e-2
    assert not found.is_exact


CHANGES: dict[str, tuple[dict[str, Callable[[NDArray[Any]], Any]], str]] = {
    "no actions": ({"live_actions": lambda a: None}, "lacks the array 'live_actions'"),
    "no frames": ({"frames": lambda a: None}, "lacks the array 'frames'"),
    "fewer frames than text": ({"frames": lambda a: a[:, :3]}, "has 3 pictures for 4 steps"),
    "flat frames": ({"frames": lambda a: a.ravel()}, "has 0 pictures for 4 steps"),
    "float frames": ({"frames": lambda a: a.astype(np.float32)}, "'frames' is float32"),
    "other frames": ({"frames": lambda a: a[..., :16]}, r"'frames' is uint8 \(1, 6, 3, 32, 16\)"),
    "other width": ({"image_tokens": lambda a: a[..., :8]}, r"asks for float32 \(1, 4, 2, 32\)"),
    "fewer uniforms": ({"live_uniforms": lambda a: a[:5]}, "'live_uniforms' is float32"),
    "token out of range": ({"in_keys": lambda a: a + 20}, "tokens outside 0 to 19"),
    "negative token": ({"in_mouse_delta_x": lambda a: a - 100}, "tokens outside 0 to 22"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_arrays_that_do_not_fit(arrays: Arrays, tmp_path: Path, case: str) -> None:
    changes, message = CHANGES[case]
    path = _written(tmp_path / "r.npz", arrays, **{name: change(arrays[name]) for name, change in changes.items()})
    with pytest.raises(UserError, match=message):
        read_reference_outputs(path, CONFIG)


def test_files_that_are_no_arrays(arrays: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    with pytest.raises(UserError, match="There is no file"):
        read_reference_outputs(path, CONFIG)
    whole = _written(path, arrays).read_bytes()
    for content in (b"", b"PK\x03\x04", whole[: len(whole) // 2], b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"not a whole \.npz file"):
            read_reference_outputs(path, CONFIG)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("frames", b"no array")
    with pytest.raises(UserError, match="lacks the array 'frames'"):
        read_reference_outputs(path, CONFIG)
    np.save(tmp_path / "r.npy", np.zeros(3))
    with pytest.raises(UserError, match=r"not a whole \.npz file"):
        read_reference_outputs(tmp_path / "r.npy", CONFIG)


def test_pickles_in_a_file_are_not_opened(arrays: Arrays, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    bomb = np.array([Bomb()], dtype=object)
    with pytest.raises(UserError, match="plain arrays"):
        read_reference_outputs(_written(tmp_path / "r.npz", arrays, text=bomb), CONFIG)
    assert not (tmp_path / "exploded").exists()
