"""Statistics of a game of Doom from the demo that the game recorded of it: distance, sectors, kills, deaths.

The demo is replayed twice, so that every figure is exact and none is guessed from pictures: by dsda-doom, which writes
down where the player was in every tic, and by Chocolate Doom, which is made to save the game at the end of every life;
the number of kills is read from what it saved.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from doom_sectors import LevelPlan

from eyehand.errors import UserError
from eyehand.formats.doom.demos import level_name
from eyehand.formats.doom.dsda import Replay, Wads, replay
from eyehand.formats.doom.lmp import LmpDemo
from eyehand.games.doom.controls import TICS_PER_SECOND
from eyehand.games.doom.wad import WadFile

__all__ = ["DoomRun", "run_of"]

_LONGEST_STEP = 64.0
"""Map units; nobody runs so far in a tic: a longer step is a teleporter, or a new life."""

_CELL = 128.0
_SAVE = 0x82  # a command's buttons: save the game in slot 0
_OLD_HEADER, _LONG_VERSION = 13, 111
_SAVED_PLAYER, _SAVED_HEALTH, _SAVED_KILLS = 52, 32, 204  # where a saved game has the player, and the player these
_GAME_S = 300


@dataclass(frozen=True)
class DoomRun:
    """Statistics of one player in one demo.

    Attributes:
        seconds: of game time, from the first command to the last.
        distance: walked, in map units; a player is 32 wide and runs about 570 a second.
        sectors: different sectors entered, over all levels; cells: different squares of 128 units.
        kills: monsters that died, but for the tic of the player's own death; deaths: the player's.
        exits: levels finished.
        health: at the end.
    """

    seconds: float
    distance: float
    sectors: int
    cells: int
    kills: int
    deaths: int
    exits: int
    health: int


def run_of(demo: LmpDemo, wads: Wads) -> DoomRun:
    """What the first player of a demo did.

    Raises:
        UserError: dsda-doom or Chocolate Doom is missing, or the demo cannot be played, or is newer than v1.9.
    """
    if demo.version > _LONG_VERSION or len(demo.players) > 1:
        raise UserError(f"{demo.name} is not a demo of one player by Doom v1.4 to v1.9: its kills cannot be counted.")
    played = replay(demo, wads)
    is_dead_T = played.is_dead_TP[:, 0]
    steps_T2 = np.diff(played.xy_TP2[:, 0], axis=0)
    lengths_T = np.hypot(*steps_T2.T)
    is_walk_T = (lengths_T < _LONGEST_STEP) & ~is_dead_T[1:]
    places = [
        (tuple(level), sector, *cell)
        for level, sector, cell in zip(
            played.levels_T.tolist(),
            _sectors(played, wads),
            np.floor(played.xy_TP2[:, 0] / _CELL).astype(int).tolist(),
            strict=True,
        )
    ]
    lives = [_saved(demo, wads, tic) for tic in _ends_of_lives(played, demo)]
    return DoomRun(
        seconds=_num_active_tics(demo) / TICS_PER_SECOND,
        distance=float(lengths_T[is_walk_T].sum()),
        sectors=len({place[:2] for place in places}),
        cells=len({(place[0], *place[2:]) for place in places}),
        kills=sum(kills for _, kills in lives) + sum(map(_kills_of_exit, played.exits)),
        deaths=int(played.num_deaths[0]),
        exits=len(played.exits),
        health=0 if is_dead_T[-1] else lives[-1][0],
    )


def _num_active_tics(demo: LmpDemo) -> int:
    active = np.flatnonzero(demo.commands_TPC.any(axis=(1, 2)))
    return int(active[-1] - active[0]) + 1 if len(active) else 0


def _sectors(played: Replay, wads: Wads) -> list[int]:
    """The sector of every tic."""
    sectors_T = np.zeros(len(played.levels_T), np.int64)
    for episode, number in np.unique(played.levels_T, axis=0).tolist():
        level = level_name(episode, number, wads)
        wad = next((wad for wad in map(WadFile, reversed(wads.wads)) if level in wad.levels), None)
        if wad is None:
            raise UserError(f"None of {', '.join(map(str, wads.wads))} has {level}.")
        is_here_T = (played.levels_T == (episode, number)).all(axis=1)
        sectors_T[is_here_T] = LevelPlan(wad, level).sectors_at(played.xy_TP2[is_here_T, 0])
    return sectors_T.tolist()


def _ends_of_lives(played: Replay, demo: LmpDemo) -> list[int]:
    """The tics at which to save: just before each death, since the dead cannot, and at the end of those who live."""
    is_dead_T = played.is_dead_TP[:, 0].tolist()
    died = [row for row, (before, after) in enumerate(pairwise(is_dead_T), start=1) if after and not before]
    before = [max(0, played.first_tic + row - 2) for row in died]  # it saves at the beginning of the tic after
    return before if is_dead_T[-1] else [*before, demo.num_tics]


def _saved(demo: LmpDemo, wads: Wads, tic: int) -> tuple[int, int]:
    """Health and kills after so many tics, as the game saves them; (0, 0) between levels, where it saves nothing."""
    size = 5 if demo.version == _LONG_VERSION else 4
    idle = bytes(size)
    data = demo.data[: _OLD_HEADER + tic * size] + idle[:-1] + bytes([_SAVE]) + 8 * idle + b"\x80"
    with tempfile.TemporaryDirectory(prefix="eyehand-chocolate-") as name:
        folder = Path(name)
        (folder / "life.lmp").write_bytes(data)
        (folder / "extra.cfg").write_text("vanilla_savegame_limit 0\nvanilla_demo_limit 0\nshow_endoom 0\n", "ascii")
        command = [_program(), *wads.arguments, "-timedemo", "life"]
        command += ["-nodraw", "-noblit", "-nosound", "-nomusic", "-savedir", name, "-config", "default.cfg"]
        command += ["-extraconfig", "extra.cfg"]
        quiet = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "HOME": name}
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command, cwd=folder, env={**os.environ, **quiet}, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=_GAME_S, check=False,
            )  # fmt: skip
        saved = next(folder.rglob("*.dsg"), None)
        if saved is None:
            return 0, 0
        content = saved.read_bytes()
    if len(content) < _SAVED_PLAYER + _SAVED_KILLS + 4 or not content[24:].startswith(b"version 1"):
        raise UserError(f"Chocolate Doom saved {demo.name} in a way that is not known here: use its version 3.")
    health, kills = (struct.unpack_from("<i", content, _SAVED_PLAYER + at)[0] for at in (_SAVED_HEALTH, _SAVED_KILLS))
    return health, kills


def _kills_of_exit(line: str) -> int:
    found = re.search(r"K:\s*(\d+)", line)
    return int(found[1]) if found else 0


def _program() -> str:
    found = shutil.which("chocolate-doom") or shutil.which("chocolate-doom", path="/usr/games:/usr/local/games")
    if found is None:
        raise UserError("Kills are counted by Chocolate Doom: install it with `apt install chocolate-doom`.")
    return found
