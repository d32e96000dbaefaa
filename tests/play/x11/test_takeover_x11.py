"""A person takes a real window on a real X server over from an agent, and gives it back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xcffib.xproto as x

from eyehand.action import Action
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.keys import key_codes
from eyehand.desktop.x11.listener import Listener
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery, list_windows
from eyehand.errors import UserError
from eyehand.games.desktop.x11 import WindowGame
from eyehand.play.play_options import TakeoverOptions
from eyehand.play.shared import SharedPlay, share
from eyehand.player import Decision, Observation
from eyehand.players.takeover import Turn
from eyehand.recording.reader import Recording
from eyehand.recording.recorder import Recorder
from eyehand.session import Session
from programs import need
from x_person import Person
from x_window import Window, buttons_down, keys_down, wait_until

AGENT = Action.of(["w", "LeftShift"], ["0"], dx=2)


class Agent:
    def reset(self, seed: int) -> None: ...

    def act(self, observation: Observation) -> Decision:
        return Decision(AGENT)


class Shared:
    """An agent at a window, with a session on a thread of its own, and a person at the same keyboard."""

    def __init__(self, screen: OwnScreen, shared: SharedPlay, folder: Path) -> None:
        assert shared.takeover is not None
        self.takeover = shared.takeover
        self.stopped = threading.Event()
        self.takeover._stop = self.stopped.set
        self.person = Person(screen)
        self.is_over = False
        self.num_ticks = 0
        self.failure: BaseException | None = None
        self.recorder = Recorder(folder, "both", self.takeover.take_events)
        self._session = Session(shared.game, shared.player, [self.recorder, self], source=shared.takeover)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def on_start(self, start: object) -> None: ...

    def on_end(self, end: object) -> None: ...

    def on_tick(self, tick: object) -> None:
        self.num_ticks += 1
        if self.is_over or self.stopped.is_set():
            raise InterruptedError

    def end(self) -> None:
        self.is_over = True
        self._thread.join()
        self.person.close()

    def _run(self) -> None:
        try:
            self._session.run_episode(0)
        except InterruptedError:
            pass
        except BaseException as error:
            self.failure = error


@pytest.fixture
def shared(screen: OwnScreen, window: Window, tmp_path: Path) -> Iterator[Shared]:
    game = WindowGame(WindowQuery(title="Freedoom"), screen.name, screen.authority, say=lambda _: None)
    with share(game, Agent(), TakeoverOptions(resume_key="F9")) as play:
        shared = Shared(screen, play, tmp_path)
        yield shared
        shared.end()
    game.close()
    assert shared.failure is None


def test_who_reads_the_terminal_has_gone_and_the_panic_key_still_ends_play(
    screen: OwnScreen, display: XDisplay, window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr("sys.stderr", os.fdopen(writing, "w"))
    game = WindowGame(WindowQuery(title="Freedoom"), screen.name, screen.authority)
    with share(game, Agent(), TakeoverOptions(resume_key="F9")) as play:
        shared = Shared(screen, play, tmp_path)
        wait_until(lambda: keys_down(display) == _codes(display, "w", "LeftShift"), "the agent holds its keys")
        shared.person.tap("a")
        wait_until(lambda: shared.takeover.turn is Turn.PERSON, "the person takes over")
        shared.person.tap("F12")
        wait_until(shared.stopped.is_set, "the panic key is heard")
        shared.end()
    game.close()
    assert shared.failure is None


def test_a_terminal_that_takes_nothing_holds_up_no_panic_key(
    screen: OwnScreen, display: XDisplay, window: Window, tmp_path: Path
) -> None:
    said, goes_on = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.set()
        assert goes_on.wait(60)

    game = WindowGame(WindowQuery(title="Freedoom"), screen.name, screen.authority, say=lambda _: None)
    with share(game, Agent(), TakeoverOptions(resume_key="F9"), say) as play:
        shared = Shared(screen, play, tmp_path)
        wait_until(lambda: keys_down(display) == _codes(display, "w", "LeftShift"), "the agent holds its keys")
        shared.person.tap("a")
        assert said.wait(60)
        shared.person.tap("F12")
        wait_until(shared.stopped.is_set, "the panic key is heard")
        shared.end()
        goes_on.set()
    game.close()
    assert shared.failure is None


def test_a_person_who_cannot_be_heard_any_more_ends_play(
    screen: OwnScreen, display: XDisplay, window: Window, tmp_path: Path
) -> None:
    game = WindowGame(WindowQuery(title="Freedoom"), screen.name, screen.authority, say=lambda _: None)
    with share(game, Agent(), TakeoverOptions(resume_key="F9")) as play:
        shared = Shared(screen, play, tmp_path)
        wait_until(lambda: keys_down(display) == _codes(display, "w", "LeftShift"), "the agent holds its keys")
        (listener,) = [thread for thread in threading.enumerate() if thread.name == "eyehand listener"]
        connection = listener._args[0].display.connection  # type: ignore[attr-defined]
        with socket.socket(fileno=os.dup(connection.get_file_descriptor())) as line:
            line.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not shared._thread.is_alive(), "play ends")
        shared.end()
    assert isinstance(shared.failure, UserError)
    assert keys_down(display) == set()
    game.close()


def _codes(display: XDisplay, *names: str) -> set[int]:
    return {key_codes(display)[name] for name in names}


def test_any_input_of_the_persons_releases_the_agents_keys_and_reaches_the_game(
    shared: Shared, display: XDisplay, window: Window
) -> None:
    inputs: dict[str, Callable[[], None]] = {
        "key": lambda: shared.person.press("a"),
        "button": lambda: shared.person.press("button 1"),
        "motion": lambda: shared.person.move(30, -5),
    }
    for name, do in inputs.items():
        wait_until(lambda: keys_down(display) == _codes(display, "w", "LeftShift"), "the agent holds its keys")
        do()
        wait_until(lambda: shared.takeover.turn is Turn.PERSON, f"{name} takes over")
        assert keys_down(display) == (_codes(display, "a") if name == "key" else set()), "released before it is told"
        assert buttons_down(display) == ({3} if name == "button" else set())
        assert (("KeyPress", *_codes(display, "a")) in window.events()) == (name == "key")
        ticks = shared.num_ticks
        wait_until(lambda ticks=ticks: shared.num_ticks > ticks + 3, "the session goes on")  # type: ignore[misc]
        shared.person.release("a")
        shared.person.release("button 1")
        agents = {("ButtonPress", 1), *(("KeyPress", code) for code in _codes(display, "w", "LeftShift"))}
        assert not agents & set(window.events()), "nothing of the agent's reached the game"
        shared.person.tap("F9")
        wait_until(lambda: shared.takeover.turn is Turn.AGENT, "the agent resumes")
    shared.end()
    with Recording.open(shared.recorder.recordings[0]) as recording:
        users = [action for i in range(recording.num_frames) if (action := recording.user_action(i)) is not None]
        events = [event for frame in range(recording.num_frames) for event in recording.events_before(frame)]
    assert {"a"} <= {key for action in users for key in action.keys} <= {"a"}
    assert "1" in {button for action in users for button in action.buttons}
    assert (sum(action.dx for action in users), sum(action.dy for action in users)) == (30, -5)
    assert {"w", "LeftShift"} <= {event.name for event in events if event.is_simulated}
    assert {event.name for event in events if not event.is_simulated and event.kind == "key"} == {
        "a",
        "hotkey:resume",
    }


def test_a_key_that_both_hold_stays_the_persons(shared: Shared, display: XDisplay, window: Window) -> None:
    wait_until(lambda: keys_down(display) == _codes(display, "w", "LeftShift"), "the agent holds its keys")
    window.events()
    shared.person.press("w")
    wait_until(lambda: keys_down(display) == _codes(display, "w"), "the person holds W alone")
    seen = [kind for kind, code in window.events() if {code} == _codes(display, "w")]
    assert seen[-1:] != ["KeyRelease"], "it was not taken from the person"
    shared.person.release("w")
    wait_until(lambda: not keys_down(display), "and releases it")
    shared.person.tap("F9")
    wait_until(lambda: keys_down(display) == _codes(display, "w", "LeftShift"), "the agent plays again")


def test_the_panic_key_releases_everything_and_ends_play(shared: Shared, display: XDisplay) -> None:
    wait_until(lambda: len(keys_down(display)) == 2, "the agent holds its keys")
    shared.person.press("F12")
    wait_until(shared.stopped.is_set, "play is told to end")
    assert keys_down(display) == _codes(display, "F12")
    shared.person.release("F12")
    shared.end()
    assert not keys_down(display)


def test_typing_into_another_window_is_neither_a_takeover_nor_recorded(
    shared: Shared, display: XDisplay, window: Window, open_window: Callable[..., Window]
) -> None:
    wait_until(lambda: len(keys_down(display)) == 2, "the agent holds its keys")
    open_window("chat", size=(20, 20)).focus()
    wait_until(lambda: not keys_down(display), "the session pauses")
    wait_until(shared.takeover.is_paused, "and knows it")
    for letter in "secret":
        shared.person.tap(letter)
    window.focus()
    wait_until(lambda: len(keys_down(display)) == 2, "the agent plays on")
    assert shared.takeover.turn is Turn.AGENT
    shared.end()
    with Recording.open(shared.recorder.recordings[0]) as recording:
        events = [event for frame in range(recording.num_frames) for event in recording.events_before(frame)]
    assert not [event for event in events if event.is_pressed and not event.is_simulated]


def test_an_own_screen_in_a_window_of_the_persons_hears_what_is_done_there(
    screen: OwnScreen, display: XDisplay, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyboard and mouse of the outer screen, whoever moves them, are hardware to the inner one."""
    need("Xephyr")
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    inner = OwnScreen((320, 240), guard, visible=True)
    heard: list[tuple[str, str, int, int, bool]] = []
    person = Person(screen)
    listener = Listener(inner.name, inner.authority)
    listener.subscribe(lambda event: heard.append((event.kind, event.name, event.x, event.y, event.is_simulated)))
    listener.start()
    try:
        (frame,) = [window for window in list_windows(display) if "Xephyr" in window.class_names]
        display.core.SetInputFocus(x.InputFocus.PointerRoot, frame.id, 0)
        display.core.WarpPointer(0, frame.id, 0, 0, 0, 0, 100, 100)
        display.core.GetInputFocus().reply()
        person.tap("a")
        wait_until(lambda: ("key", "a", 0, 0, False) in heard, "the key is heard")
        person.move(1, 1)
        wait_until(lambda: display.core.QueryPointer(frame.id).reply().win_x == 101, "the pointer is there")
        person.tap("b")
        wait_until(lambda: ("key", "b", 0, 0, False) in heard, "the key is heard")
        person.move(25, -10)
        wait_until(lambda: ("mouse_delta", "", 25, -10, False) in heard, "the motion, and not the place, is heard")
    finally:
        listener.close()
        person.close()
        inner.close()


PLAY = """
import sys
from pathlib import Path
sys.path[:0] = {path}
from eyehand.play.play import play_with
from eyehand.play.play_options import LiveOptions
from eyehand.errors import UserError
from eyehand.games.families import open_game
from test_takeover_x11 import Agent
game = open_game("window:Freedoom", realtime=True)
play_with(game, Agent(), LiveOptions(seconds=1000, video=False, out=Path({out!r})))
"""


@pytest.mark.parametrize(
    "whole_group", [pytest.param(False, marks=pytest.mark.slow), True], ids=["process", "process-group"]
)
def test_kill_9_in_the_middle_of_a_takeover_leaves_nothing_of_ours_held(
    screen: OwnScreen, window: Window, display: XDisplay, tmp_path: Path, whole_group: bool
) -> None:
    """The person holds W, which the agent held too: the one key that is still ours during a takeover."""
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", PLAY.format(path=[str(here), str(here.parents[1])], out=str(tmp_path))],
        env={**os.environ, **screen.environment},
        process_group=0,
        stderr=subprocess.DEVNULL,
    )
    person = Person(screen)
    try:
        wait_until(lambda: len(keys_down(display)) == 2, "the agent holds its keys")
        person.press("w")
        wait_until(lambda: keys_down(display) == _codes(display, "w"), "the person holds W alone")
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        # The watchdog releases our W, and the server, which knows one state of a key, with it of the person's.
        wait_until(lambda: not keys_down(display), "the watchdog releases what is ours")
    finally:
        process.kill()
        process.wait()
        person.release("w")
        person.close()
