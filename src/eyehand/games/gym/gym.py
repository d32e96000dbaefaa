"""Gymnasium both ways: `GymGame` plays any environment with a picture, `GameEnv` offers any stepped Game.

An environment becomes a Game through a `KeyMap`, which says what each key, mouse button and pixel of mouse motion adds
to its action. Environments run at their own rate (CarRacing: 50 steps a second); a tick makes as many steps as belong
to it (2, 3, 2, 3, ...), so that game time stays true. Our ids in Gymnasium's registry are made in `environments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.action import BUTTONS, KEYS, Action
from eyehand.clock import FPS, SECOND_NS
from eyehand.errors import UserError
from eyehand.frame import MODEL_SIZE, Frame
from eyehand.game import Game, Outcome, TaskInfo

try:
    import gymnasium
except ImportError as error:
    raise UserError('Gymnasium is not installed: run `pip install "eyehand[gym]"`.') from error

__all__ = ["CAR_RACING_KEYS", "GameEnv", "GymGame", "KeyMap", "make_env"]

_MAX_MOUSE_PX = 500


@dataclass(frozen=True)
class KeyMap:
    """A mapping from Actions to an environment's actions.

    For a Box, the values of everything held are added to `rest` and the sum is clipped to the space. For a Discrete
    space, the first name of `held` (in its order) that is held decides; `rest` is what happens when none is.

    Attributes:
        rest: the environment's action without input.
        held: by the name of a key ("w") or of a mouse button ("Mouse0" is the left one).
        dx, dy: what a pixel of mouse motion adds (Box only); None: the mouse does nothing.
    """

    rest: int | tuple[float, ...]
    held: Mapping[str, int | tuple[float, ...]] = field(default_factory=dict)
    dx: tuple[float, ...] | None = None
    dy: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        known = {*KEYS, *(f"Mouse{button}" for button in BUTTONS)}
        if unknown := sorted(set(self.held) - known):
            raise ValueError(f"unknown key {unknown[0]!r} in a key map: names are like 'w', 'Space', 'Mouse0'")

    def to_env(self, action: Action, space: gymnasium.Space[Any]) -> Any:
        """The environment's action for an Action.

        Raises:
            UserError: the environment wants something else than a Box or a Discrete action.
        """
        names = action.keys | {f"Mouse{button}" for button in action.buttons}
        if isinstance(space, gymnasium.spaces.Discrete):
            return next((value for name, value in self.held.items() if name in names), self.rest)
        if not isinstance(space, gymnasium.spaces.Box):
            raise UserError(f"A key map reaches Box and Discrete actions only, not {space}: wrap the environment.")
        total = np.array(self.rest, np.float64)
        for name, value in self.held.items():
            if name in names:
                total = total + np.array(value)
        for pixels, per_pixel in ((action.dx, self.dx), (action.dy, self.dy)):
            if per_pixel is not None:
                total = total + pixels * np.array(per_pixel)
        return np.clip(total, space.low, space.high).astype(space.dtype)


class GymGame:
    """A Gymnasium environment as a stepped Game; its score is the sum of rewards.

    Args:
        task: what there is to do.
        env: made with `render_mode="rgb_array"`; closed with the game.
        key_map: from Actions to the environment's actions.
        env_fps: steps per second of game time; None: what its metadata say.
        fps: ticks per second.

    Raises:
        UserError: the environment gives no RGB picture, or does not say how fast it runs.
    """

    is_realtime = False

    def __init__(
        self,
        task: TaskInfo,
        env: gymnasium.Env[Any, Any],
        key_map: KeyMap,
        env_fps: float | None = None,
        fps: float = FPS,
    ) -> None:
        if env.render_mode != "rgb_array":
            raise UserError(f'{env} draws no RGB picture: make it with render_mode="rgb_array".')
        stated = env.metadata.get("render_fps")
        if env_fps is None and not stated:
            raise UserError(f"{env} does not say how many steps make a second: give env_fps.")
        self.task = task
        self.fps = fps
        self._env = env
        self._env_fps = float(env_fps or stated)
        self._key_map = key_map
        self._tick = 0
        self._frame: Frame | None = None
        self._outcome = Outcome(done=True)
        self._num_steps = 0
        self._is_open = True

    @property
    def state(self) -> None:
        """Environments have no privileged state that we know of."""
        return None

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self._env.reset(seed=seed)
        self._tick, self._num_steps, self._frame = 0, 0, None
        self._outcome = Outcome(facts={"steps": 0.0})

    def observe(self) -> Frame:
        """The picture after the last step, timed in game time."""
        if self._frame is None:
            pixels: Any = self._env.render()
            if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or pixels.dtype != np.uint8:
                raise UserError(f"{self._env} draws no RGB picture of bytes: it cannot be played.")
            self._frame = Frame(pixels[:, :, :3].copy(), round(self._tick * SECOND_NS / self.fps), self._tick)
        return self._frame

    def act(self, action: Action) -> None:
        """Advance by the steps of one tick. Once the episode is over nothing happens."""
        if self._outcome.done:
            return
        env_action = self._key_map.to_env(action, self._env.action_space)
        score, is_over = self._outcome.score, False
        self._tick += 1
        while not is_over and self._num_steps < int(self._tick * self._env_fps / self.fps):
            _, reward, is_terminated, is_truncated, _ = self._env.step(env_action)
            score += float(reward)
            self._num_steps += 1
            is_over = is_terminated or is_truncated
        is_late = self._tick >= round(self.task.time_limit_s * self.fps)
        self._outcome = Outcome(is_over or is_late, score, {"steps": float(self._num_steps)})
        self._frame = None

    def outcome(self) -> Outcome:
        """How the episode stands now."""
        return self._outcome

    def release(self) -> None:
        """A no-op: an action lasts for its tick only."""

    def close(self) -> None:
        """Close the environment. May be called twice."""
        if self._is_open:
            self._is_open = False
            self._env.close()


CAR_RACING_KEYS = KeyMap(
    rest=(0.0, 0.0, 0.0),
    held={
        **dict.fromkeys(("a", "LeftArrow"), (-1.0, 0.0, 0.0)),
        **dict.fromkeys(("d", "RightArrow"), (1.0, 0.0, 0.0)),
        **dict.fromkeys(("w", "UpArrow"), (0.0, 1.0, 0.0)),
        **dict.fromkeys(("s", "DownArrow", "Space"), (0.0, 0.0, 0.8)),
    },
    dx=(0.02, 0.0, 0.0),
)
"""Steering, gas and brake of CarRacing-v3; the mouse steers too: 50 px in a tick are all the way."""


class GameEnv(gymnasium.Env[NDArray[np.uint8], dict[str, Any]]):  # type: ignore[misc]  # types are not followed
    """A stepped Game as a Gymnasium environment.

    Observation: what a policy sees, uint8 RGB (192, 192, 3). Action: `keys` (one flag per name of `action.KEYS`),
    `buttons` (one per `action.BUTTONS`), `mouse` (dx, dy in pixels, rounded). Reward: what the tick adds to the score.
    Info: the facts of the outcome and the score. An episode that ends at the time limit is truncated, any other
    terminated.

    Args:
        game: what to play; closed with the environment.

    Raises:
        ValueError: the game runs in real time.
    """

    def __init__(self, game: Game, render_mode: str | None = None) -> None:
        if game.is_realtime:
            raise ValueError("a real-time game does not wait for a Gymnasium step: open it stepped")
        self.game = game
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(game.fps)}
        self.observation_space = gymnasium.spaces.Box(0, 255, (MODEL_SIZE, MODEL_SIZE, 3), np.uint8)
        self.action_space = gymnasium.spaces.Dict(
            {
                "keys": gymnasium.spaces.MultiBinary(len(KEYS)),
                "buttons": gymnasium.spaces.MultiBinary(len(BUTTONS)),
                "mouse": gymnasium.spaces.Box(-_MAX_MOUSE_PX, _MAX_MOUSE_PX, (2,), np.float32),
            }
        )
        self._num_ticks = 0
        self._score = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, float]]:
        """Begin an episode; without a seed with one drawn from the environment's generator."""
        super().reset(seed=seed)
        self.game.reset(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._num_ticks, self._score = 0, 0.0
        outcome = self.game.outcome()
        return self._observation(), _info(outcome)

    def step(self, action: dict[str, Any]) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, float]]:
        """Hold and do this for one tick."""
        self.game.act(_action_of(action))
        self._num_ticks += 1
        outcome = self.game.outcome()
        reward, self._score = outcome.score - self._score, outcome.score
        is_truncated = outcome.done and self._num_ticks >= round(self.game.task.time_limit_s * self.game.fps)
        return self._observation(), reward, outcome.done and not is_truncated, is_truncated, _info(outcome)

    def render(self) -> NDArray[np.uint8] | None:
        """The picture as the game gives it, with render mode `rgb_array`."""
        return self.game.observe().pixels if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """End the game."""
        self.game.close()

    def _observation(self) -> NDArray[np.uint8]:
        return self.game.observe().small()


def _info(outcome: Outcome) -> dict[str, float]:
    return {**outcome.facts, "score": outcome.score}


def _action_of(action: dict[str, Any]) -> Action:
    keys = [key for key, is_held in zip(KEYS, action["keys"], strict=True) if is_held]
    buttons = [button for button, is_held in zip(BUTTONS, action["buttons"], strict=True) if is_held]
    dx, dy = (float(pixels) for pixels in action["mouse"])
    return Action.of(keys, buttons, dx, dy)


def make_env(name: str, render_mode: str | None = None, **options: Any) -> GameEnv:
    """The environment of a game by its name (`doom/aim`); `options` are those of `open_game`."""
    from eyehand.games.families import open_game

    return GameEnv(open_game(name, **options), render_mode)
