"""A person records themselves: every event, exact sums, hotkeys, pauses, the last seconds, and what goes wrong."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import xcffib.xproto as x

from eyehand.action import Action
from eyehand.cli import main
from eyehand.collect.person import PersonReport, record_person
from eyehand.collect.record_options import RecordPersonOptions
from eyehand.desktop.profile import Launch, Profile
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery, list_windows
from eyehand.errors import UserError
from eyehand.games.desktop.x11 import LaunchedDesktopGame, WindowGame, X11Game
from eyehand.input_event import InputEvent
from eyehand.recording.annotation import read_annotation
from eyehand.recording.format import ANNOTATION_FILE
from eyehand.recording.labels import events_of
from eyehand.recording.reader import Recording
from programs import need, small_disk
from x_person import Person
from x_typist import MOVE, PRESS, RELEASE, Typist
from x_window import WINDOW_PROGRAM, Window, wait_until

AT_A_TERMINAL = """
import fcntl, os, sys, termios
from eyehand.cli import main
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(main(sys.argv[1:]))
"""
"""The command line with the terminal at its stdin as its own."""


class Run:
    """`record_person` on a thread, and what it says."""

    def __init__(self, screen: OwnScreen, out: Path, **options: object) -> None:
        self.said: list[str] = []
        self.out = out
        self.ended = threading.Event()
        self.report: PersonReport | None = None
        self.error: BaseException | None = None
        self.game: X11Game = WindowGame(
            WindowQuery(title="Freedoom"), screen.name, screen.authority, say=self.said.append
        )
        self.options = replace(RecordPersonOptions(out=out, hears_injected=True, shortest_s=0.0), **options)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._record)

    def start(self) -> Run:
        self._thread.start()
        wait_until(lambda: any("starts and stops" in text for text in self.said) or self.error is not None, "a start")
        return self

    def end(self) -> PersonReport:
        self.ended.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()
        assert self.report is not None, self.error
        return self.report

    def wait(self) -> PersonReport:
        """Until it ends by itself."""
        self._thread.join(timeout=60)
        return self.end()

    def wait_said(self, part: str, times: int = 1) -> None:
        wait_until(lambda: sum(part in text for text in self.said) >= times, f"{part!r} is said, not {self.said}")

    def wait_recorded(self, is_last: Callable[[InputEvent], bool]) -> None:
        """Until an event is on the disk."""
        wait_until(
            lambda: any(is_last(event) for path in self.folders() for event in _events(path)),
            f"recorded; it said {self.said} and raised {self.error}",
        )

    def wait_frames(self, count: int, folders: int = 1) -> None:
        wait_until(
            lambda: len(self.folders()) >= folders and len(_annotations(self.folders()[-1])) >= count,
            f"more frames; it said {self.said} and raised {self.error}",
        )

    def folders(self) -> list[Path]:
        """In the order in which they were begun."""
        found = self.out.glob(f"*/{ANNOTATION_FILE}")
        return (
            [path.parent for path in sorted(found, key=lambda path: path.stat().st_ctime_ns)]
            if self.out.exists()
            else []
        )

    def _record(self) -> None:
        try:
            self.report = record_person(self.game, self.options, self.said.append, ended=self.ended)
        except BaseException as error:
            self.error = error
        finally:
            self.game.close()


def _annotations(path: Path) -> list[object]:
    if not (path / ANNOTATION_FILE).stat().st_size:
        return []  # made at this moment
    return list(read_annotation(path / ANNOTATION_FILE).frames)


def _events(path: Path) -> list[InputEvent]:
    return [event for annotation in _annotations(path) for event in events_of(annotation)]  # type: ignore[arg-type]


def _released(name: str) -> Callable[[InputEvent], bool]:
    return lambda event: event.name == name and not event.is_pressed


@pytest.fixture
def run(screen: OwnScreen, window: Window, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(**options: object) -> Run:
        runs.append(Run(screen, tmp_path / "recordings", **options))
        return runs[-1]

    yield make
    for one in runs:
        one.ended.set()
        one._thread.join(timeout=60)


@pytest.fixture
def person(display: XDisplay) -> Iterator[Typist]:
    person = Typist(display)
    person.do(MOVE, 0, 100, 50)
    yield person
    for key in (
        "w",
        "d",
        "LeftShift",
        "RightAlt",
        "Home",
        "End",
        "Insert",
        "PageUp",
        "Delete",
        "PageDown",
        "Backspace",
        "F1",
    ):
        person.key(key, False)
    person.do(RELEASE, 1)
    person.sync()


def _press_hotkey(person: Typist, key: str) -> None:
    for name, is_pressed in (("RightAlt", True), (key, True), (key, False), ("RightAlt", False)):
        person.key(name, is_pressed)
    person.sync()


def test_a_scripted_person_is_recorded_to_the_last_pixel(run: Callable[..., Run], person: Typist) -> None:
    recording = run().start()
    recording.wait_frames(2)
    script: list[tuple[str, str, bool, int, int]] = []
    for index in range(400):
        match index % 8:
            case 0 | 4:
                person.key("wd"[index % 8 // 4], True)
                script.append(("key", "wd"[index % 8 // 4], True, 0, 0))
            case 2 | 6:
                person.key("wd"[index % 8 // 4], False)
                script.append(("key", "wd"[index % 8 // 4], False, 0, 0))
            case 1 | 5:
                person.do((PRESS, RELEASE)[index % 8 // 4], 1)
                script.append(("button", "0", index % 8 == 1, 0, 0))
            case _:
                dx, dy = index % 31 - 12, 7 - index % 17
                person.move(dx, dy)
                script += [("mouse_delta", "", False, dx, dy)] if dx or dy else []
        person.sync()
    person.key("F1")
    person.key("F1", False)
    recording.wait_recorded(_released("F1"))
    report = recording.end()
    assert report.failure is None
    assert len(report.recordings) == 1
    path = report.recordings[0]
    heard = [event for event in _events(path) if event.name != "F1"]
    assert [(event.kind, event.name, event.is_pressed, event.x, event.y) for event in heard] == script
    assert not any(event.is_simulated for event in heard)
    with Recording.open(path) as made:
        _assert_labels_follow_events(made)
        users = _users(made)
        moves = [item for item in script if item[0] == "mouse_delta"]
        assert sum(action.dx for action in users) == sum(item[3] for item in moves)
        assert sum(action.dy for action in users) == sum(item[4] for item in moves)
        assert made.info.user == "human"
        assert made.num_frames == report.num_frames


def _assert_labels_follow_events(recording: Recording) -> None:
    """The action of every frame is what its events say: held at its end, or pressed within it, and all the motion."""
    keys: set[str] = set()
    annotations = _annotations(recording.path)
    for action, annotation in zip(_users(recording), annotations[1:], strict=True):
        pressed: set[str] = set()
        dx = 0
        for event in events_of(annotation):  # type: ignore[arg-type]
            if event.kind == "key":
                (keys.add if event.is_pressed else keys.discard)(event.name)
                pressed |= {event.name} if event.is_pressed else set()
            dx += event.x if event.kind == "mouse_delta" else 0
        assert action.keys == keys | pressed
        assert action.dx == dx


def _users(recording: Recording) -> list[Action]:
    """The person's action on every frame but the last."""
    actions = [recording.user_action(frame) for frame in range(recording.num_frames - 1)]
    assert None not in actions
    return [action for action in actions if action is not None]


def test_events_lie_between_their_frames(run: Callable[..., Run], person: Typist) -> None:
    recording = run().start()
    recording.wait_frames(2)
    for _ in range(60):
        person.move(3, 1)
        person.sync()
        recording.wait_frames(1)
    person.key("F1")
    person.key("F1", False)
    recording.wait_recorded(_released("F1"))
    path = recording.end().recordings[0]
    annotations = read_annotation(path / ANNOTATION_FILE).frames
    assert len(annotations) > 2
    for before, after in itertools.pairwise(annotations):
        assert all(before.frame_time <= event.time < after.frame_time for event in after.input_events)


def test_hotkeys_stop_and_start_and_stay_out_of_the_labels(run: Callable[..., Run], person: Typist) -> None:
    recording = run().start()
    recording.wait_frames(2)
    person.key("w")
    recording.wait_recorded(lambda event: event.name == "w")
    _press_hotkey(person, "Home")
    recording.wait_said("stopped recording")
    person.key("d")  # nobody records this
    person.key("d", False)
    _press_hotkey(person, "Home")
    recording.wait_frames(3, folders=2)
    report = recording.end()
    assert len(report.recordings) == 2
    first, second = (_users(Recording.open(path)) for path in report.recordings)
    keys = [action.keys for action in (*first, *second)]
    assert not {"Home", "RightAlt", "d", "hotkey:record"} & set().union(*keys)
    assert all("w" in action.keys for action in second), "it is held all the time"
    assert sum("\a" in text for text in recording.said) == 4, "a bell at every start and stop"


def test_nothing_is_recorded_while_paused_or_elsewhere(
    run: Callable[..., Run], person: Typist, window: Window, open_window: Callable[..., Window]
) -> None:
    recording = run().start()
    recording.wait_frames(2)
    _press_hotkey(person, "End")
    recording.wait_said("stopped recording")
    _secret(person)
    _press_hotkey(person, "End")
    recording.wait_frames(2, folders=2)
    chat = open_window("chat", size=(20, 20))
    chat.configure(x=400, y=300)
    chat.focus()
    recording.wait_said("nothing is recorded: the window does not have the focus")
    _secret(person)
    window.focus()
    recording.wait_frames(2, folders=3)
    person.key("w")
    person.key("w", False)
    recording.wait_recorded(_released("w"))
    report = recording.end()
    assert len(report.recordings) == 3
    assert not {event.name for path in report.recordings for event in _events(path)} & set("secrt")


def _secret(person: Typist) -> None:
    for letter in "secret":
        person.key(letter)
        person.key(letter, False)
    person.sync()


def test_the_last_seconds_are_kept(run: Callable[..., Run], person: Typist) -> None:
    """How much that is `tests/collect/test_instant_replay.py` knows, where time stands still."""
    recording = run(wait=True, keep_seconds=2.0).start()
    for index in range(40):
        person.move(2, 0)
        person.key("w", index % 2 == 0)
        threading.Event().wait(0.05)  # the pace of a person
    person.key("w", False)
    assert recording.folders() == []
    _press_hotkey(person, "Insert")
    recording.wait_frames(2)
    recording.wait_said("kept")
    report = recording.end()
    assert len(report.recordings) == 1
    assert report.num_frames == 0
    with Recording.open(report.recordings[0]) as kept:
        assert 2 <= kept.num_frames <= 60, "two seconds and at most one more"
        assert kept.decode_clip(0, kept.num_frames).shape == (kept.num_frames, 192, 192, 3)
        _assert_labels_follow_motion(kept)


def _assert_labels_follow_motion(recording: Recording) -> None:
    for action, annotation in zip(_users(recording), _annotations(recording.path)[1:], strict=True):
        assert action.dx == sum(event.x for event in events_of(annotation) if event.kind == "mouse_delta")  # type: ignore[arg-type]


def test_a_person_who_cannot_be_heard_any_more_ends_a_pause(run: Callable[..., Run], person: Typist) -> None:
    recording = run().start()
    recording.wait_frames(2)
    _press_hotkey(person, "End")
    recording.wait_said("stopped recording")
    (listener,) = [thread for thread in threading.enumerate() if thread.name == "eyehand listener"]
    connection = listener._args[0].display.connection  # type: ignore[attr-defined]
    with socket.socket(fileno=os.dup(connection.get_file_descriptor())) as line:
        line.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: not recording._thread.is_alive(), "it ends")
    report = recording.end()
    assert "is gone" in str(report.failure)
    assert len(report.recordings) == 1


def test_instructions_are_chosen_while_playing(run: Callable[..., Run], person: Typist) -> None:
    recording = run(instruction="find the exit").start()
    recording.wait_frames(2)
    _press_hotkey(person, "PageUp")
    recording.wait_said("instruction: play the game")
    person.key("F1")
    person.key("F1", False)
    recording.wait_recorded(_released("F1"))
    with Recording.open(recording.end().recordings[0]) as made:
        assert made.instructions[0] == "find the exit"
        assert made.instructions[-1] == "play the game"


def test_takes_are_thrown_away_or_end_as_a_success_or_failure(run: Callable[..., Run], person: Typist) -> None:
    recording = run(note="the third level").start()
    for number, (key, said) in enumerate((("PageDown", "a success."), ("Delete", "this recording is thrown away"))):
        recording.wait_frames(2, folders=number + 1)
        _press_hotkey(person, key)
        recording.wait_said(said)
        recording.wait_said("stopped recording", number + 1)
    recording.wait_said("\arecording", 3)
    recording.wait_frames(2, folders=2)
    _press_hotkey(person, "Backspace")
    recording.wait_said("a failure.")
    recording.wait_frames(2, folders=3)
    report = recording.end()
    with Recording.open(report.recordings[0]) as first, Recording.open(report.recordings[1]) as second:
        assert (first.outcome["success"], second.outcome["success"]) == (1.0, 0.0)
        assert first.title == report.titles[0]
        assert first.title.endswith(", Freedoom, 0:00, the third level")
    with Recording.open(report.recordings[2]) as third:
        assert "success" not in third.outcome
    (thrown_away,) = report.set_aside
    assert thrown_away.parent == recording.out / ".removed"
    with Recording.open(thrown_away) as kept_still:
        assert kept_still.num_frames >= 2
    assert report.num_frames == sum(Recording.open(path).num_frames for path in report.recordings)


def test_the_last_recording_is_thrown_away_while_none_is_made(run: Callable[..., Run], person: Typist) -> None:
    recording = run().start()
    recording.wait_frames(2)
    _press_hotkey(person, "End")
    recording.wait_said("stopped recording")
    _press_hotkey(person, "Delete")
    recording.wait_said("the last recording is thrown away")
    _press_hotkey(person, "Delete")
    recording.wait_said("there is no recording to be thrown away")
    _press_hotkey(person, "PageDown")
    recording.wait_said("nothing is recorded that could be a success")
    report = recording.end()
    assert report.recordings == ()
    assert len(report.set_aside) == 1


def test_a_fragment_is_no_recording(run: Callable[..., Run], person: Typist) -> None:
    recording = run(shortest_s=3600.0).start()
    recording.wait_frames(2)
    _press_hotkey(person, "End")
    recording.wait_said("stopped recording")
    report = recording.end()
    assert (report.recordings, report.num_short, report.num_frames) == ((), 1, 0)
    assert recording.folders() == []


def test_only_a_whole_window_of_one_size_is_recorded(
    run: Callable[..., Run], window: Window, open_window: Callable[..., Window]
) -> None:
    recording = run().start()
    recording.wait_frames(2)
    window.configure(width=160, height=120)
    recording.wait_said("the window is 160x120 now: a new recording begins")
    recording.wait_frames(2, folders=2)
    window.configure(x=560)
    recording.wait_said("the window is partly off the screen (50% of it); move it back")
    window.configure(x=10)
    recording.wait_frames(2, folders=3)
    above = open_window("a chat above it", size=(40, 40))
    above.configure(x=20, y=20)
    recording.wait_said("the window is partly covered by another one")
    above.configure(x=400, y=300)
    recording.wait_frames(2, folders=4)
    sizes = [Recording.open(path).decode_captured(0, 1).shape[1:3] for path in recording.end().recordings]
    assert sizes == [(100, 200), *[(120, 160)] * 3]


@pytest.mark.slow
def test_what_is_typed_stays_in_one_piece_and_the_end_of_the_game_is_no_error(
    screen: OwnScreen, window: Window, tmp_path: Path
) -> None:
    """The whole command in a terminal of its own."""
    hand = Person(screen)
    ours, theirs = pty.openpty()
    out = tmp_path / "me"
    command = [sys.executable, "-c", AT_A_TERMINAL, "record", "--window", "Freedoom", "--out", str(out)]
    process = subprocess.Popen(
        command,
        env={**os.environ, **screen.environment},
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
    )
    os.close(theirs)
    shown = bytearray()

    def has(part: str) -> bool:
        if select.select([ours], [], [], 0.0)[0]:
            with contextlib.suppress(OSError):  # its other end is closed
                shown.extend(os.read(ours, 65536))
        return part.encode() in shown

    try:
        wait_until(lambda: has("recording 0:01"), "a status line")
        os.write(ours, b"run to the rihg")
        wait_until(lambda: has("> run to the rihg"), "the half-typed line")
        del shown[:]
        os.write(ours, b"\x7f\x7fght\n")
        wait_until(lambda: has("instruction: run to the right\r\n"), f"the whole line, not {shown}")
        for instruction in ("play the game", "play", "run to the right"):  # what was typed is one of them
            del shown[:]
            for do, key in ((hand.press, "RightAlt"), (hand.tap, "PageUp"), (hand.release, "RightAlt")):
                do(key)
            wait_until(lambda text=instruction: has(f"instruction: {text}\r\n"), instruction)  # type: ignore[misc]
        wait_until(lambda: has("recording 0:03"), "it goes on")
        assert b"free" in shown
        window.core.DestroyWindow(window.id)
        window.sync()
        wait_until(lambda: process.poll() is not None or has("\0"), "its end")
        told = process.communicate(timeout=60)[0].decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        hand.close()
    assert process.returncode == 0, told
    assert "the game is over: The window was closed" in told
    assert "1 recording, 0:0" in told
    (path,) = out.iterdir()
    assert str(path) in told
    with Recording.open(path) as made:
        assert made.instructions[-1] == "run to the right"


@pytest.mark.slow
def test_a_person_is_recorded_on_a_screen_in_a_window(
    screen: OwnScreen, display: XDisplay, person: Typist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of `record --own-screen`: the outer screen's keyboard is the hardware of the inner one."""
    need("Xephyr")
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    program = tmp_path / "game.py"
    program.write_text(WINDOW_PROGRAM)
    launch = Launch((sys.executable, str(program)), "400x300", {"PYTHONPATH": ":".join(sys.path)})
    recording = Run(screen, tmp_path / "recordings", lines=120)
    recording.game = LaunchedDesktopGame(
        Profile("probe", "a probe", launch, window_class="probe"), (400, 300), visible=True, say=recording.said.append
    )
    recording.start()
    recording.wait_frames(2)
    (frame,) = [window for window in list_windows(display) if "Xephyr" in window.class_names]
    display.core.SetInputFocus(x.InputFocus.PointerRoot, frame.id, 0)
    display.core.GetInputFocus().reply()
    person.key("w")
    recording.wait_recorded(lambda event: event.name == "w" and not event.is_simulated)
    person.key("w", False)
    recording.wait_recorded(_released("w"))
    report = recording.end()
    assert report.failure is None
    with Recording.open(report.recordings[0]) as made:
        assert any("w" in action.keys for action in _users(made))
        assert made.info.env == "probe"
        assert made.decode_captured(0, 1).shape == (1, 120, 160, 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--lines", "1"], "Option --lines must be above 1."),
        (["--key-success", "RightAlt+Delete"], "is given to 'discard' and to 'success'"),
        (["--own-screen", "640x480"], "use --own-screen with --game"),
        ([], "Only 0 MB of disk are free for"),
        (["--minutes", "1"], "There is no display (DISPLAY is not set): log in to an X11 session"),
    ],
)
def test_what_cannot_be_recorded_is_said_before_the_game_starts(
    options: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", "" if "DISPLAY" in sentence else ":1")
    with contextlib.ExitStack() as stack:
        if not options:
            stack.enter_context(small_disk(tmp_path / "out", "40k"))
        assert main(["record", "--window", "no such game", "--out", str(tmp_path / "out" / "me"), *options]) == 2
        assert sentence in capsys.readouterr().err
        assert not (tmp_path / "out" / "me").exists()


def test_it_ends_after_its_time(run: Callable[..., Run]) -> None:
    report = run(seconds=0.5).start().wait()
    assert report.failure is None
    assert 1 <= report.num_frames <= 10
    assert report.num_frames + report.num_dropped <= 10


def test_a_window_that_closes_keeps_the_recording(run: Callable[..., Run], window: Window) -> None:
    recording = run().start()
    recording.wait_frames(3)
    window.core.DestroyWindow(window.id)
    window.sync()
    report = recording.wait()
    assert "closed" in str(report.failure)
    with Recording.open(report.recordings[0]) as kept:
        assert kept.num_frames >= 3
        assert not read_annotation(kept.path / ANNOTATION_FILE).is_cut_off


@pytest.mark.needs("Xvfb")
def test_a_display_that_dies_keeps_the_recording(guard: Guard, tmp_path: Path) -> None:
    screen = OwnScreen((320, 240), guard)
    window = Window(screen, "Freedoom")
    window.focus()
    recording = Run(screen, tmp_path / "recordings").start()
    recording.wait_frames(3)
    psutil.Process(screen._process.pid).kill()
    report = recording.wait()
    screen.close()
    assert "is gone" in str(report.failure)
    with Recording.open(report.recordings[0]) as kept:
        assert kept.num_frames >= 3


def test_two_windows_that_match_are_one_sentence(
    run: Callable[..., Run], open_window: Callable[..., Window], display: XDisplay
) -> None:
    open_window("Freedoom: Phase 1", "other")
    recording = run().start()
    assert isinstance(recording.error, UserError)
    assert "2 windows match" in str(recording.error)


def test_no_permission_for_raw_events_is_one_sentence(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "eyehand.desktop.x11.raw_events._ALL_MASTERS", 250
    )  # a device that the server refuses to tell of
    recording = run().start()
    assert isinstance(recording.error, UserError)
    assert "raw input events" in str(recording.error)
    assert recording.folders() == []


def test_a_full_disk_keeps_what_was_recorded(run: Callable[..., Run], tmp_path: Path) -> None:
    with small_disk(tmp_path / "recordings", "20k"):
        report = run().start().wait()
        assert "Cannot write the recording" in str(report.failure)
        assert "make space" in str(report.failure)
        assert len(report.recordings) == 1
        with Recording.open(report.recordings[0]) as kept:
            assert kept.num_frames >= 1


def test_a_folder_that_cannot_be_written_is_one_sentence(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("not a folder")
    started = run().start()
    assert isinstance(started.error, UserError)
    assert re.fullmatch(r"Cannot write to .*recordings \(File exists\): .*\.", str(started.error))
