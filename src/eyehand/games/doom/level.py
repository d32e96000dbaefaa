"""Levels of the vizdoom package: an engine that has one loaded, and its geometry.

The engine would send the whole geometry with every picture, which costs more than the picture. It is the same in every
episode of a level, so it is read once, by an engine of its own that ends at once.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from eyehand.errors import UserError
from eyehand.games.doom.objects import DoomLine, DoomSector
from eyehand.games.doom.process import EngineGuard, start_engine
from eyehand.games.doom.wad import WadFile

__all__ = ["game_of_level", "sectors_of_level", "wad_path"]


def wad_path(wad: str) -> Path:
    """The file of a WAD: of the vizdoom package (a game of Freedoom or a scenario) by its name, another by its path.

    Raises:
        UserError: vizdoom is not installed, or the package has no such file.
    """
    import vizdoom

    package = Path(vizdoom.__file__).parent
    for path in (package / wad, package / "scenarios" / wad):
        if path.is_file():
            return path
    raise UserError(f"The vizdoom package has no {wad}: install its newest version (`pip install -U vizdoom`).")


def game_of_level(wad: str, level: str, guard: EngineGuard) -> Any:
    """A vizdoom.DoomGame, not started yet, that will play this level, step by step, without sound."""
    import vizdoom

    package, path = Path(vizdoom.__file__).parent, wad_path(wad)
    game = vizdoom.DoomGame()
    game.set_vizdoom_path(str(guard.executable))
    game.set_doom_config_path(str(guard.settings))
    is_game = WadFile(path).is_game
    game.set_doom_game_path(str(path if is_game else package / "freedoom2.wad"))
    if not is_game:
        game.set_doom_scenario_path(str(path))
    game.set_doom_map(level)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_sound_enabled(False)
    game.set_window_visible(False)
    return game


@lru_cache(maxsize=64)
def sectors_of_level(wad: str, level: str, is_deathmatch: bool) -> tuple[DoomSector, ...]:
    """Floors, ceilings and lines of a level as they are when it begins. The first call takes about half a second.

    A level made for deathmatch has no place for a single player and must be loaded as one.
    """
    import vizdoom

    guard = EngineGuard(Path(vizdoom.__file__).parent / "vizdoom")
    game = game_of_level(wad, level, guard)
    game.set_sectors_info_enabled(True)
    if is_deathmatch:
        game.add_game_args("-host 1 -deathmatch")
    try:
        start_engine(game)
        sectors = game.get_state().sectors
    finally:
        game.close()
        guard.release()
    return tuple(
        DoomSector(
            sector.floor_height,
            sector.ceiling_height,
            tuple(DoomLine(line.x1, line.y1, line.x2, line.y2, line.is_blocking) for line in sector.lines),
        )
        for sector in sectors
    )
