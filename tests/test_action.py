"""Action: complete, checked, additive in its motion."""

import pytest

from eyehand.action import BUTTONS, KEYS, NOTHING, Action, Gamepad


def test_every_key_name_is_unique() -> None:
    assert len(set(KEYS)) == len(KEYS)
    assert {"a", "0", "Space", "LeftControl", "F12", "Decimal"} <= set(KEYS)


def test_of_rejects_names_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="unknown key 'W'"):
        Action.of(["W"])
    with pytest.raises(ValueError, match="unknown mouse button 'left'"):
        Action.of(buttons=["left"])


def test_held_keeps_what_lasts() -> None:
    action = Action.of(["w"], ["0"], dx=4, dy=-2)
    assert action.held() == Action.of(["w"], ["0"])
    assert action.is_held
    assert not NOTHING.is_held
    assert not Action(dx=3).is_held
    assert Action(gamepad=Gamepad(left_trigger=0.5)).is_held
    assert not Action(gamepad=Gamepad()).is_held


def test_then_takes_the_later_keys_and_both_motions() -> None:
    first, second = Action.of(["w"], ["0"], 10, 1), Action.of(["a"], BUTTONS[1:2], -3, 2)
    assert first.then(second) == Action.of(["a"], ["1"], 7, 3)
