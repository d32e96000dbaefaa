"""Doom in real time, and the end of its engine. Nothing here asserts how long anything takes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eyehand.action import NOTHING, Action
from eyehand.clock import SystemClock
from eyehand.games.doom.doom import DoomGame
from eyehand.games.doom.process import EngineGuard
from eyehand.games.doom.tasks import DOOM_TASKS
from eyehand.games.families import open_game
from fake_clock import FakeClock
from programs import need

pytest.importorskip("vizdoom")


def test_time_runs_on_without_being_acted_on():
    game = open_game("doom/aim", realtime=True)
    clock = SystemClock()
    try:
        game.reset(1)
        assert game.is_realtime
        first = game.observe()
        while (newest := game.observe()).index < 10:
            clock.wait_until(clock.now_ns() + 5_000_000)
        assert newest.time_ns > first.time_ns
        assert not game.outcome().done
        game.reset(1)
        assert game.observe().index < newest.index
    finally:
        game.close()
        game.close()


def test_motion_is_turned_exactly_once_and_keys_stay_down_until_released():
    game = open_game("doom/aim", realtime=True, with_state=True)
    clock = SystemClock()

    def wait_for_pictures(number):
        last = game.observe().index + number
        while game.observe().index < last:
            clock.wait_until(clock.now_ns() + 5_000_000)

    try:
        game.reset(1)
        before = game.state
        for _ in range(9):
            game.act(Action.of(dx=100))
            wait_for_pictures(1)
        wait_for_pictures(6)
        assert (before.angle_deg - game.state.angle_deg) % 360 == pytest.approx(90.0, abs=1e-6)
        for _ in range(10):
            game.act(Action.of("w"))
            wait_for_pictures(1)
        assert abs(game.state.y - before.y) > 10
        game.release()
        wait_for_pictures(80)
        y = game.state.y
        wait_for_pictures(5)
        assert game.state.y == y
    finally:
        game.close()


def test_a_key_is_let_go_when_nobody_acts_any_more():
    """As when a slow disk holds up the session. A clock that never waits plays the episode at once."""
    real = DoomGame(DOOM_TASKS["aim"], realtime=True, with_state=True, clock=FakeClock())
    stepped = DoomGame(DOOM_TASKS["aim"], with_state=True)
    clock = SystemClock()
    try:
        real.reset(3)
        real.act(Action.of("w"))
        real.observe()
        while (newest := real.observe()).index < 100 and not real.outcome().done:
            clock.wait_until(clock.now_ns() + 5_000_000)
        assert newest.index >= 100
        stepped.reset(3)
        for tick in range(100):
            stepped.act(Action.of("w") if tick < 10 else NOTHING)
        stepped.observe()
        assert real.state.x == pytest.approx(stepped.state.x, abs=5)
        assert real.state.y == pytest.approx(stepped.state.y, abs=5)
    finally:
        real.close()
        stepped.close()


def test_real_time_ends_at_the_time_limit_with_the_stepped_episode():
    """A clock that never waits plays the episode at once: 200 ticks, after which nothing changes any more."""
    real = DoomGame(DOOM_TASKS["aim"], realtime=True, clock=FakeClock())
    stepped = DoomGame(DOOM_TASKS["aim"])
    clock = SystemClock()
    try:
        real.reset(3)
        real.observe()
        while not real.outcome().done:
            clock.wait_until(clock.now_ns() + 5_000_000)
        stepped.reset(3)
        while not stepped.outcome().done:
            stepped.act(NOTHING)
        assert real.observe().index == stepped.observe().index == 200
        assert real.outcome() == stepped.outcome()
        assert (real.observe().pixels == stepped.observe().pixels).all()
    finally:
        real.close()
        stepped.close()


def observe_for_ever(game: DoomGame) -> None:
    clock = SystemClock()
    while True:
        game.observe()
        clock.wait_until(clock.now_ns() + 5_000_000)


def test_an_engine_that_died_is_reported_and_can_be_closed():
    game = open_game("doom/aim", realtime=True)
    try:
        game.reset(1)
        os.kill(_engine_of(os.getpid()), signal.SIGKILL)
        with pytest.raises(RuntimeError, match="engine failed"):
            observe_for_ever(game)
        game.release()
    finally:
        game.close()


def _engine_of(parent: int) -> int:
    need("ps")
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listing.splitlines()]
    (engine,) = [int(pid) for pid, ppid, name in rows if int(ppid) == parent and name == "vizdoom"]
    return engine


def _is_running(pid: int) -> bool:
    """Whether a process does more than wait to be buried."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    stat = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return bool(stat) and not stat.startswith("Z")


@pytest.mark.parametrize("name", ["aim", "deathmatch"])
def test_no_engine_outlives_a_killed_python(name, tmp_path):
    code = (
        "import sys; from eyehand.games.families import open_game\n"
        "game = open_game('doom/' + sys.argv[1]); game.reset(1);"
        "print('ready', flush=True); sys.stdin.read()"
    )
    python = subprocess.Popen(
        [sys.executable, "-c", code, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
    )
    assert python.stdin is not None
    assert python.stdout is not None
    assert python.stdout.readline() == "ready\n"
    engine = _engine_of(python.pid)
    assert _is_running(engine)
    python.kill()
    python.wait()
    clock = SystemClock()
    deadline_ns = clock.now_ns() + 30_000_000_000
    while (_is_running(engine) or list(tmp_path.glob("eyehand-doom-*"))) and clock.now_ns() < deadline_ns:
        clock.wait_until(clock.now_ns() + 20_000_000)
    assert not _is_running(engine)
    assert not list(tmp_path.glob("eyehand-doom-*"))
    python.stdin.close()
    python.stdout.close()


def test_the_guard_lets_a_finished_engine_go(tmp_path):
    guard = EngineGuard(Path("/bin/echo"))
    said = subprocess.run([guard.executable, "two words"], capture_output=True, text=True, check=True).stdout
    guard.release()
    guard.release()
    assert said == "two words\n"
    assert not guard.executable.exists()


def test_everybody_may_ask_at_once():
    game = open_game("doom/line", realtime=True)
    errors: list[Exception] = []

    def ask() -> None:
        try:
            for _ in range(200):
                game.observe()
                game.act(Action.of("d", dx=1))
                game.outcome()
        except Exception as error:
            errors.append(error)

    try:
        game.reset(1)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        game.release()
        assert not errors
    finally:
        game.close()
