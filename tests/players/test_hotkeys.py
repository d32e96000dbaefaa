"""Hotkeys: edge-triggered, while playing, and kept apart from play."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyehand.errors import UserError
from eyehand.input_event import HOTKEY, InputEvent
from eyehand.players.hotkeys import Combination, Hotkeys
from eyehand.recording.events import keys_from_events

MS = 1_000_000


def _key(name: str, is_pressed: bool = True, **more: bool) -> InputEvent:
    return InputEvent(0, "key", name, is_pressed, **more)  # type: ignore[arg-type]


def _hear(hotkeys: Hotkeys, *events: InputEvent) -> tuple[list[InputEvent], list[str]]:
    heard = [hotkeys.hear(event) for event in events]
    return [event for known, _ in heard for event in known], [name for _, name in heard if name is not None]


def test_it_fires_once_and_while_playing() -> None:
    hotkeys = Hotkeys({"pause": "RightControl+F10"})
    pressed = (_key("w"), _key("RightControl"), _key("F10"), _key("F10"))  # the second F10 is an automatic repeat
    assert _hear(hotkeys, *pressed)[1] == ["pause"]
    assert _hear(hotkeys, _key("F10", False), _key("F10"))[1] == ["pause"], "once more after its release"
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


def _named(events: list[InputEvent]) -> list[tuple[str, bool, int]]:
    return [(event.name, event.is_pressed, event.time_ns // MS) for event in events]


def _at(ms: int, name: str, is_pressed: bool = True) -> InputEvent:
    return InputEvent(ms * MS, "key", name, is_pressed)


def test_the_keys_held_with_it_are_no_play_either() -> None:
    hotkeys = Hotkeys({"pause": "RightAlt+End", "keep": "RightAlt+LeftShift+End"})
    marked, fired = _hear(hotkeys, _at(0, "RightAlt"), _at(10, "RightAlt"), _at(20, "End"), _at(30, "End", False))
    assert fired == ["pause"]
    assert _named(marked) == [("hotkey:pause", True, 20), ("hotkey:pause", True, 20), ("hotkey:pause", False, 30)]
    marked, fired = _hear(hotkeys, _at(40, "LeftShift"), _at(50, "End"), _at(60, "LeftShift", False))
    assert fired == ["keep"], "RightAlt is held all the time"
    assert {event.name for event in marked} == {"hotkey:keep"}
    assert _named(_hear(hotkeys, _at(70, "RightAlt", False))[0]) == [("hotkey:pause", False, 70)]
    assert hotkeys.settle(10**12) == []


def test_a_key_that_begins_a_combination_and_is_played_with_is_play() -> None:
    hotkeys = Hotkeys({"keep": "LeftShift+F11"})
    tapped, _ = _hear(hotkeys, _at(0, "LeftShift"), _at(30, "LeftShift", False))
    assert _named(tapped) == [("LeftShift", True, 30), ("LeftShift", False, 30)]
    with_another, _ = _hear(hotkeys, _at(40, "LeftShift"), _at(60, "w"), _at(70, "LeftShift", False))
    assert _named(with_another) == [("LeftShift", True, 60), ("w", True, 60), ("LeftShift", False, 70)]
    click = InputEvent(90 * MS, "button", "0", True)
    assert _hear(hotkeys, _at(80, "LeftShift"), click)[0] == [_at(90, "LeftShift"), click]
    assert _hear(hotkeys, _at(91, "LeftShift", False), _at(100, "LeftShift"))[0][1:] == []
    assert hotkeys.settle(600 * MS) == []
    assert hotkeys.settle(600 * MS + 1) == [_at(600, "LeftShift")], "half a second is long enough"
    motion = InputEvent(2000 * MS, "mouse_delta", x=1)
    assert _hear(hotkeys, _at(700, "LeftShift", False), _at(800, "LeftShift"), motion)[0][1:] == [
        *(_at(1300, "LeftShift"), motion)
    ]


_PRESSES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(("RightAlt", "LeftShift", "w", "End")), st.booleans()), max_size=40
)


@given(_PRESSES)
def test_nothing_is_lost_and_all_stays_in_order(drawn: list[tuple[int, str, bool]]) -> None:
    hotkeys = Hotkeys({"pause": "RightAlt+End", "keep": "RightAlt+LeftShift+w"})
    time_ms, held, heard = 0, set[str](), []
    for gap_ms, name, is_pressed in drawn:
        time_ms += gap_ms
        if is_pressed is not (name in held):
            held ^= {name}
            heard.append(_at(time_ms, name, is_pressed))
    known = [event for one in heard for event in hotkeys.hear(one)[0]] + hotkeys.settle(10**18)
    assert len(known) == len(heard)
    assert [event.time_ns for event in known] == sorted(event.time_ns for event in known)
    down = dict.fromkeys((*held, *(event.name for event in known)), 0)
    for event in known:
        if not event.name.startswith(HOTKEY):
            down[event.name] += 1 if event.is_pressed else -1
            assert down[event.name] in (0, 1), "every press has its release, and they take turns"


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
