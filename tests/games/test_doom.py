"""Doom as a stepped Game: the contract for every task, exact controls, and episodes that repeat."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from eyehand.action import NOTHING, Action
from eyehand.errors import UserError
from eyehand.game import Game, Screen
from eyehand.games.doom.controls import AngleMotion, tics_of_tick
from eyehand.games.doom.doom import DoomGame
from eyehand.games.doom.tasks import DOOM_TASKS
from eyehand.games.families import open_game

pytest.importorskip("vizdoom")


def random_actions(seed: int, num_ticks: int) -> list[Action]:
    rng = np.random.default_rng(seed)
    actions = []
    for _ in range(num_ticks):
        keys = [key for key in ("w", "a", "s", "d", "LeftShift", "e", "RightArrow") if rng.random() < 0.3]
        buttons = ["0"] if rng.random() < 0.2 else []
        actions.append(Action.of(keys, buttons, dx=float(rng.normal(0, 60)), dy=float(rng.normal(0, 20))))
    return actions


def play(game: DoomGame, seed: int, actions: list[Action]) -> list[tuple[str, bool, float, object]]:
    """One line for each tick: a hash of the picture, whether it is over, the score, and the state."""
    game.reset(seed)
    lines = []
    for action in [*actions, NOTHING]:
        outcome = game.outcome()
        picture = hashlib.sha256(game.observe().pixels.tobytes()).hexdigest()
        state = None
        if game.state is not None:
            assert game.state.depth is not None
            depth = hashlib.sha256(game.state.depth.tobytes()).hexdigest()
            state = (depth, *(getattr(game.state, name) for name in game.state.__slots__ if name != "depth"))
        lines.append((picture, outcome.done, outcome.score, state))
        game.act(action)
    return lines


def turned(before_deg: float, after_deg: float) -> float:
    """Degrees turned to the left, in [-180, 180)."""
    return (after_deg - before_deg + 180.0) % 360.0 - 180.0


@pytest.fixture(scope="module")
def aim():
    """A game in a room with one monster that does nothing, with its state."""
    game = open_game("doom/aim", with_state=True)
    yield game
    game.close()


@pytest.mark.parametrize("name", list(DOOM_TASKS))
def test_every_task_keeps_the_contract(name):
    game = open_game(f"doom/{name}")
    try:
        assert isinstance(game, Game)
        assert game.task.name == f"doom/{name}"
        assert (game.task.env, game.task.env_subtype) == ("doom", name)
        assert len(set(game.task.instructions)) >= 2
        assert 10.0 <= game.task.time_limit_s <= 300.0
        game.reset(3)
        first, outcome = game.observe(), game.outcome()
        assert first.pixels.shape == (240, 320, 3)
        assert first.pixels.dtype == np.uint8
        assert first.pixels.std() > 10
        assert not outcome.done
        assert outcome.score == 0.0
        assert game.state is None
        assert game.observe().index == first.index == 0
        for action in random_actions(1, 10):
            game.act(action)
        assert game.observe().index > 0
        assert game.observe().time_ns > first.time_ns
        assert not np.array_equal(game.observe().pixels, first.pixels)
    finally:
        game.close()
        game.close()


@pytest.mark.parametrize("name", list(DOOM_TASKS))
def test_one_seed_gives_one_episode_whatever_was_played_before(name):
    game = open_game(f"doom/{name}", with_state=True)
    plain = open_game(f"doom/{name}")
    try:
        actions = random_actions(5, 30)
        first = play(game, 11, actions)
        other = play(game, 12, actions[:15])
        assert play(game, 11, actions) == first
        assert [line[:3] for line in play(plain, 11, actions)] == [line[:3] for line in first]
        assert [line[0] for line in other] != [line[0] for line in first[:16]]
    finally:
        game.close()
        plain.close()


def test_four_ticks_last_seven_tics():
    tics = [tics_of_tick(tick) for tick in range(20)]
    assert tics[:8] == [2, 2, 2, 1, 2, 2, 2, 1]
    assert sum(tics) == 35


def test_a_tick_lasts_a_twentieth_of_a_second_of_game_time(aim):
    aim.reset(1)
    for _ in range(40):
        aim.act(NOTHING)
    assert aim.outcome().facts["seconds"] == pytest.approx(2.0)
    assert aim.observe().index == 40
    aim.observe()
    assert aim.state.tick == 40


def test_the_time_limit_ends_the_episode_at_its_tick(aim):
    aim.reset(1)
    for _ in range(199):
        aim.act(NOTHING)
    assert not aim.outcome().done
    aim.act(NOTHING)
    assert aim.outcome().done
    last = aim.observe()
    aim.act(Action.of("w", dx=100))
    assert aim.observe() is last


def test_ninety_degrees_are_nine_hundred_pixels(aim):
    aim.reset(1)
    before_deg = aim.state.angle_deg
    aim.act(Action.of(dx=900))
    aim.observe()
    assert turned(before_deg, aim.state.angle_deg) == pytest.approx(-90.0, abs=1e-6)
    aim.act(NOTHING)
    assert turned(before_deg, aim.state.angle_deg) == pytest.approx(-90.0, abs=1e-6)


def test_single_pixels_add_up_and_come_back(aim):
    aim.reset(1)
    before_deg = aim.state.angle_deg
    for _ in range(77):
        aim.act(Action.of(dx=1))
    assert turned(before_deg, aim.state.angle_deg) == pytest.approx(-7.7, abs=360 / 65536)
    for _ in range(77):
        aim.act(Action.of(dx=-1))
    assert turned(before_deg, aim.state.angle_deg) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("pixels", [-3600, -1801, -901, -100, -1, 0, 1, 3, 100, 901, 1801, 3600])
def test_motion_is_spread_without_loss(pixels):
    motion = AngleMotion()
    motion.add(pixels)
    parts_deg = [motion.take(share) for share in (2, 1)]
    units = [round(part * 65536 / 360 - 0.5) if part else 0 for part in parts_deg]
    assert sum(units) % 65536 == round(pixels * 65536 / 3600) % 65536
    assert motion.take(1) == 0.0


def test_keys_walk_in_the_direction_of_view(aim):
    ways = {"w": (1, 0), "s": (-1, 0), "a": (0, 1), "d": (0, -1), "UpArrow": (1, 0), "DownArrow": (-1, 0)}
    for key, (ahead, left) in ways.items():
        aim.reset(1)
        x, y, angle = aim.state.x, aim.state.y, np.radians(aim.state.angle_deg)
        for _ in range(5):
            aim.act(Action.of([key]))
        dx, dy = aim.state.x - x, aim.state.y - y
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        assert along * ahead + across * left > 10, key
        assert abs(along * left) + abs(across * ahead) < 1, key


def test_shift_runs_and_arrows_turn(aim):
    ways = {}
    for keys in (("w",), ("w", "LeftShift")):
        aim.reset(1)
        x = aim.state.x
        for _ in range(10):
            aim.act(Action.of(keys))
        ways[keys] = abs(aim.state.x - x)
    assert ways["w", "LeftShift"] > 1.5 * ways["w",]
    for key, sign in (("LeftArrow", 1), ("RightArrow", -1)):
        aim.reset(1)
        before_deg = aim.state.angle_deg
        for _ in range(5):
            aim.act(Action.of([key]))
        assert sign * turned(before_deg, aim.state.angle_deg) > 5


def test_fire_fires_and_stops_on_release(aim):
    aim.reset(1)
    aim.act(Action.of(dx=-900))
    ammo = aim.state.ammo
    for _ in range(30):
        aim.act(Action.of(buttons=["0"]))
    fired = ammo - aim.state.ammo
    assert fired >= 2
    assert aim.outcome().score == -5.0 * fired
    aim.release()
    for _ in range(20):
        aim.act(NOTHING)
    ammo, x = aim.state.ammo, aim.state.x
    for _ in range(20):
        aim.act(NOTHING)
    assert (aim.state.ammo, aim.state.x) == (ammo, x)


def test_number_keys_choose_weapons():
    game = open_game("doom/explore", with_state=True)
    try:
        game.reset(1)
        assert game.state.weapon == 2
        for _ in range(30):
            game.act(Action.of("1"))
        assert game.state.weapon == 1
        for _ in range(30):
            game.act(Action.of("2"))
        assert game.state.weapon == 2
    finally:
        game.close()


def test_the_mouse_looks_up_and_down_only_where_the_task_allows():
    for is_free_look in (False, True):
        game = DoomGame(replace(DOOM_TASKS["aim"], is_free_look=is_free_look), with_state=True)
        try:
            game.reset(1)
            game.act(Action.of(dy=100))
            assert game.state.pitch_deg == pytest.approx(10.0 if is_free_look else 0.0, abs=0.01)
        finally:
            game.close()


def test_shooting_the_monster_scores_and_touching_it_scores():
    for name, key, least in (("aim", "0", 80.0), ("approach", "w", 100.0)):
        game = open_game(f"doom/{name}", with_state=True)
        try:
            game.reset(2)
            while not game.outcome().done:
                (monster,) = [thing for thing in game.state.objects if thing.name.endswith("Cacodemon")]
                bearing_deg = np.degrees(np.arctan2(monster.y - game.state.y, monster.x - game.state.x))
                error_deg = turned(game.state.angle_deg, float(bearing_deg))
                held = {"buttons": [key]} if key == "0" else {"keys": [key]}
                game.act(Action.of(dx=-10 * error_deg, **(held if abs(error_deg) < 1 else {})))
            assert game.outcome().score >= least
        finally:
            game.close()


def test_the_state_agrees_with_the_picture(aim):
    aim.reset(2)
    (monster,) = aim.state.objects
    assert monster.is_visible
    assert monster.box is not None
    x, y, width, height = monster.box
    angle_deg = turned(
        aim.state.angle_deg, float(np.degrees(np.arctan2(monster.y - aim.state.y, monster.x - aim.state.x)))
    )
    column = 160 - 160 * np.tan(np.radians(angle_deg)) / np.tan(np.radians(aim.state.fov_deg / 2))
    assert x <= column <= x + width
    assert 0 <= y < y + height <= 240
    assert aim.state.depth.shape == (240, 320)
    assert len(aim.state.sectors) == 1
    assert len(aim.state.sectors[0].lines) >= 4


def test_two_sessions_at_once_do_not_disturb_each_other():
    actions = random_actions(7, 20)
    alone = open_game("doom/deathmatch")
    expected = play(alone, 4, actions)
    beside = open_game("doom/deathmatch")
    try:
        alone.reset(5)
        assert play(beside, 4, actions) == expected
    finally:
        alone.close()
        beside.close()


def test_wrong_names_and_sizes_say_what_to_do():
    with pytest.raises(UserError, match="did you mean doom/explore"):
        open_game("doom/explor")
    with pytest.raises(UserError, match="320x240"):
        DoomGame(DOOM_TASKS["aim"], screen=(321, 240))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_a_window_needs_a_screen(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="DISPLAY"):
        open_game("doom/aim", screen=Screen(visible=True))


@pytest.mark.slow
def test_engines_may_be_started_on_several_threads_at_once():
    """Six at a time, thirty in all: without the lock around their start this crashes Python within a few rounds."""

    def play(seed):
        game = open_game("doom/aim")
        try:
            game.reset(seed)
            game.act(Action.of(dx=100))
            return game.observe().pixels.sum()
        finally:
            game.close()

    with ThreadPoolExecutor(6) as pool:
        pictures = list(pool.map(play, [1, 2, 3, 4, 5, 6] * 5))
    assert pictures == pictures[:6] * 5
