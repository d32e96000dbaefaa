"""Doom as a family of games: its tasks, without starting an engine."""

from __future__ import annotations

from eyehand.game import Game, GameFamily, Screen, TaskInfo
from eyehand.games.doom.tasks import DOOM_TASKS

__all__ = ["DOOM"]


class _Doom(GameFamily):
    modules, requirement = ("vizdoom",), "vizdoom"
    can_run = can_show = True

    def names(self) -> list[str]:
        return [f"doom/{task}" for task in DOOM_TASKS]

    def task(self, name: str) -> TaskInfo | None:
        task = DOOM_TASKS.get(name.removeprefix("doom/"))
        return None if task is None else task.info

    def open(self, name: str, *, realtime: bool, with_state: bool, screen: Screen) -> Game:
        from eyehand.games.doom.doom import DoomGame

        task = DOOM_TASKS[name.removeprefix("doom/")]
        return DoomGame(task, realtime=realtime, visible=screen.visible, with_state=with_state)


DOOM = _Doom()
