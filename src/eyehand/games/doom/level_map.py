"""A level's map as its WAD has it: sectors, lines with their specials and tags, and things. Doom's binary format.

Sectors have the numbers and the order that the engine gives them. Knows nothing about what specials do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError
from eyehand.games.doom.objects import DoomLine, DoomSector
from eyehand.games.doom.wad import WadFile

__all__ = ["LevelMap", "MapLine", "MapThing", "read_level"]

_LINE = np.dtype([("ends", "<u2", 2), ("flags", "<u2"), ("special", "<u2"), ("tag", "<u2"), ("sides", "<u2", 2)])
_SIDE = np.dtype([("offsets", "<i2", 2), ("textures", "S8", 3), ("sector", "<u2")])
_SECTOR = np.dtype(
    [("floor", "<i2"), ("ceiling", "<i2"), ("flats", "S8", 2), ("light", "<i2"), ("special", "<i2"), ("tag", "<u2")]
)
_THING = np.dtype([("place", "<i2", 2), ("angle", "<i2"), ("number", "<u2"), ("flags", "<u2")])
_NO_SIDE = 0xFFFF
_IS_BLOCKING = 1


@dataclass(frozen=True, slots=True)
class MapLine:
    """A line with what it does.

    Attributes:
        line: its ends; its front is to the right of the way from the first to the second.
        special: number of what it does, 0 for nothing; tag: of the sectors that it does this to.
        front, back: the numbers of the sectors on both sides; None: nothing is there.
    """

    line: DoomLine
    special: int
    tag: int
    front: int
    back: int | None

    def beside(self, distance: float) -> tuple[float, float]:
        """The point so far in front of its middle (negative: behind it)."""
        line = self.line
        dx, dy = line.x2 - line.x1, line.y2 - line.y1
        share = distance / max(1.0, math.hypot(dx, dy))
        return (line.x1 + line.x2) / 2 + dy * share, (line.y1 + line.y2) / 2 - dx * share


@dataclass(frozen=True, slots=True)
class MapThing:
    """Something that the level begins with: its editor number and place; flags: at which skills it is there."""

    number: int
    x: float
    y: float
    flags: int


@dataclass(frozen=True)
class LevelMap:
    """A level as it begins.

    Attributes:
        sectors: as in `DoomState`; tags: of every sector.
        lines: all lines.
        things: all things.
    """

    sectors: tuple[DoomSector, ...]
    tags: tuple[int, ...]
    lines: tuple[MapLine, ...]
    things: tuple[MapThing, ...]


def read_level(wad: WadFile, level: str) -> LevelMap:
    """The map of a level.

    Raises:
        UserError: the WAD has not this level, or it is damaged or of a kind that is not read here.
    """

    def table(name: str, kind: np.dtype[np.void]) -> NDArray[np.void]:
        data = wad.level_lump(level, name)
        return np.frombuffer(data, kind, len(data) // kind.itemsize)

    rows, sides = table("LINEDEFS", _LINE), table("SIDEDEFS", _SIDE)
    vertexes = table("VERTEXES", np.dtype([("place", "<i2", 2)]))["place"].astype(np.float64)
    try:
        ends_L4 = vertexes[rows["ends"]].reshape(-1, 4).tolist()
        front_L = sides["sector"][rows["sides"][:, 0]].tolist()
        has_back_L = rows["sides"][:, 1] != _NO_SIDE
        back_L = sides["sector"][np.where(has_back_L, rows["sides"][:, 1], 0)].tolist()
        lines_of: list[list[DoomLine]] = [[] for _ in table("SECTORS", _SECTOR)]
        lines = []
        for (x1, y1, x2, y2), row, front, back, has_back in zip(
            ends_L4, rows, front_L, back_L, has_back_L, strict=True
        ):
            line = DoomLine(x1, y1, x2, y2, not has_back or bool(row["flags"] & _IS_BLOCKING))
            lines.append(MapLine(line, int(row["special"]), int(row["tag"]), front, back if has_back else None))
            for sector in {front, back} if has_back else {front}:
                lines_of[sector].append(line)
    except IndexError as error:
        raise UserError(f"{level} of {wad.path} is damaged, or of a kind that is not read here.") from error
    sectors = table("SECTORS", _SECTOR)
    return LevelMap(
        tuple(
            DoomSector(float(row["floor"]), float(row["ceiling"]), tuple(around))
            for row, around in zip(sectors, lines_of, strict=True)
        ),
        tuple(sectors["tag"].tolist()),
        tuple(lines),
        tuple(
            MapThing(number, float(x), float(y), flags) for (x, y), _, number, flags in table("THINGS", _THING).tolist()
        ),
    )
