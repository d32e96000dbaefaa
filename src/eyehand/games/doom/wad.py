"""Doom's WAD files: which lumps they hold, and what is in them. Reads, never writes; knows nothing about games.

A WAD is a header (IWAD: a whole game, PWAD: an addition to one), lumps, and a directory of them. Names may repeat: a
level is a marker lump such as E1M1 or MAP01 with lumps of the same names behind it in every level.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError, unreadable
from eyehand.foreign import open_regular

__all__ = ["Lump", "WadFile"]

_LEVEL = re.compile(r"E\dM\d|MAP\d\d")


@dataclass(frozen=True)
class Lump:
    """An entry of the directory: name, and where its bytes are in the file."""

    name: str
    offset: int
    size: int


class WadFile:
    """The directory of a WAD.

    Attributes:
        path: the file.
        is_game: whether it is an IWAD.
        lumps: in the file's order.

    Raises:
        UserError: it is missing, cannot be read, or is no WAD.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with open_regular(path) as file:
                size = file.seek(0, 2)
                file.seek(0)
                header = file.read(12)
                if len(header) < 12 or header[:4] not in (b"IWAD", b"PWAD"):
                    raise UserError(f"{path} is no WAD file: give Doom WADs, or demos that end in .lmp.")
                num_lumps, offset = struct.unpack("<ii", header[4:])
                if num_lumps < 0 or not 0 <= offset <= size - 16 * num_lumps:
                    raise UserError(f"{path} is damaged (its directory is cut off): fetch it again.")
                file.seek(offset)
                directory = file.read(16 * num_lumps)
        except OSError as error:
            raise unreadable(path, error) from error
        self.is_game = header[:4] == b"IWAD"
        self.lumps = tuple(
            Lump(name.split(b"\0")[0].decode("latin-1").upper(), offset, size)
            for offset, size, name in struct.iter_unpack("<ii8s", directory)
        )

    def read(self, lump: Lump) -> bytes:
        """The bytes of a lump.

        Raises:
            UserError: the file is cut off.
        """
        with open_regular(self.path) as file:
            file.seek(max(0, lump.offset))
            data = file.read(max(0, lump.size))
        if len(data) != lump.size:
            raise UserError(f"{self.path} is damaged ({lump.name} is cut off): fetch it again.")
        return data

    @property
    def levels(self) -> tuple[str, ...]:
        """The names of the levels in it."""
        return tuple(lump.name for lump in self.lumps if _LEVEL.fullmatch(lump.name))

    def level_lump(self, level: str, name: str) -> bytes:
        """A lump of a level (`SECTORS`, ...); the last level of that name counts, as in the game.

        Raises:
            UserError: there is no such level or lump.
        """
        starts = [index for index, lump in enumerate(self.lumps) if lump.name == level]
        for lump in self.lumps[starts[-1] + 1 : starts[-1] + 12] if starts else ():
            if lump.name == name:
                return self.read(lump)
        raise UserError(f"{self.path} has no {name} of the level {level}: give the WAD that has it.")
