"""Levels of Doom made by hand, for tests: rooms in a row from west to east, 256 units deep."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from doom_lmp import wad

DEPTH = 256
START, BLUE_CARD = 1, 5


@dataclass(frozen=True)
class Room:
    """A room of the row.

    Attributes:
        width, floor, ceiling, tag: as in the level.
        things: editor numbers of the things in its middle.
        switch: special and tag of its southern wall.
        edges: special and tag of the lines to the rooms on both sides, seen from there; lines that face this room.
        over: special and tag of the line to the next room, seen from here.
    """

    width: int = 256
    floor: int = 0
    ceiling: int = 128
    tag: int = 0
    things: Sequence[int] = ()
    switch: tuple[int, int] = (0, 0)
    edges: tuple[int, int] = (0, 0)
    over: tuple[int, int] = (0, 0)


def row_of_rooms(path: Path, *rooms: Room, level: str = "MAP01") -> Path:
    """A WAD with one level: these rooms."""
    vertexes, lines, sides, sectors, things = b"", b"", b"", b"", b""
    num_vertexes = num_sides = 0

    def line(start: tuple[int, int], end: tuple[int, int], what: tuple[int, int], *sectors_beside: int) -> None:
        nonlocal vertexes, lines, sides, num_vertexes, num_sides
        vertexes += struct.pack("<4h", *start, *end)
        numbers = [num_sides + n if n < len(sectors_beside) else 0xFFFF for n in range(2)]
        flags = 4 if len(sectors_beside) == 2 else 1
        lines += struct.pack("<7H", num_vertexes, num_vertexes + 1, flags, *what, *numbers)
        for sector in sectors_beside:
            sides += struct.pack("<2h8s8s8sH", 0, 0, b"-", b"-", b"-", sector)
        num_vertexes, num_sides = num_vertexes + 2, num_sides + len(sectors_beside)

    west = 0
    for n, room in enumerate(rooms):
        east = west + room.width
        sectors += struct.pack("<2h8s8s2hH", room.floor, room.ceiling, b"FLAT", b"FLAT", 160, 0, room.tag)
        line((west, DEPTH), (east, DEPTH), (0, 0), n)
        line((east, 0), (west, 0), room.switch, n)
        if n == 0:
            line((west, 0), (west, DEPTH), (0, 0), n)
        if n == len(rooms) - 1:
            line((east, DEPTH), (east, 0), (0, 0), n)
        elif rooms[n + 1].edges[0]:
            line((east, DEPTH), (east, 0), rooms[n + 1].edges, n, n + 1)
        else:
            line((east, 0), (east, DEPTH), room.edges if room.edges[0] else room.over, n + 1, n)
        for number in room.things:
            things += struct.pack("<5h", (west + east) // 2, DEPTH // 2, 0, number, 7)
        west = east
    lumps = {"THINGS": things, "LINEDEFS": lines, "SIDEDEFS": sides, "VERTEXES": vertexes, "SECTORS": sectors}
    return wad(path, [(level, b""), *lumps.items()])
