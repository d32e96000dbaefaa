"""Environments of Gymnasium as a family of games: those whose keys we know, without importing Gymnasium."""

from __future__ import annotations

from eyehand.errors import UserError
from eyehand.game import Game, GameFamily, Screen, TaskInfo

__all__ = ["CAR_RACING", "GYM"]

CAR_RACING = TaskInfo(
    "gym/CarRacing-v3",
    "gym",
    "CarRacing-v3",
    ("Drive round the track as fast as you can.", "Stay on the road and finish the lap."),
    20.0,
    "track tiles visited, less the time taken",
)


class _Gym(GameFamily):
    modules, requirement = ("gymnasium", "Box2D", "pygame"), "eyehand[gym]"

    def names(self) -> list[str]:
        return [CAR_RACING.name]

    def task(self, name: str) -> TaskInfo | None:
        return CAR_RACING if name == CAR_RACING.name else None

    def open(self, name: str, *, realtime: bool, with_state: bool, screen: Screen) -> Game:
        if (missing := self.missing(name)) is not None:
            raise UserError(missing)
        import gymnasium

        from eyehand.games.gym.gym import CAR_RACING_KEYS, GymGame

        return GymGame(CAR_RACING, gymnasium.make("CarRacing-v3", render_mode="rgb_array"), CAR_RACING_KEYS)


GYM = _Gym()
