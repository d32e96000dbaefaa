"""The privileged state of Doom: `DoomState`, captured with a picture, for scripted experts. A policy never sees it.

Lengths are Doom map units, angles degrees, speeds map units per tic (1/35 s). x grows to the east, y to the north; an
angle of 0 looks east and grows counter-clockwise. Knows nothing about the engine: `engine.py` fills these in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eyehand.games.doom.objects import DoomObject, DoomSector

if TYPE_CHECKING:
    from eyehand.games.doom.level_route import LevelRoute

__all__ = ["DoomState"]


@dataclass(frozen=True, slots=True, eq=False)
class DoomState:
    """The privileged state at one tick.

    Attributes:
        tick: ticks (1/20 s) since the episode began.
        x, y, z, angle_deg, pitch_deg: the player's position and view; pitch is positive downwards.
        vx, vy: the player's speed in units per tic.
        health, armor: as on the status bar.
        ammo: rounds left for the selected weapon (0 for fists).
        weapon: number of the selected weapon's slot (1 fists, 2 pistol, ... 5 rocket launcher), 0 without any.
        kills: monsters (in a deathmatch: other players) killed in this episode.
        deaths: how often the player died in this episode.
        is_dead: whether the player lies dead now.
        objects: everything but the player itself.
        depth: uint8 (screen_height, screen_width), 0 nearest, 255 farthest; None where it is not captured.
        sectors: the level's geometry as it is when the episode begins (doors move, this does not).
        screen_width, screen_height: size of the picture that boxes and depth refer to, in pixels.
        fov_deg: horizontal angle of view.
        heights: floor and ceiling of every sector now.
        route: the way to the exit, where the score counts how much of it was walked.
    """

    tick: int
    x: float
    y: float
    z: float
    angle_deg: float
    pitch_deg: float
    vx: float
    vy: float
    health: float
    armor: float
    ammo: float
    weapon: int
    kills: int
    deaths: int
    is_dead: bool
    objects: tuple[DoomObject, ...]
    depth: NDArray[np.uint8] | None
    sectors: tuple[DoomSector, ...]
    screen_width: int
    screen_height: int
    fov_deg: float = 90.0
    heights: tuple[tuple[float, float], ...] = ()
    route: LevelRoute | None = None
