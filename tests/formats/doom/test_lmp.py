"""Demos as bytes: every version that is read, and nothing but one sentence for what is not."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doom_lmp import commands, lmp
from eyehand.errors import UserError
from eyehand.formats.doom.lmp import parse_lmp, weapon_of

FIRST = commands(5, {0: (50, -40, 3, 1), 4: (-25, 24, -128, 0b10110)})
SECOND = commands(5, {2: (0, 0, 127, 2)})


def test_commands_of_all_players() -> None:
    demo = parse_lmp(lmp([FIRST, SECOND], skill=3, level=15), "x")
    assert (demo.skill, demo.episode, demo.map, demo.players, demo.num_tics) == (4, 1, 15, (0, 1), 5)
    assert not demo.is_deathmatch
    turned = np.array([1, 1, 256, 1])
    np.testing.assert_array_equal(demo.commands_TPC[:, 0], FIRST * turned)
    np.testing.assert_array_equal(demo.commands_TPC[:, 1], SECOND * turned)


def test_fine_turns() -> None:
    fine = commands(3, {1: (50, 0, -7, 0), 2: (0, 0, 32767, 1)})
    np.testing.assert_array_equal(parse_lmp(lmp([fine], version=111), "x").commands_TPC[:, 0], fine)


def test_boom() -> None:
    options = bytes(range(64))
    data = b"\xca\x1dBoom\xe6\x00" + bytes([2, 1, 7, 0, 0]) + options + bytes([1, 0, 1] + 29 * [0])
    data += b"".join(bytes([50, 0, 1, 4 | 8 << 3]) for _ in range(6)) + b"\x80"
    demo = parse_lmp(data, "x")
    assert (demo.version, demo.skill, demo.map, demo.players, demo.num_tics) == (202, 3, 7, (0, 2), 3)
    assert weapon_of(int(demo.commands_TPC[0, 0, 3]), has_four_bits=demo.has_four_weapon_bits) == 8


def test_mbf_and_its_heirs() -> None:
    """MBF's signature is a letter shorter; MBF21 says itself how many rules it has."""
    facts, there, tics = bytes([1, 1, 4, 1, 0]), bytes([1] + 31 * [0]), 2 * bytes([50, 0, 1, 0])
    mbf = parse_lmp(b"\xcb\x1dMBF\xe6\x00\x00" + facts + bytes(64) + there + tics + b"\x80", "mbf")
    rules = bytes(20) + bytes([3, 1, 1, 1])
    long_tics = 2 * bytes([50, 0, 0x34, 0x12, 0])
    mbf21 = parse_lmp(b"\xdd\x1dMBF\xe6\x00" + facts + rules + there + long_tics + b"\x80", "mbf21")
    for demo, turn in ((mbf, 256), (mbf21, 0x1234)):
        assert (demo.skill, demo.map, demo.is_deathmatch, demo.players, demo.num_tics) == (2, 4, True, (0,), 2)
        assert demo.commands_TPC[1, 0].tolist() == [50, 0, turn, 0]


def test_weapons_before_boom_have_three_bits() -> None:
    assert [weapon_of(4 | slot << 3, has_four_bits=False) for slot in range(8)] == list(range(8))
    assert weapon_of(0b01000100, has_four_bits=False) == 0
    assert weapon_of(0b01000100, has_four_bits=True) == 8
    assert weapon_of(0b00111001, has_four_bits=False) is None


def test_the_footer_says_what_it_was_recorded_with() -> None:
    footer = b'PWAD...CMDLINE\0-iwad "C:\\Games\\DOOM2.WAD" -file "/home/a/Av.wad" "av.deh" -complevel 2\n'
    demo = parse_lmp(lmp([FIRST], footer=footer), "x")
    assert (demo.iwad, demo.files, demo.options) == ("doom2.wad", ("av.wad", "av.deh"), ("-complevel", "2"))
    assert demo.data == lmp([FIRST]), "the footer must not reach the game"


def test_a_bare_name_is_that_of_a_wad_or_a_patch() -> None:
    footer = b'-iwad "doom2" -file "mylevel" "odd.v2" -deh "C:\\mine"\n'
    demo = parse_lmp(lmp([FIRST], footer=footer), "x")
    assert (demo.iwad, demo.files) == ("doom2.wad", ("mylevel.wad", "odd.v2", "mine.deh"))


def test_options_that_change_play_are_kept_and_no_others() -> None:
    footer = (
        b'PORTNAME\0-iwad "doom2.wad" -file "a -fast -solo-net b.wad" -solo-net -coop_spawns -emulate 2.5.1.4 '
        b"-spechit 1234 -set overrun_spechit_emulate=1 -set savegame=/etc/passwd -complevel vanilla -complevel 99 "
        b"-config mine.cfg -record over -spechit_overflow 1 \n\nPWAD"
    )
    demo = parse_lmp(lmp([FIRST], footer=footer), "x")
    assert demo.options == (
        *("-solo-net", "-coop_spawns", "-emulate", "2.5.1.4", "-spechit", "1234"),
        *("-assign", "overrun_spechit_emulate=1"),
    )


def test_the_end_mark_may_lie_between_the_commands_of_two_players() -> None:
    whole = lmp([FIRST, SECOND])
    cut = whole[:-1] + bytes([50, 0, 0, 0]) + b"\x80" + b'-iwad "doom2.wad"\n'
    demo = parse_lmp(cut, "x")
    assert (demo.num_tics, demo.players, demo.data, demo.iwad) == (5, (0, 1), whole, "doom2.wad")
    np.testing.assert_array_equal(demo.commands_TPC, parse_lmp(whole, "x").commands_TPC)


def test_the_end_is_where_a_tic_would_begin() -> None:
    """0x80 in the buttons is no end."""
    demo = parse_lmp(lmp([commands(3, {1: (0, 0, 0, 0x80)})]), "x")
    assert demo.num_tics == 3


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x01", "first byte is 0"),
        (b"PK\x03\x04 and so on", "first byte is 80"),
        (b"\xdd\x1dMBF2" + 200 * b"\0", "first byte is 221"),
        (b"\xcb\x1dBoom\xe6" + 200 * b"\0", "first byte is 203"),
        (lmp([FIRST])[:-1], "cut off"),
        (lmp([FIRST])[:13], "makes no sense"),
        (lmp([])[:13] + b"\x80", "makes no sense"),
        (lmp([FIRST], skill=77), "makes no sense"),
        (lmp([commands(0)]), "cut off .* or empty"),
    ],
)
def test_what_is_no_demo_gets_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_lmp(data, "a.lmp")


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=120).map(lambda data: lmp([FIRST])[:13] + data)))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(UserError):
        assert parse_lmp(data, "x").num_tics > 0
