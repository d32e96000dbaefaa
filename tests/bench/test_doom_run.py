"""What happened in a demo: rooms from the level's plan, kills from the game's own savegame."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from doom_run import _ends_of_lives, run_of
from doom_sectors import LevelPlan

from doom_lmp import commands, freedoom, lmp, wad
from eyehand.errors import UserError
from eyehand.formats.doom.dsda import Replay, Wads
from eyehand.formats.doom.lmp import LmpDemo, parse_lmp
from eyehand.games.doom.wad import WadFile


def two_rooms(path: Path, *, sector_of_east: int = 1) -> WadFile:
    """A level that a line from south to north parts: sector 7 in the west, another one in the east."""
    node = struct.pack("<4h8h2H", 0, -100, 0, 200, *8 * [0], 0x8000, 0x8001)  # east is in front of it
    segs = struct.pack("<2HhHHh", 0, 1, 0, 0, 0, 0) + struct.pack("<2HhHHh", 1, 0, 0, 0, 1, 0)
    line = struct.pack("<7H", 0, 1, 4, 0, 0, 0, 1)
    sides = b"".join(struct.pack("<2h24sH", 0, 0, b"", sector) for sector in (sector_of_east, 7))
    leaves = struct.pack("<4H", 1, 0, 1, 1)
    lumps = [("SSECTORS", leaves), ("NODES", node), ("SEGS", segs), ("LINEDEFS", line), ("SIDEDEFS", sides)]
    return WadFile(wad(path, [("MAP01", b""), *lumps]))


def test_points_lie_in_the_sector_of_their_side(tmp_path: Path) -> None:
    plan = LevelPlan(two_rooms(tmp_path / "rooms.wad"), "MAP01")
    assert plan.num_sectors == 8
    assert plan.sectors_at([(5, 0), (-5, 0), (5, 900), (-0.1, -900)]).tolist() == [1, 7, 1, 7]
    assert plan.sectors_at(np.empty((0, 2))).tolist() == []


def test_a_level_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="level MAP02"):
        LevelPlan(two_rooms(tmp_path / "rooms.wad"), "MAP02")


def test_monsters_and_starts_of_a_real_level_stand_in_many_sectors() -> None:
    game = WadFile(freedoom(2))
    things = np.frombuffer(game.level_lump("MAP01", "THINGS"), "<i2").reshape(-1, 5)
    plan = LevelPlan(game, "MAP01")
    sectors = plan.sectors_at(things[:, :2])
    assert 10 < len(set(sectors.tolist())) < plan.num_sectors
    starts = plan.sectors_at(things[np.isin(things[:, 3], (1, 2, 3, 4)), :2])
    assert len(set(starts.tolist())) <= 2, "the players begin together"


def test_the_game_is_saved_before_each_death_and_at_the_end() -> None:
    demo = parse_lmp(lmp([commands(12)]), "x")
    lives = {
        "...........": [12],
        "....##......": [3, 12],  # row 4 is tic 5: it died in tic 4, and the save of tic 3 is made as tic 4 begins
        "....##...###": [3, 8],
        "#...........": [12],
    }
    for rows, tics in lives.items():
        is_dead = np.array([[mark == "#"] for mark in rows])
        levels = np.ones((len(is_dead), 2), np.int32)
        played = Replay(1, np.zeros((len(is_dead), 1, 2)), np.zeros((len(is_dead), 1)), is_dead, levels, ())
        assert _ends_of_lives(played, demo) == tics


@pytest.mark.needs("dsda-doom", "chocolate-doom")
@pytest.mark.parametrize("version", [109, 111])
def test_a_walk_has_its_length(version: int) -> None:
    """35 tics of running from rest, by Doom's thrust and friction, with nothing in the way."""
    run = run_of(_walk(version), Wads(freedoom(2)))
    speed = length = 0.0
    for tic in range(1, 57):
        speed += 50 * 2048 / 65536 if 20 <= tic < 27 else 0.0
        length += speed
        speed = speed * 0xE800 / 65536
    assert run.distance == pytest.approx(length, rel=0.02)
    assert (run.kills, run.deaths, run.exits, run.health) == (0, 0, 0, 100)
    assert run.seconds == 7 / 35


def _walk(version: int) -> LmpDemo:
    steps = dict.fromkeys(range(20, 27), (50, 0, 0, 0))
    return parse_lmp(lmp([commands(57, steps)], version=version), "walk")


@pytest.mark.needs("dsda-doom", "chocolate-doom")
def test_what_a_person_did_in_a_real_demo() -> None:
    """Freedoom's own first demo: two engines play it to the same end."""
    game = WadFile(freedoom(2))
    demo = parse_lmp(game.read(next(lump for lump in game.lumps if lump.name == "DEMO1")), "DEMO1")
    run = run_of(demo, Wads(freedoom(2)))
    assert (run.deaths, run.exits, run.health) == (1, 0, 0)
    assert 20 < run.kills < 60
    assert 30 < run.sectors <= LevelPlan(game, "MAP03").num_sectors
    assert 5_000 < run.distance < 16 * demo.num_tics


def test_a_demo_of_several_players_is_refused() -> None:
    with pytest.raises(UserError, match="one player"):
        run_of(parse_lmp(lmp([commands(5), commands(5)]), "two"), Wads(freedoom(2)))
