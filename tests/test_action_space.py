"""ActionSpace: the reference's tables, rules of truncation, and what survives a round trip."""

from importlib import resources

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eyehand.action import BUTTONS, KEYS, PIXELS_PER_NOTCH, Action
from eyehand.action_space import FULL, P2P, ActionSpace, Axis, action_space
from eyehand.errors import UserError

pixels = st.integers(-2000, 2000)
actions = st.builds(
    Action,
    keys=st.frozensets(st.sampled_from(KEYS), max_size=10),
    buttons=st.frozensets(st.sampled_from(BUTTONS)),
    dx=pixels,
    dy=pixels,
    scroll_dx=pixels,
    scroll_dy=pixels,
)
spaces = st.sampled_from([P2P, FULL, P2P.independent, FULL.independent])
samplings = st.sampled_from(["mean", "conservative", "truncated_normal"])


def test_p2p_is_the_references_vocabulary() -> None:
    assert [(head.name, head.num_choices, head.num_slots) for head in P2P.heads] == [
        ("keys", 20, 4),
        ("buttons", 4, 2),
        ("dx", 23, 1),
        ("dy", 17, 1),
    ]
    assert P2P.keys[0] == "Space"
    assert P2P.keys.index("w") + 1 == 11
    assert P2P.keys.index("RightShift") + 1 == 19


def test_full_reaches_every_key() -> None:
    assert set(FULL.keys) == set(KEYS)
    assert FULL.num_slots == 8 + 5 + 4


@pytest.mark.parametrize("axis", [P2P.dx, P2P.dy, FULL.scroll])
def test_bins_are_torch_bucketize(axis: Axis) -> None:
    values = list(range(-600, 601))
    expected = torch.bucketize(torch.tensor(values, dtype=torch.float64), torch.tensor(axis.edges, dtype=torch.float64))
    assert [axis.bin_of(value) for value in values] == expected.tolist()


@pytest.mark.parametrize("axis", [P2P.dx, P2P.dy, FULL.scroll])
def test_the_fixed_pixels_of_a_bin_lie_in_it(axis: Axis) -> None:
    for index in range(axis.num_bins):
        assert axis.bin_of(axis.mean[index]) == index
        assert axis.bin_of(axis.conservative[index]) == index


@pytest.mark.parametrize("sampling", ["mean", "conservative", "truncated_normal"])
def test_notches_of_the_wheel_survive(sampling: str) -> None:
    for notches in range(-3, 4):
        turned = Action(scroll_dx=-notches * PIXELS_PER_NOTCH, scroll_dy=notches * PIXELS_PER_NOTCH)
        rng = np.random.default_rng(notches + 3)
        assert FULL.decode(FULL.encode(turned), sampling, rng) == turned  # type: ignore[arg-type]


def test_the_page_of_the_viewer_has_the_same_notch() -> None:
    page = resources.files("eyehand.viewer").joinpath("page.js").read_text(encoding="utf-8")
    assert f"const NOTCH_PX = {PIXELS_PER_NOTCH};" in page


def test_the_references_examples_of_truncation() -> None:
    held = Action.of(["w", "z", "Space", "a", "LeftShift", "Tab"], ["2", "1", "0"])
    # Tab has no id; the ids are sorted, cut to four keys and two buttons.
    assert P2P.encode(held).tolist() == [1, 6, 11, 13, 1, 2, 11, 8]
    assert P2P.encode(Action.of(["Escape"])).tolist() == [0, 0, 0, 0, 0, 0, 11, 8]


@given(actions, spaces, samplings, st.integers(0, 2**32 - 1))
def test_tokens_survive_decoding_and_encoding(action: Action, space: ActionSpace, sampling: str, seed: int) -> None:
    ids = space.encode(action)
    decoded = space.decode(ids, sampling, np.random.default_rng(seed))  # type: ignore[arg-type]
    assert space.encode(decoded).tolist() == ids.tolist()
    assert decoded.keys <= action.keys
    assert decoded.buttons <= action.buttons
    known = action.keys & set(space.keys)
    assert len(decoded.keys) == min(len(known), space.num_key_slots)


@given(actions)
def test_full_keeps_up_to_eight_keys_and_every_button(action: Action) -> None:
    decoded = FULL.decode(FULL.encode(action))
    assert decoded.buttons == action.buttons
    assert decoded.keys == (action.keys if len(action.keys) <= 8 else decoded.keys)


@given(actions)
def test_an_independent_space_keeps_all_keys_of_its_vocabulary(action: Action) -> None:
    for space in (P2P, FULL):
        decoded = space.independent.decode(space.independent.encode(action))
        assert decoded.keys == action.keys & set(space.keys)
        assert decoded.buttons == action.buttons & set(space.buttons)


def test_an_independent_space_has_a_slot_for_every_key_and_button() -> None:
    space = P2P.independent
    assert [(head.name, head.num_choices, head.num_slots) for head in space.heads] == [
        ("keys", 2, 19),
        ("buttons", 2, 3),
        ("dx", 23, 1),
        ("dy", 17, 1),
    ]
    ids = space.encode(Action.of(["w", "Space"], ["0"]))
    assert ids[:19].tolist() == [int(key in ("w", "Space")) for key in P2P.keys]
    assert ids[19:].tolist() == [1, 0, 0, 11, 8]


def test_truncated_normal_spreads_inside_the_bin_and_leans_to_zero() -> None:
    rng = np.random.default_rng(1)
    drawn = [P2P.dx.pixels_of(20, "truncated_normal", rng) for _ in range(2000)]
    assert min(drawn) >= 77
    assert max(drawn) <= 144
    assert len(set(drawn)) > 50
    assert np.mean(drawn) < (77 + 144) / 2
    assert P2P.dx.pixels_of(11, "truncated_normal", rng) == 0
    assert P2P.dx.pixels_of(0, "truncated_normal", rng) == -501
    assert P2P.dx.pixels_of(22, "truncated_normal", rng) == 501


def test_bad_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="have 8 tokens, got 3"):
        P2P.decode([0, 0, 0])
    with pytest.raises(ValueError, match="token 20 is outside the 20 choices of keys"):
        P2P.decode([20, 0, 0, 0, 0, 0, 0, 0])


def test_unknown_space() -> None:
    with pytest.raises(UserError, match="choose one of p2p, full"):
        action_space("gamepad")
