"""Gymnasium both ways: CarRacing as a game, our games under Gymnasium's own checker."""

import json
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from eyehand.action import BUTTONS, KEYS, NOTHING, Action
from eyehand.cli import main
from eyehand.clock import SECOND_NS
from eyehand.errors import UserError
from eyehand.frame import resize
from eyehand.game import Game
from eyehand.games.doom.tasks import DOOM_TASKS
from eyehand.games.families import open_game
from eyehand.games.gym.environments import env_id, register_all
from eyehand.games.gym.family import CAR_RACING
from eyehand.games.gym.gym import GameEnv, GymGame, KeyMap
from eyehand.games.paced import PacedGame
from eyehand.player import Decision
from eyehand.session import Session
from fake_clock import FakeClock


@pytest.fixture(scope="module")
def race():
    game = open_game("gym/CarRacing-v3")
    yield game
    game.close()
    game.close()


def test_car_racing_is_a_game_driven_by_keys(race):
    assert isinstance(race, Game)
    race.reset(1)
    start = race.observe()
    assert start.pixels.dtype == np.uint8
    assert start is race.observe()  # a stepped game stands still
    for _ in range(12):
        race.act(Action.of(["w"]))
    driven = race.outcome()
    assert driven.score > 0  # past the first tiles
    race.reset(1)
    assert np.array_equal(race.observe().pixels, start.pixels)  # a seed gives the same track
    for _ in range(12):
        race.act(NOTHING)
    assert race.outcome().score < driven.score


def test_left_and_right_turn_the_car_apart_and_the_mouse_like_the_keys(race):
    def after(action):
        race.reset(2)
        for _ in range(5):
            race.act(Action.of(["w"]))
        for _ in range(4):
            race.act(action)
        return race.observe().pixels

    left, right, mouse = after(Action.of(["a"])), after(Action.of(["d"])), after(Action.of(dx=50))
    assert not np.array_equal(left, right)
    assert np.array_equal(right, mouse)


def test_ticks_make_the_steps_of_their_time(race):
    race.reset(1)
    steps = []
    for _ in range(20):
        race.act(NOTHING)
        steps.append(race.outcome().facts["steps"])
    assert steps[:4] == [2, 5, 7, 10]
    assert steps[-1] == 50  # a second of game time
    assert race.observe().time_ns == 1_000_000_000


def test_a_session_plays_it_to_the_time_limit(race):
    class Drive:
        def reset(self, seed): ...

        def act(self, observation):
            return Decision(Action.of(["w"]))

    race.task = CAR_RACING.__class__(**{**CAR_RACING.__dict__, "time_limit_s": 0.5})
    try:
        end = Session(race, Drive()).run_episode(seed=3)
    finally:
        race.task = CAR_RACING
    assert end.num_ticks == 10
    assert end.outcome.done


def test_key_maps():
    box = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    keys = KeyMap((0.0, 0.0), {"a": (-1.0, 0.0), "d": (1.0, 0.0), "Mouse0": (0.0, 1.0)}, dx=(0.1, 0.0), dy=(0.0, 0.1))
    assert keys.to_env(Action.of(["a", "d"], ["0"]), box).tolist() == [0, 1]
    assert keys.to_env(Action.of(["a"], dx=-30, dy=-5), box).tolist() == [-1, -0.5]
    assert box.contains(keys.to_env(Action.of(["a"]), box))
    choice = KeyMap(0, {"Space": 2, "a": 1})
    discrete = gymnasium.spaces.Discrete(3)
    assert [choice.to_env(Action.of(held), discrete) for held in ([], ["a"], ["a", "Space"])] == [0, 1, 2]
    with pytest.raises(UserError, match="wrap the environment"):
        choice.to_env(NOTHING, gymnasium.spaces.MultiBinary(3))
    with pytest.raises(ValueError, match="unknown key 'left'"):
        KeyMap(0, {"left": 1})


def test_environments_that_cannot_be_played():
    with gymnasium.make("CartPole-v1") as env, pytest.raises(UserError, match="rgb_array"):
        GymGame(CAR_RACING, env, KeyMap(0))


@pytest.mark.slow
def test_a_game_passes_the_checker_of_gymnasium():
    """Our own environment around CarRacing: no Doom needed."""
    env = GameEnv(open_game("gym/CarRacing-v3"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it recommends normalized boxes; pixels are not
        check_env(env, skip_render_check=True)
    env.close()


def test_reward_is_the_difference_of_scores_and_the_time_limit_truncates():
    game = open_game("gym/CarRacing-v3")
    game.task = CAR_RACING.__class__(**{**CAR_RACING.__dict__, "time_limit_s": 0.4})
    env = GameEnv(game, render_mode="rgb_array")
    first, info = env.reset(seed=4)
    assert info == {"steps": 0.0, "score": 0.0}
    held = np.zeros(len(KEYS), np.int8)
    held[KEYS.index("w")] = 1
    action = {"keys": held, "buttons": np.zeros(len(BUTTONS), np.int8), "mouse": np.zeros(2, np.float32)}
    results = [env.step(action) for _ in range(8)]
    assert sum(result[1] for result in results) == pytest.approx(game.outcome().score)
    assert [result[3] for result in results] == [False] * 7 + [True]
    assert not any(result[2] for result in results)
    assert np.array_equal(results[-1][0], resize(env.render()))
    assert not np.array_equal(results[-1][0], first)
    env.close()


def test_real_time_games_are_refused(race):
    class RealTime(GymGame):
        is_realtime = True

    with gymnasium.make("CarRacing-v3", render_mode="rgb_array") as env, pytest.raises(ValueError, match="real-time"):
        GameEnv(RealTime(CAR_RACING, env, KeyMap((0.0, 0.0, 0.0))))


def test_every_doom_task_is_registered():
    register_all()
    register_all()
    assert env_id("doom/health_maze") == "eyehand/DoomHealthMaze-v0"
    assert len(DOOM_TASKS) >= 8
    for task in DOOM_TASKS:
        assert gymnasium.spec(env_id(f"doom/{task}")).kwargs == {"name": f"doom/{task}"}


def _check_doom(task):
    pytest.importorskip("vizdoom")
    register_all()
    env = gymnasium.make(env_id(f"doom/{task}"), disable_env_checker=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(env.unwrapped)
    env.close()


def test_a_doom_task_passes_the_checker():
    _check_doom(next(iter(DOOM_TASKS)))


@pytest.mark.slow
@pytest.mark.parametrize("task", list(DOOM_TASKS)[1:])
def test_every_doom_task_passes_the_checker(task):
    _check_doom(task)


@pytest.mark.slow  # ten seconds and more
def test_every_command_that_takes_a_game_takes_it_by_name(tmp_path, capsys):
    name = "gym/CarRacing-v3"
    assert main(["games", "show", name]) == 0
    assert "Drive round the track" in capsys.readouterr().out
    assert main(["games", "gym", "--as-json"]) == 0
    assert [task["name"] for task in json.loads(capsys.readouterr().out)] == [name]
    options = ["--game", name, "--player", "random"]
    assert main(["record", *options, "--minutes", "0.01", "--out", str(tmp_path / "data")]) == 0
    assert main(["play", *options, "--seconds", "1", "--no-video", "--out", str(tmp_path / "play")]) == 0
    report = json.loads((tmp_path / "play" / "report.json").read_text())
    assert (report["game"], report["player"]) == (name, "random")
    assert report["timing"]["num_ticks"] >= 1
    scores = tmp_path / "scores.json"
    assert main(["evaluate", "--game", name, "--episodes", "1", "--workers", "1", "--json", str(scores)]) == 0
    assert list(json.loads(scores.read_text())["figures"]["means"][name]) == ["random"]  # nobody can show it
    capsys.readouterr()
    assert main(["record", "--game", name, "--out", str(tmp_path / "no")]) == 2
    assert "There is no demonstrator for 'gym/CarRacing-v3'" in capsys.readouterr().err
    assert main(["play", "--game", name, "--visible", "--player", "random", "--out", str(tmp_path)]) == 2
    assert "--view on" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["gymnasium", "Box2D"])
def test_without_gymnasium_or_box2d_it_is_one_sentence(module, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)  # to Python it is not installed
    assert main(["games", "gym"]) == 0
    assert "CarRacing" in capsys.readouterr().out
    assert main(["record", "--game", "gym/CarRacing-v3", "--player", "random", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"needs {module}" in told
    assert 'pip install "eyehand[gym]"' in told
    assert len(told.splitlines()) == 1


def test_a_clock_makes_a_stepped_game_run(race):
    clock = FakeClock()
    paced, tick_ns = PacedGame(race, clock), round(SECOND_NS / race.fps)
    paced.reset(1)
    paced.act(Action.of(["w"], dx=3))
    assert paced.observe().index == 0  # time runs from the first look on
    for tick, late_ns in ((1, -9_000_000), (2, 20_000_000), (3, 0), (4, 0)):
        clock.wait_until(tick * tick_ns + late_ns)
        assert paced.observe().index == tick
    assert race.outcome().facts["steps"] == 10
    clock.wait_until(100 * tick_ns)  # a stall is not made up for
    assert paced.observe().index == 100
    assert race.outcome().facts["steps"] < 20
    race.reset(1)
    for action in (Action.of(["w"], dx=3), *[Action.of(["w"])] * 6):
        race.act(action)
    stepped = race.observe().pixels
    paced.reset(1)
    paced.act(Action.of(["w"], dx=3))
    start_ns = paced.observe().time_ns
    for tick in range(1, 8):
        clock.wait_until(start_ns + tick * tick_ns)
        played = paced.observe()
    assert np.array_equal(played.pixels, stepped)  # a player that is in time plays the very game
    assert played.time_ns == clock.now_ns()
