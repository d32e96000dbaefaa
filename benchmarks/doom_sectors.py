"""Point location in a level of Doom: which sector a point lies in, by the level's own BSP tree (NODES)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eyehand.errors import UserError
from eyehand.games.doom.wad import WadFile

__all__ = ["LevelPlan"]

_IS_LEAF = 0x8000
_NODE = np.dtype(
    [("x", "<i2"), ("y", "<i2"), ("dx", "<i2"), ("dy", "<i2"), ("boxes", "<i2", 8), ("children", "<u2", 2)]
)
_LEAF = np.dtype([("num_segs", "<u2"), ("first_seg", "<u2")])
_SEG = np.dtype([("ends", "<u2", 2), ("angle", "<i2"), ("line", "<u2"), ("side", "<u2"), ("offset", "<i2")])
_LINE = np.dtype([("ends", "<u2", 2), ("flags", "<u2"), ("special", "<u2"), ("tag", "<u2"), ("sides", "<u2", 2)])
_SIDE = np.dtype([("offsets", "<i2", 2), ("textures", "S8", 3), ("sector", "<u2")])


class LevelPlan:
    """The plan of one level.

    Attributes:
        num_sectors: rooms, and parts of rooms with a floor or a ceiling of their own.

    Raises:
        UserError: the WAD has not this level, or it is damaged or of a kind that is not read here.
    """

    def __init__(self, wad: WadFile, level: str) -> None:
        def table(name: str, kind: np.dtype[np.void]) -> NDArray[np.void]:
            data = wad.level_lump(level, name)
            return np.frombuffer(data, kind, len(data) // kind.itemsize)

        self._nodes, leaves = table("NODES", _NODE), table("SSECTORS", _LEAF)
        segs, lines, sides = table("SEGS", _SEG), table("LINEDEFS", _LINE), table("SIDEDEFS", _SIDE)
        try:
            first = segs[leaves["first_seg"]]
            self._sector_of_leaf: NDArray[np.int64] = sides["sector"][
                lines["sides"][first["line"], first["side"]]
            ].astype(np.int64)
        except IndexError as error:
            raise UserError(f"{level} of {wad.path} is damaged, or of a kind that is not read here.") from error
        self.num_sectors = int(sides["sector"].max()) + 1

    def sectors_at(self, xy_N2: ArrayLike) -> NDArray[np.int64]:
        """The numbers of the sectors that points lie in, int64 (N,)."""
        points_N2 = np.asarray(xy_N2, np.float64).reshape(-1, 2)
        where_N = np.full(len(points_N2), len(self._nodes) - 1 if len(self._nodes) else _IS_LEAF, np.int64)
        while (is_open_N := where_N & _IS_LEAF == 0).any():
            nodes, points = self._nodes[where_N[is_open_N]], points_N2[is_open_N]
            across = (points[:, 1] - nodes["y"]) * nodes["dx"] - (points[:, 0] - nodes["x"]) * nodes["dy"]
            where_N[is_open_N] = nodes["children"][np.arange(len(nodes)), (across >= 0).astype(np.int64)]
        sectors: NDArray[np.int64] = self._sector_of_leaf[where_N & ~_IS_LEAF]
        return sectors
