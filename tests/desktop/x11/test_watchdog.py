"""A dead or hanging player never leaves a key or a button held: done for real, read back from the X server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import xcffib.xtest

from eyehand.action import Action
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.injector import Injector
from eyehand.desktop.x11.keys import key_codes
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowWatch
from x_window import Window, buttons_down, keys_down, wait_until

PLAYER = """
import subprocess, sys, tempfile, time
from pathlib import Path
from eyehand.action import Action
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.injector import Injector
from eyehand.desktop.x11.windows import WindowWatch

name, authority, window, beats = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
guard = Guard()
display = XDisplay.open(name, authority)
guard.watch(name, authority, window)
game = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], start_new_session=True)
folder = Path(tempfile.mkdtemp(prefix="eyehand-test-"))
guard.will_end(game.pid, folder)
injector = Injector(display, WindowWatch(display, window), guard)
injector.pointer_to(100, 50)
for beat in range(beats):
    injector.do(Action.of(("w", "LeftShift"), ("0",), dx=1))
    if beat == 0:
        display.core.GetInputFocus().reply()
        print(guard.pid, game.pid, folder, flush=True)
    time.sleep(0.05)
time.sleep(1000)
"""


class Player:
    """A process that holds w, Shift and the left button in a window, in a process group of its own."""

    def __init__(self, screen: OwnScreen, window: Window, beats: int = 100_000) -> None:
        arguments = [screen.name, screen.authority, str(window.id), str(beats)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PLAYER, *arguments], stdout=subprocess.PIPE, text=True, process_group=0
        )
        assert self.process.stdout is not None
        watchdog, game, folder = self.process.stdout.readline().split()
        self.watchdog_pid, self.game_pid, self.folder = int(watchdog), int(game), Path(folder)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(screen: OwnScreen, window: Window) -> Iterator[Callable[..., Player]]:
    started: list[Player] = []

    def start_it(**options: int) -> Player:
        started.append(Player(screen, window, **options))
        return started[-1]

    yield start_it
    for player in started:
        player.kill()


def _held(display: XDisplay) -> tuple[int, int]:
    return len(keys_down(display)), len(buttons_down(display))


@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "process-group"])
def test_kill_9_leaves_nothing_held(display: XDisplay, start: Callable[..., Player], whole_group: bool) -> None:
    player = start()
    assert _held(display) == (2, 1)
    if whole_group:
        os.killpg(player.process.pid, signal.SIGKILL)
    else:
        os.kill(player.process.pid, signal.SIGKILL)
    wait_until(lambda: _held(display) == (0, 0), "the watchdog releases everything")
    wait_until(lambda: not _is_running(player.game_pid), "the watchdog ends a game that ignores SIGTERM")
    wait_until(lambda: not _is_running(player.watchdog_pid), "the watchdog ends itself")
    assert not player.folder.exists()


def test_kill_9_of_player_and_watchdog_leaves_nothing(display: XDisplay, start: Callable[..., Player]) -> None:
    player = start()
    (deputy,) = psutil.Process(player.watchdog_pid).children()
    assert _held(display) == (2, 1)
    player.process.send_signal(signal.SIGSTOP)  # so that it does not miss its watchdog, and let go by itself
    os.kill(player.watchdog_pid, signal.SIGKILL)
    player.process.kill()
    wait_until(lambda: _held(display) == (0, 0), "the deputy releases everything")
    wait_until(lambda: not _is_running(player.game_pid), "the deputy ends a game that ignores SIGTERM")
    wait_until(lambda: not _is_running(deputy.pid), "the deputy ends itself")
    assert not player.folder.exists()


@pytest.mark.slow  # it is given ten seconds
def test_a_watchdog_that_hangs_is_stood_in_for(display: XDisplay, start: Callable[..., Player]) -> None:
    player = start()
    os.kill(player.watchdog_pid, signal.SIGSTOP)
    player.process.kill()
    wait_until(lambda: _held(display) == (0, 0), "the deputy releases everything")
    os.kill(player.watchdog_pid, signal.SIGCONT)
    wait_until(lambda: not _is_running(player.watchdog_pid), "the watchdog ends itself")


def test_signals_to_the_watchdog_do_not_stop_it(display: XDisplay, start: Callable[..., Player]) -> None:
    player = start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(player.watchdog_pid, number)
    player.process.kill()
    wait_until(lambda: _held(display) == (0, 0), "the watchdog releases everything")


def test_a_player_that_hangs_lets_go(display: XDisplay, start: Callable[..., Player]) -> None:
    player = start()
    os.kill(player.process.pid, signal.SIGSTOP)
    wait_until(lambda: _held(display) == (0, 0), "the watchdog releases everything")
    os.kill(player.process.pid, signal.SIGCONT)
    wait_until(lambda: _held(display) == (2, 1), "the player presses them anew")


def test_the_watchdog_lets_go_at_the_moment_in_which_the_focus_is_lost(
    display: XDisplay, window: Window, screen: OwnScreen, open_window: Callable[..., Window]
) -> None:
    """Not at the player's next tick, which may be late: a key that repeats must not type into another window."""
    guard = Guard()
    guard.watch(screen.name, screen.authority, window.id)
    injector = Injector(display, WindowWatch(display, window.id), guard)
    injector.do(Action.of("w"))
    codes = keys_down(display)
    assert codes
    open_window("chat", size=(20, 20)).focus()

    def is_released() -> bool:
        guard.hold(codes, ())  # the player lives and beats, but has not looked at the focus
        return not keys_down(display)

    wait_until(is_released, "the watchdog releases the key")
    for _ in range(3):  # a press that the server deals with later than with that release
        display.connection(xcffib.xtest.key).FakeInput(2, min(codes), 0, display.root, 0, 0, 0)
        wait_until(is_released, "the watchdog releases it as long as the window is without the focus")
    window.focus()
    wait_until(lambda: _hold_w(injector, display) == codes, "the player presses again when the focus is back")
    guard.close()


def test_what_a_player_presses_after_its_release_is_released_too(
    display: XDisplay, window: Window, screen: OwnScreen
) -> None:
    """One that hangs between what it says and what it does, and is killed when it has done it."""
    guard = Guard()
    guard.watch(screen.name, screen.authority, window.id)
    codes = [key_codes(display)["w"]]
    test = display.connection(xcffib.xtest.key)
    guard.hold(codes, ())
    for _ in range(2):
        test.FakeInput(2, codes[0], 0, display.root, 0, 0, 0)
        wait_until(lambda: not keys_down(display), "the watchdog releases the key of a player that says nothing")
    test.FakeInput(2, codes[0], 0, display.root, 0, 0, 0)
    assert display.is_alive  # the server has dealt with the press
    guard.close()
    assert not keys_down(display)


def test_what_a_player_said_last_is_read_when_it_is_dead_already(
    display: XDisplay, window: Window, screen: OwnScreen
) -> None:
    code = key_codes(display)["w"]
    messages = (
        {"display": screen.name, "authority": screen.authority, "window": window.id},
        {"keys": [code], "buttons": []},
    )
    reading, writing = os.pipe()
    said = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
    os.write(writing, said)
    deputys, deputy = os.pipe()
    os.write(deputy, said)
    os.close(deputy)
    display.connection(xcffib.xtest.key).FakeInput(2, code, 0, display.root, 0, 0, 0)
    assert display.is_alive
    nobody = "0"
    with open(reading) as pipe:
        subprocess.run(
            [sys.executable, "-m", "eyehand.desktop.x11.watchdog", nobody, str(deputys)],
            stdin=pipe,
            pass_fds=(deputys,),
            stdout=subprocess.PIPE,
            check=True,
        )
    os.close(writing)
    os.close(deputys)
    assert not keys_down(display)


def test_without_its_watchdog_the_player_presses_nothing(display: XDisplay, window: Window, screen: OwnScreen) -> None:
    guard = Guard()
    guard.watch(screen.name, screen.authority, window.id)
    injector = Injector(display, WindowWatch(display, window.id), guard)
    assert _hold_w(injector, display) == {key_codes(display)["w"]}
    os.kill(guard.pid, signal.SIGKILL)
    wait_until(lambda: not _is_running(guard.pid), "the watchdog is dead")
    with pytest.raises(RuntimeError, match="watchdog"):
        injector.do(Action.of("w"))
    assert not keys_down(display)
    guard.close()


def _hold_w(injector: Injector, display: XDisplay) -> set[int]:
    """The key that is down. On a slow machine the watchdog releases it before the check: then once more."""

    def is_held() -> bool:
        injector.do(Action.of("w"))
        codes.update(keys_down(display))
        return bool(codes)

    codes: set[int] = set()
    wait_until(is_held, "the key is down")
    return codes


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_player_that_dies_before_it_has_its_answer_leaves_nothing(
    display: XDisplay, window: Window, screen: OwnScreen, tmp_path: Path
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    deputys, deputy = os.pipe()
    watchdog = subprocess.Popen(
        [sys.executable, "-m", "eyehand.desktop.x11.watchdog", str(os.getpid()), str(deputys)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(deputys,),
        start_new_session=True,
    )
    os.close(deputys)
    os.close(deputy)
    assert watchdog.stdin is not None
    assert watchdog.stdout is not None
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as game:
        assert watchdog.stdout.readline() == b"ready\n"
        watchdog.stdout.close()
        for message in (
            {"end": game.pid, "folder": str(folder)},
            {"display": screen.name, "authority": screen.authority, "window": window.id},
        ):
            watchdog.stdin.write(json.dumps(message).encode() + b"\n")
        watchdog.stdin.close()
        watchdog.wait(60)
        try:
            assert not folder.exists()
            assert game.wait(60) == -signal.SIGTERM
        finally:
            game.kill()
