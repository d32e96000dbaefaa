"""Hotkeys: edge-triggered, while playing, and kept apart from play."""

from __future__ import annotations

import pytest

from eyehand.errors import UserError
from eyehand.input_event import InputEvent
from eyehand.players.hotkeys import Combination, Hotkeys
from eyehand.recording.events import keys_from_events


def _key(name: str, is_pressed: bool = True, **more: bool) -> InputEvent:
    return InputEvent(0, "key", name, is_pressed, **more)  # type: ignore[arg-type]


def _hear(hotkeys: Hotkeys, *events: InputEvent) -> tuple[list[InputEvent], list[str]]:
    heard = [hotkeys.hear(event) for event in events]
    return [event for event, _ in heard], [name for _, name in heard if name is not None]


def test_it_fires_once_and_while_playing() -> None:
    hotkeys = Hotkeys({"pause": "RightControl+F10"})
    pressed = (_key("w"), _key("RightControl"), _key("F10"), _key("F10"))  # the second F10 is an automatic repeat
    assert _hear(hotkeys, *pressed)[1] == ["pause"]
    assert _hear(hotkeys, _key("F10", False), _key("F10"))[1] == ["pause"], "once more after it was let go"
    assert _hear(hotkeys, _key("F10", False), _key("RightControl", False), _key("F10"))[1] == []


def test_the_order_matters_and_software_fires_none() -> None:
    hotkeys = Hotkeys({"pause": "RightControl+F10"})
    assert _hear(hotkeys, _key("F10"), _key("RightControl"))[1] == []
    hotkeys = Hotkeys({"panic": "F12"})
    assert _hear(hotkeys, _key("F12", is_simulated=True))[1] == []


def test_the_one_with_more_keys_fires() -> None:
    hotkeys = Hotkeys({"all": "F9", "more": "LeftAlt+F9"})
    assert _hear(hotkeys, _key("F9"), _key("F9", False), _key("LeftAlt"), _key("F9"))[1] == ["all", "more"]


def test_the_labels_lose_no_key_of_play_and_get_no_hotkey() -> None:
    hotkeys = Hotkeys({"keep": "LeftShift+F11"})
    played = [_key("LeftShift"), _key("w"), _key("F11"), _key("LeftShift", False), _key("F11"), _key("F11", False)]
    marked, fired = _hear(hotkeys, *played, _key("F11"))
    assert fired == ["keep"]
    assert [event.name for event in marked] == [
        *("LeftShift", "w", "hotkey:keep", "LeftShift", "hotkey:keep", "hotkey:keep", "F11")
    ]
    assert keys_from_events([marked[:3], marked[3:6], marked[6:]]) == [
        {"LeftShift", "w"},
        {"w"},
        {"w", "F11"},
    ]


def test_names_are_read_in_any_case() -> None:
    assert Combination.parse("leftalt + R") == Combination("r", frozenset({"LeftAlt"}))
    assert str(Combination.parse("rightcontrol+f9")) == "RightControl+F9"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [("RightCtrl+F9", "did you mean RightControl"), ("", "unknown key ''"), ("F9+F9", "names a key twice")],
)
def test_a_wrong_combination_is_one_sentence(keys: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Hotkeys({"pause": keys})


def test_one_combination_for_two_things_is_said() -> None:
    with pytest.raises(UserError, match="RightControl\\+F9 is given to 'start' and to 'pause'"):
        Hotkeys({"start": "RightControl+F9", "pause": "RightControl+f9"})
