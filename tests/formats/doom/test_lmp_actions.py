"""Commands become Actions: nothing that was turned or pressed is lost on the way from 35 to 20 a second."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from doom_lmp import commands
from eyehand.formats.doom.lmp_actions import DemoTick, action_of_command, ticks_of

TURNED = np.array([1, 1, 256, 1])


def ticks(commands_TC: np.ndarray) -> list[DemoTick]:
    return list(ticks_of((commands_TC * TURNED).astype(np.int32), has_four_weapon_bits=False))


@pytest.mark.parametrize(
    ("command", "keys", "buttons"),
    [
        ((25, 0, 0), {"w"}, set()),
        ((50, 0, 0), {"w", "LeftShift"}, set()),
        ((-25, -24, 0), {"s", "a"}, set()),
        ((-50, 40, 0), {"s", "d", "LeftShift"}, set()),
        ((50, 50, 0), {"w", "d", "LeftShift"}, set()),
        ((0, 0, 0), set(), set()),
        ((3, -2, 0), set(), set()),  # a mouse that trembled
        ((47, 0, 0), {"w", "LeftShift"}, set()),
        ((0, 0, 1), set(), {"0"}),
        ((0, 0, 2), {"Space"}, set()),
        ((25, 0, 3), {"w", "Space"}, {"0"}),
        ((0, 0, 4), {"1"}, set()),
        ((0, 0, 4 | 2 << 3 | 1), {"3"}, {"0"}),
        ((0, 0, 4 | 7 << 3), {"1"}, set()),  # the chain saw shares the fist's key
        ((0, 0, 0x81), set(), set()),  # pause
    ],
)
def test_keys_and_buttons_of_a_command(command: tuple[int, int, int], keys: set[str], buttons: set[str]) -> None:
    action = action_of_command(*command)
    assert action.keys == keys
    assert action.buttons == buttons


def test_a_tick_ends_with_the_picture_after_its_last_command() -> None:
    assert [tick.picture for tick in ticks(commands(16))] == [2, 4, 6, 7, 9, 11, 13, 14]


def test_the_first_command_belongs_to_no_tick() -> None:
    """No picture shows what was there before it."""
    assert ticks(commands(8, {0: (50, 0, 9, 1)}))[0].action == ticks(commands(8))[0].action


def test_a_turn_is_mouse_motion_of_ten_pixels_a_degree() -> None:
    right = commands(8, {1: (0, 0, -64, 0)})  # a quarter of a turn to the right
    assert [tick.action.dx for tick in ticks(right)] == [900, 0, 0, 0]


@settings(max_examples=50)
@given(st_numpy.arrays(np.int8, (57, 4), elements=st.integers(-127, 127)))
def test_no_angle_is_lost(turns_TC: np.ndarray) -> None:
    commands_TC = commands(57)
    commands_TC[:, 2] = turns_TC[:, 2]
    made = ticks(commands_TC)
    pixels = -commands_TC[1 : made[-1].picture + 1, 2].sum() * 256 * 3600 / 65536
    assert sum(tick.action.dx for tick in made) == pytest.approx(pixels, abs=0.5)
    assert sum(event.x for tick in made for event in tick.events) == sum(tick.action.dx for tick in made)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([(0, 0, 0), (50, 0, 0), (0, 0, 1), (-25, 40, 2), (0, 0, 4 | 3 << 3)]), min_size=40))
def test_no_press_is_lost(held: list[tuple[int, int, int]]) -> None:
    commands_TC = commands(len(held), {tic: (ahead, aside, 0, b) for tic, (ahead, aside, b) in enumerate(held)})
    before = action_of_command(0, 0, 0)
    first = 1
    for tick in ticks(commands_TC):
        for tic in range(first, tick.picture + 1):
            now = action_of_command(*held[tic])
            assert now.keys - before.keys <= tick.action.keys
            assert now.buttons - before.buttons <= tick.action.buttons
            before = now
        first = tick.picture + 1
        assert before.keys <= tick.action.keys, "what is down at its end is held in it"
        if tick.action.keys - before.keys:
            pressed = {event.name for event in tick.events if event.is_pressed}
            assert tick.action.keys - before.keys <= pressed, "what is not was tapped in it"


def test_events_are_of_hands_and_timed_by_their_command() -> None:
    tap = commands(12, {4: (0, 0, 1, 1)})  # the second command of the second tick
    events = [event for tick in ticks(tap) for event in tick.events]
    assert [(event.kind, event.is_pressed, event.time_ns // 1_000_000) for event in events] == [
        ("button", True, 75),
        ("mouse_delta", False, 75),
        ("button", False, 100),
    ]
    assert not any(event.is_simulated for event in events)
    assert [bool(tick.action.buttons) for tick in ticks(tap)] == [False, True, False, False, False, False]
