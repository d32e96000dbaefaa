"""One ViZDoom engine, stepped by tics: configuration, seeded episodes, pictures, facts and privileged state.

Knows the vizdoom package and a `DoomTask`; knows nothing about ticks, Actions or real time. Not thread-safe: one
thread at a time. The engine's process is started at the first episode and ends with `close` or with Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError
from eyehand.games.doom.controls import ENGINE_BUTTONS, TURN
from eyehand.games.doom.level import game_of_level, sectors_of_level
from eyehand.games.doom.level_route import LevelRoute, level_route
from eyehand.games.doom.objects import DoomObject
from eyehand.games.doom.process import EngineGuard, start_engine
from eyehand.games.doom.scores import DoomFacts, WayToExit
from eyehand.games.doom.state import DoomState
from eyehand.games.doom.tasks import DoomTask

__all__ = ["DoomEngine"]

_START_TICS = 14  # until the weapon is up; the engine ignores input during the first of them
_DEATHMATCH_ARGS = (
    "-host 1 -deathmatch +sv_forcerespawn 1 +sv_respawnprotect 1 +sv_spawnfarthest 1 +sv_nocrouch 1 "
    "+viz_respawn_delay 1"
)


class DoomEngine:
    """A ViZDoom engine for one task.

    Args:
        task: level and settings.
        visible: show the game's window.
        with_state: make `state` available.
        screen: width and height of the picture in pixels, one of the engine's resolutions.

    Raises:
        UserError: vizdoom is not installed, the engine does not know the resolution, or there is no screen to show it.
    """

    def __init__(self, task: DoomTask, *, visible: bool, with_state: bool, screen: tuple[int, int]) -> None:
        try:
            import vizdoom
        except ImportError as error:
            raise UserError("Doom needs the vizdoom package: install it with `pip install vizdoom`.") from error
        self._vizdoom = vizdoom
        self._variables = vizdoom.GameVariable
        self._resolution = getattr(vizdoom.ScreenResolution, f"RES_{screen[0]}X{screen[1]}", None)
        if self._resolution is None:
            raise UserError(f"Doom cannot draw {screen[0]}x{screen[1]} pictures: 320x240 and 640x480 are usual.")
        if visible and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
            raise UserError("There is no screen for Doom's window: set DISPLAY, or play without a window.")
        self._task = task
        self._visible = visible
        self._with_state = with_state
        self._screen = screen
        self._game: Any = None
        self._guard: EngineGuard | None = None
        self._look: Any = None
        self._route: LevelRoute | None = None
        if with_state and task.scorer is WayToExit:
            self._route = level_route(task.wad, task.map, task.skill)

    def begin(self, seed: int) -> None:
        """Start an episode. One seed gives one episode, independent of earlier ones."""
        # A network game goes on counting and drawing random numbers from one level to the next: start it afresh.
        if self._game is None or self._task.num_bots or not self._game.is_running():
            self._start(seed)
        self._look = None
        self._game.set_seed(seed & 0x7FFFFFFF)
        if not self._task.num_bots:
            self._game.new_episode()
        for _ in range(self._task.num_bots):
            self._game.send_game_command("addbot")
        if self._task.is_heading_random:
            buttons = [0.0] * len(ENGINE_BUTTONS)
            buttons[TURN] = float(np.random.default_rng(seed).integers(0, 360))
            self.advance(buttons)

    def _start(self, seed: int) -> None:
        self.close()
        package = Path(self._vizdoom.__file__).parent
        self._guard = EngineGuard(package / "vizdoom")
        game = game_of_level(self._task.wad, self._task.map, self._guard)
        game.set_doom_skill(self._task.skill)
        game.set_seed(seed & 0x7FFFFFFF)
        game.set_episode_start_time(_START_TICS)
        game.set_episode_timeout(0)
        game.set_available_buttons([getattr(self._vizdoom.Button, name) for name in ENGINE_BUTTONS])
        game.set_screen_resolution(self._resolution)
        game.set_screen_format(self._vizdoom.ScreenFormat.RGB24)
        game.set_render_hud(True)
        game.set_render_crosshair(True)
        game.set_window_visible(self._visible)
        game.set_objects_info_enabled(self._with_state or self._task.scorer.needs_monsters)
        game.set_labels_buffer_enabled(self._with_state)
        game.set_depth_buffer_enabled(self._with_state)
        game.set_sectors_info_enabled(self._with_state)
        if self._task.num_bots:
            game.add_game_args(f"{_DEATHMATCH_ARGS} +viz_bots_path {package / 'bots.cfg'}")
        game.add_game_args(self._task.engine_args)
        start_engine(game)
        self._game = game

    def advance(self, buttons: list[float], *, draw: bool = True) -> None:
        """Hold these buttons (in the order of `ENGINE_BUTTONS`) for one tic; without `draw` there is no new picture."""
        self._look = None
        self._game.set_action(buttons)
        self._game.advance_action(1, draw)

    @property
    def is_over(self) -> bool:
        """Whether the player died without respawn or the level ended; the engine cannot be advanced then."""
        return bool(self._game.is_episode_finished())

    def _seen(self) -> Any:
        """The engine's state after the last drawn tic. Asking for it copies everything, so it is asked for once."""
        if self._look is None:
            self._look = self._game.get_state()
        return self._look

    def picture(self) -> NDArray[np.uint8]:
        """The screen, uint8 RGB (height, width, 3). Not to be called when the episode is over."""
        pixels: NDArray[np.uint8] = self._seen().screen_buffer
        return pixels

    def _variable(self, name: str) -> float:
        return float(self._game.get_game_variable(getattr(self._variables, name)))

    def facts(self, seconds: float) -> DoomFacts:
        """The engine's counters at this tic."""
        is_dead = bool(self._game.is_player_dead())
        is_over = self.is_over
        monsters: tuple[tuple[float, float], ...] = ()
        if self._task.scorer.needs_monsters and not is_over:
            monsters = tuple(
                (thing.position_x, thing.position_y)
                for thing in self._seen().objects
                if thing.category == "Monster" and not thing.name.startswith("Dead")
            )
        return DoomFacts(
            seconds=seconds,
            x=self._variable("POSITION_X"),
            y=self._variable("POSITION_Y"),
            health=self._variable("HEALTH"),
            armor=self._variable("ARMOR"),
            ammo=self._variable("SELECTED_WEAPON_AMMO"),
            kills=self._variable("KILLCOUNT"),
            frags=self._variable("FRAGCOUNT"),
            deaths=self._variable("DEATHCOUNT"),
            reward=self._game.get_total_reward(),
            pickups=self._vizdoom.doom_fixed_to_double(self._variable("USER1")),
            is_dead=is_dead,
            is_left=is_over and not is_dead,
            monsters=monsters,
        )

    def state(self, tick: int, facts: DoomFacts, start: DoomFacts) -> DoomState:
        """The privileged state at this tic. Not to be called when the episode is over."""
        state = self._seen()
        boxes = {label.object_id: (label.x, label.y, label.width, label.height) for label in state.labels}
        is_deathmatch = self._task.num_bots > 0
        return DoomState(
            tick=tick,
            x=facts.x,
            y=facts.y,
            z=self._variable("POSITION_Z"),
            angle_deg=self._variable("ANGLE"),
            pitch_deg=-self._variable("PITCH"),
            vx=self._variable("VELOCITY_X"),
            vy=self._variable("VELOCITY_Y"),
            health=facts.health,
            armor=facts.armor,
            ammo=max(0.0, facts.ammo),
            weapon=max(0, round(self._variable("SELECTED_WEAPON"))),
            kills=round(facts.frags - start.frags if is_deathmatch else facts.kills - start.kills),
            deaths=round(facts.deaths - start.deaths),
            is_dead=facts.is_dead,
            objects=tuple(
                DoomObject(
                    id=thing.id,
                    name=thing.name,
                    x=thing.position_x,
                    y=thing.position_y,
                    z=thing.position_z,
                    angle_deg=thing.angle,
                    vx=thing.velocity_x,
                    vy=thing.velocity_y,
                    is_visible=thing.id in boxes,
                    box=boxes.get(thing.id),
                )
                for thing in state.objects
                if thing.category != "Self"
            ),
            depth=state.depth_buffer,
            sectors=sectors_of_level(self._task.wad, self._task.map, is_deathmatch),
            screen_width=self._screen[0],
            screen_height=self._screen[1],
            fov_deg=self._variable("CAMERA_FOV"),
            heights=tuple((sector.floor_height, sector.ceiling_height) for sector in state.sectors),
            route=self._route,
        )

    def close(self) -> None:
        """End the engine's process. May be called twice."""
        game, self._game = self._game, None
        guard, self._guard = self._guard, None
        try:
            if game is not None:
                game.close()
        finally:
            if guard is not None:
                guard.release()

    def abandon(self) -> None:
        """Kill an engine that does not answer and remove its files; asking it to close would wait for ever."""
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
