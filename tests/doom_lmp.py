"""Doom demos and WADs made by hand, for tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

needs_dsda = pytest.mark.needs("dsda-doom")


def freedoom(number: int) -> Path:
    """Freedoom's first or second game, as it comes with the vizdoom package."""
    import vizdoom

    return Path(vizdoom.__file__).parent / f"freedoom{number}.wad"


def commands(num_tics: int, changes: dict[int, tuple[int, int, int, int]] | None = None) -> np.ndarray:
    """One player's commands (forward, side, turn in 256ths of 65536, buttons), nothing but where it is said."""
    commands_TC = np.zeros((num_tics, 4), np.int16)
    for tic, command in (changes or {}).items():
        commands_TC[tic] = command
    return commands_TC


def lmp(
    players: Sequence[np.ndarray],
    *,
    version: int = 109,
    skill: int = 2,
    episode: int = 1,
    level: int = 1,
    deathmatch: int = 0,
    no_monsters: int = 1,
    footer: bytes = b"",
) -> bytes:
    """A demo of Doom v1.4 to v1.9, or with fine turns (111; then turns are in units of 1/65536)."""
    there = [int(number < len(players)) for number in range(4)]
    header = bytes([version, skill, episode, level, deathmatch, 0, 0, no_monsters, 0, *there])
    body = b"".join(_command(command, version == 111) for tic in zip(*players, strict=True) for command in tic)
    return header + body + b"\x80" + footer


def _command(command: np.ndarray, is_long: bool) -> bytes:
    return struct.pack("<bbhB" if is_long else "<bbbB", *map(int, command))


def wad(path: Path, lumps: Sequence[tuple[str, bytes]], *, kind: bytes = b"PWAD") -> Path:
    """A WAD with these lumps."""
    data, directory = b"", b""
    for name, content in lumps:
        directory += struct.pack("<ii8s", 12 + len(data), len(content), name.encode())
        data += content
    path.write_bytes(struct.pack("<4sii", kind, len(lumps), 12 + len(data)) + data + directory)
    return path
