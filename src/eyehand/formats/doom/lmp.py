"""Doom's demos (.lmp): what every player commanded in every tic, 35 a second. Parses bytes, knows nothing about WADs.

    v1.4 to v1.9 (version 104-110)   13 bytes of header, 4 bytes per tic and player
    the same with fine turns (111)   5 bytes per tic and player
    Boom, MBF, PrBoom (201-214)      a header of 109 bytes with options; 4 bytes (214: 5) per tic and player
    MBF21 (221)                      a header with a list of rules, 5 bytes per tic and player

A demo ends with 0x80 in the place of a command; source ports write a footer behind it, with the files and options that
it was recorded with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError

__all__ = ["ATTACK", "SPECIAL", "TURN_UNITS", "USE", "LmpDemo", "parse_lmp", "weapon_of"]

TURN_UNITS = 65536
"""Units of a whole turn."""

ATTACK, USE, _CHANGE, SPECIAL = 1, 2, 4, 0x80
"""Bits of a command's buttons; with SPECIAL the others mean something else (pause, save)."""

_END = 0x80
_MAX_PLAYERS = 4
_BOOM_OPTIONS, _PLAYERS = 64, 32
_NUM_MBF21_RULES_AT = 32
_FLAGS = ("-solo-net", "-coop_spawns")
_VALUES = {
    "-complevel": r"1?\d|2[01]",
    "-emulate": r"[\d.]+",
    "-spechit": r"\d+",
    "-set": r"overrun_(spechit|reject|intercept|playeringame|donut|missedbackside)_emulate=[01]",
}
"""Options of a footer that are passed on to the game, with what their values look like."""

_LXDOOM = b"\xcb\x1dB"  # says the version of MBF, but has no flag


@dataclass(frozen=True)
class LmpDemo:
    """A demo.

    Attributes:
        name: where it came from, for messages.
        version: of the format, its first byte.
        skill: 1 (easiest) to 5.
        episode, map: of its first level.
        is_deathmatch: the players play against each other.
        is_without_monsters: as far as the header says so.
        players: the numbers of those who take part, from 0.
        commands_TPC: int32 (tics, players, 4): forward and side move, turn in units of 1/65536 (positive: to the left),
            buttons.
        data: its bytes, whole tics without the footer.
        iwad, files: names of the files that the footer says it was recorded with; empty where it says nothing.
        options: of the footer, those that change how the game plays and name no file, as dsda-doom takes them.
    """

    name: str
    version: int
    skill: int
    episode: int
    map: int
    is_deathmatch: bool
    is_without_monsters: bool
    players: tuple[int, ...]
    commands_TPC: NDArray[np.int32]
    data: bytes
    iwad: str
    files: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def num_tics(self) -> int:
        return len(self.commands_TPC)

    @property
    def has_four_weapon_bits(self) -> bool:
        """Whether a command names a weapon in four bits; three before Boom."""
        return self.version >= 200


def parse_lmp(data: bytes, name: str) -> LmpDemo:
    """Read a demo.

    Raises:
        UserError: it is none, of a kind that is not read here, or cut off.
    """
    if not data:
        raise UserError(f"{name} is empty: leave it out.")
    version = data[0]
    layout = _layout(data)
    if layout is None:
        raise UserError(
            f"{name} is no demo of Doom v1.4 to v1.9, Boom, MBF, PrBoom or MBF21 (its first byte is {version}): "
            "leave it out."
        )
    first, players_at, header, is_long = layout
    skill, episode, level, deathmatch = data[first : first + 4].ljust(4, b"\0")
    present = data[players_at : players_at + _MAX_PLAYERS]
    players = tuple(number for number, is_there in enumerate(present) if is_there)
    if not players or not 0 <= skill <= 4 or len(data) <= header:
        raise UserError(f"{name} is no demo, or a damaged one (its header makes no sense): leave it out.")
    size = 5 if is_long else 4
    body = np.frombuffer(data, np.uint8, offset=header)
    ends = np.flatnonzero(body[::size] == _END)  # where any player's command would begin
    num_tics = int(ends[0]) // len(players) if len(ends) else 0
    if num_tics == 0:
        raise UserError(f"{name} is cut off (its end mark is missing) or empty: fetch it again or leave it out.")
    end = num_tics * len(players) * size
    iwad, files, options = _recorded_with(data[header + int(ends[0]) * size + 1 :])
    return LmpDemo(
        name,
        version,
        skill + 1,
        episode,
        level,
        bool(deathmatch),
        version <= 111 and bool(data[7]),
        players,
        _commands(body[:end].reshape(num_tics, len(players), size)),
        data[: header + end] + bytes([_END]),
        iwad,
        files,
        options,
    )


def weapon_of(buttons: int, *, has_four_bits: bool) -> int | None:
    """The number of the weapon that is asked for (0 fist, 1 pistol, ... 7 chainsaw, 8 double shotgun); None: none."""
    if not buttons & _CHANGE:
        return None
    return buttons >> 3 & (15 if has_four_bits else 7)


def _layout(data: bytes) -> tuple[int, int, int, bool] | None:
    """Where skill, episode and so on begin, where the players, where the commands, and whether turns have two bytes."""
    version = data[0]
    if 104 <= version <= 111:
        return 1, 9, 13, version == 111
    is_signed = data[1:2] == b"\x1d" and b"\xe6" in data[5:7]
    if 201 <= version <= 214 and is_signed and data[:3] != _LXDOOM:
        # Version, signature, a flag, five facts, options, players.
        return 8, 13 + _BOOM_OPTIONS, 13 + _BOOM_OPTIONS + _PLAYERS, version == 214
    if version == 221 and is_signed and len(data) > _NUM_MBF21_RULES_AT:
        players_at = _NUM_MBF21_RULES_AT + 1 + data[_NUM_MBF21_RULES_AT]
        return 7, players_at, players_at + _PLAYERS, True
    return None


def _commands(body_TPB: NDArray[np.uint8]) -> NDArray[np.int32]:
    signed = body_TPB.view(np.int8).astype(np.int32)
    is_short = body_TPB.shape[2] == 4
    turn = signed[..., 2] * 256 if is_short else signed[..., 3] * 256 + body_TPB[..., 2]
    commands_TPC: NDArray[np.int32] = np.stack(
        [signed[..., 0], signed[..., 1], turn, body_TPB[..., -1].astype(np.int32)], axis=2
    )
    return commands_TPC


def _recorded_with(footer: bytes) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Game, files and options of a port's footer, such as `-iwad "doom2.wad" -file "av.wad" -solo-net`."""
    text = footer.decode("latin-1")
    named: dict[str, list[str]] = {"iwad": [], "file": [], "deh": []}
    for kind, group in re.findall(r'-(iwad|file|deh)((?:\s+"[^"\n\0]+")+)', text):
        ending = ".deh" if kind == "deh" else ".wad"
        named[kind] += [_base_name(path, ending) for path in re.findall(r'"([^"]+)"', group)]
    words = re.sub(r'"[^"]*"', '""', text).replace("\0", " ").split()  # what a file's name says is no option
    options = [word for word in words if word in _FLAGS]
    for word, value in pairwise(words):
        if word in _VALUES and re.fullmatch(_VALUES[word], value):
            options += ["-assign" if word == "-set" else word, value]
    return "".join(named["iwad"][:1]), (*named["file"], *named["deh"]), tuple(options)


def _base_name(path: str, ending: str) -> str:
    """The name of a file in small letters; as every Doom does, one without an ending gets the usual one."""
    name = re.split(r"[\\/]", path)[-1].lower()
    return name if "." in name else name + ending
