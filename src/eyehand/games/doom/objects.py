"""What is in a level of Doom: `DoomObject`, `DoomLine`, `DoomSector`. Units as in `state.py`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DoomLine", "DoomObject", "DoomSector"]


@dataclass(frozen=True, slots=True)
class DoomObject:
    """One object in the level: a monster, a pickup, a missile, a decoration, another player.

    Attributes:
        id: constant while the object exists.
        name: the engine's class name, e.g. "Cacodemon", "CustomMedikit", "DoomPlayer"; "Dead..." for corpses.
        x, y, z: position; angle_deg: where it faces; vx, vy: its speed in units per tic.
        is_visible: whether any of its pixels are in the picture.
        box: (x, y, w, h) of its visible pixels in the picture, None where it is not visible.
    """

    id: int
    name: str
    x: float
    y: float
    z: float
    angle_deg: float
    vx: float
    vy: float
    is_visible: bool
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class DoomLine:
    """A wall or an edge between two sectors, from (x1, y1) to (x2, y2)."""

    x1: float
    y1: float
    x2: float
    y2: float
    is_blocking: bool


@dataclass(frozen=True, slots=True)
class DoomSector:
    """A region of the floor plan with one floor and one ceiling, and the lines around it."""

    floor_height: float
    ceiling_height: float
    lines: tuple[DoomLine, ...]
