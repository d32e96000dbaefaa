"""WAD directories: lumps by name and level, damage in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from doom_lmp import freedoom, wad
from eyehand.errors import UserError
from eyehand.games.doom.wad import WadFile


def test_lumps_are_found_by_level(tmp_path: Path) -> None:
    path = wad(
        tmp_path / "a.wad", [("E1M1", b""), ("THINGS", b"one"), ("E1M2", b""), ("THINGS", b"two"), ("DEMO1", b"")]
    )
    found = WadFile(path)
    assert not found.is_game
    assert found.levels == ("E1M1", "E1M2")
    assert found.level_lump("E1M2", "THINGS") == b"two"
    with pytest.raises(UserError, match="no SEGS of the level E1M2"):
        found.level_lump("E1M2", "SEGS")


def test_a_real_game() -> None:
    found = WadFile(freedoom(2))
    assert found.is_game
    assert len(found.levels) == 32
    assert len(found.level_lump("MAP01", "THINGS")) % 10 == 0


def test_damage_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = wad(tmp_path / "a.wad", [("DEMO1", b"0123456789")])
    whole = path.read_bytes()
    for data, sentence in ((whole[:-1], "directory is cut off"), (b"PK" + whole, "no WAD"), (b"IWAD", "no WAD")):
        path.write_bytes(data)
        with pytest.raises(UserError, match=sentence):
            WadFile(path)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        WadFile(path)
