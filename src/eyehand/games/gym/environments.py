"""Registers our stepped games with Gymnasium, as `eyehand/DoomAim-v0` and so on: call `register_all()` once.

    from eyehand.games.gym.environments import register_all
    register_all()
    env = gymnasium.make("eyehand/DoomAim-v0")

(Gymnasium 1 no longer asks installed packages for environments by itself.) Starts no engine.
"""

from __future__ import annotations

__all__ = ["env_id", "register_all"]


def env_id(name: str) -> str:
    """The Gymnasium id of a game: `doom/health_maze` is `eyehand/DoomHealthMaze-v0`."""
    words = name.replace("/", " ").replace("_", " ").replace("-", " ").split()
    return f"eyehand/{''.join(word.capitalize() for word in words)}-v0"


def register_all() -> None:
    """Register every game. May be called twice."""
    from gymnasium.envs.registration import register, registry

    from eyehand.games.doom.tasks import DOOM_TASKS

    for task in DOOM_TASKS:
        name = f"doom/{task}"
        if env_id(name) not in registry:
            register(id=env_id(name), entry_point="eyehand.games.gym.gym:make_env", kwargs={"name": name})
