"""The page that shows live play: what it shows, who may see it, and remote input."""

from __future__ import annotations

import html
import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

import chromium as chromium_driver
from eyehand.action import NOTHING, Action
from eyehand.cli import main
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.game import Outcome, TaskInfo
from eyehand.machine import process_identity
from eyehand.play.shared_game import SharedGame
from eyehand.player import Decision, Observation
from eyehand.players.takeover import Takeover, Turn
from eyehand.private_folder import private_folder, private_folders
from eyehand.session import Session
from eyehand.viewer.remote_input import RemoteInput
from eyehand.viewer.running import RunningPlay, announce_play, running_plays
from eyehand.viewer.viewer import Viewer
from eyehand.wire.address import Address
from patience import wait_until
from viewer_page import Page

LOOPBACK = Address(host="127.0.0.1")


class PaintedGame:
    """A real-time game whose picture is red, blue while A is held."""

    task = TaskInfo("test/painted", "test", "painted", ("play", "win"), 10.0, "nothing")
    fps = 20.0
    is_realtime = True
    state = None

    def __init__(self) -> None:
        self.held = NOTHING
        self.moved = 0

    def reset(self, seed: int) -> None: ...

    def observe(self) -> Frame:
        colour = (0, 0, 255) if "a" in self.held.keys else (255, 0, 0)
        return Frame(np.full((48, 64, 3), colour, np.uint8), time.monotonic_ns(), 0)

    def act(self, action: Action) -> None:
        self.held = action.held()
        self.moved += action.dx

    def outcome(self) -> Outcome:
        return Outcome()

    def release(self) -> None:
        self.held = NOTHING

    def close(self) -> None: ...


class Agent:
    def reset(self, seed: int) -> None: ...

    def act(self, observation: Observation) -> Decision:
        return Decision(Action.of(["w"]))


class Play:
    def __init__(self) -> None:
        self.game = PaintedGame()
        self.stopped = threading.Event()
        self.takeover = Takeover(Agent(), stop=self.stopped.set)
        self.viewer = Viewer(LOOPBACK, self.takeover)
        shared = SharedGame(self.game, self.takeover, looked=self.viewer.look)
        session = Session(shared, self.takeover, [self.viewer, self], instruction="go", source=self.takeover)
        self._is_over = False
        self._thread = threading.Thread(target=lambda: session.run_episode(0))
        self.outcome = Outcome()
        self.game.outcome = lambda: self.outcome  # type: ignore[method-assign]
        self._thread.start()

    def on_start(self, start: object) -> None: ...

    def on_end(self, end: object) -> None: ...

    def on_tick(self, tick: object) -> None: ...

    def end(self) -> None:
        self.outcome = Outcome(done=True)
        self._thread.join()
        self.viewer.close()
        self.viewer.close()


@pytest.fixture
def play() -> Iterator[Play]:
    play = Play()
    yield play
    play.end()


def _hold(page: Page, play: Play, key: str) -> None:
    """Say it until it is so: a page that is silent for half a second holds nothing."""

    def is_held() -> bool:
        page.send_input(key)
        return play.game.held == Action.of([key])

    wait_until(is_held, f"{key} is carried out, and nothing of the agent's")


def _get(viewer: Viewer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(viewer.url).port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_page_shows_the_picture_and_the_action(play: Play) -> None:
    page = Page(play.viewer.url)
    seen = [page.show() for _ in range(5)]
    facts, picture = seen[-1]
    assert (facts["turn"], facts["keys"], facts["task"], facts["instruction"]) == ("agent", ["w"], "test/painted", "go")
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - (255, 0, 0)).max() < 20
    page.close()
    wait_until(lambda: not play.viewer._sockets, "the closed page is noticed")


def test_the_page_gets_a_large_picture_shrunk() -> None:
    viewer = Viewer(LOOPBACK)
    page = Page(viewer.url)
    viewer.look(Frame(np.full((2160, 3840, 4), (200, 100, 0, 7), np.uint8), time.monotonic_ns(), 0))
    _, picture = page.show()
    assert picture.shape == (540, 960, 3)
    assert np.abs(picture.astype(int) - (0, 100, 200)).max() < 20
    page.close()
    viewer.close()


def test_a_page_rates_what_the_agent_does(play: Play) -> None:
    page = Page(play.viewer.url)
    page.say(thumb="up")
    wait_until(lambda: play.takeover.thumbs == 1, "the thumb is counted")
    assert page.show()[0]["thumbs"] is None, "this game has another score"
    play.takeover.is_rated = True
    for thumb in ("up", "down", "sideways", ["up"], "up"):
        page.say(thumb=thumb)
    wait_until(lambda: page.show()[0]["thumbs"] == 2, "the page shows them")
    assert play.takeover.turn is Turn.AGENT
    page.close()


def test_remote_input_takes_over_and_lets_the_agent_resume(play: Play) -> None:
    page = Page(play.viewer.url)
    page.send_input("a", dx=40)
    _hold(page, play, "a")
    page.send_input("a", dx=-15)
    wait_until(lambda: play.game.moved == 25, "and the motion, to the pixel")
    assert play.takeover.turn is Turn.PERSON

    def is_shown() -> bool:
        page.send_input("a")
        facts, picture = page.show()
        return facts["turn"] == "person" and facts["keys"] == ["a"] and picture[0, 0, 2] > 200

    wait_until(is_shown, "the page shows it")
    page.say(resume=True)
    wait_until(lambda: play.game.held == Action.of(["w"]), "the agent plays on")
    page.send_input("")
    page.send_input("F12")
    assert play.stopped.wait(60), "the panic key ends play"
    assert play.game.held == NOTHING


@pytest.mark.parametrize("how", ["closes", "falls silent"])
def test_a_page_that_goes_away_holds_nothing(play: Play, how: str) -> None:
    page = Page(play.viewer.url)
    _hold(page, play, "a")
    if how == "closes":
        page.close()
    wait_until(lambda: play.game.held == NOTHING, "it is released")
    assert play.takeover.turn is Turn.PERSON, "the agent does not go on by itself"


def test_two_pages_that_hold_keys_hold_them_together(play: Play) -> None:
    """Beats of both say again and again what each of them holds: the hands must not jump from one to the other."""
    one, two = Page(play.viewer.url), Page(play.viewer.url)
    two.send_input("")
    _hold(one, play, "a")

    def are_held() -> bool:
        one.send_input("a")
        two.send_input("d", dx=1)
        return play.game.held == Action.of(["a", "d"])

    wait_until(are_held, "both are carried out")
    two.close()
    _hold(one, play, "a")
    assert play.takeover.turn is Turn.PERSON


def test_the_hands_do_not_jump_between_pages() -> None:
    """Pages say again and again what each of them holds."""
    takeover = Takeover(Agent())
    takeover.reset(0)
    far = RemoteInput(takeover)
    seen = []
    for now in range(0, 20, 2):
        far.hear("one", Action.of(["a"], ["0"], dx=1), now)
        seen.append(takeover.carry_out(NOTHING, now))
        far.hear("two", Action.of(["a", "d"], dx=2), now + 1)
        seen.append(takeover.carry_out(NOTHING, now + 1))
    assert seen[2::2] == [Action.of(["a", "d"], ["0"], dx=1)] * 9
    assert seen[1::2] == [Action.of(["a", "d"], ["0"], dx=2)] * 10
    far.hear("one", NOTHING, 20)
    assert takeover.carry_out(NOTHING, 20) == Action.of(["a", "d"]), "one lets go, the other still holds"
    far.hear("one", Action.of(["w"]), 21)
    far.drop_silent(22, 2)
    assert takeover.carry_out(NOTHING, 22) == Action.of(["w"])
    far.leave("one", 23)
    far.leave("two", 23)
    assert takeover.carry_out(NOTHING, 23) == NOTHING


def test_nothing_is_shown_without_the_token(play: Play) -> None:
    assert _get(play.viewer, "/")[0] == 403
    assert _get(play.viewer, "/?token=wrong")[0] == 403
    assert Page(play.viewer.url.replace("token=", "token=x")).status == 403
    status, body = _get(play.viewer, "/?" + urlsplit(play.viewer.url).query)
    assert (status, b"page.js" in body) == (200, True)
    for file in ("/page.js", "/page.css"):
        assert _get(play.viewer, file)[0] == 200
    assert _get(play.viewer, "/../viewer.py?" + urlsplit(play.viewer.url).query)[0] == 404
    assert _get(play.viewer, "/play?" + urlsplit(play.viewer.url).query)[0] == 400


@pytest.mark.parametrize(
    "frames",
    [
        [(1, b"{", True, True)],
        [(1, b"[]", True, True)],
        [(1, b'{"input": {"keys": 3}}', True, True)],
        [(1, b'{"shown": 1}', True, False)],
        [(1, b"x" * 60000, False, True), (0, b"x" * 60000, True, True)],
        [(3, b"", True, True)],
        [(0, b"", True, True)],
    ],
    ids=["no JSON", "no object", "no input", "not masked", "too long", "unknown kind", "no beginning"],
)
def test_a_page_that_talks_nonsense_is_sent_away(play: Play, frames: list[tuple[int, bytes, bool, bool]]) -> None:
    page = Page(play.viewer.url)
    for kind, data, is_last, is_masked in frames:
        page.send(kind, data, is_last=is_last, is_masked=is_masked)
    assert page.receive() is None
    assert Page(play.viewer.url).show()[0]["turn"] == "agent", "the play goes on"


def test_a_ping_is_answered_and_a_message_in_parts_is_understood(play: Play) -> None:
    page = Page(play.viewer.url)
    page.send(9, b"there?")
    assert page.receive() == b"there?"

    def is_held() -> bool:
        page.send(1, b'{"input": {"keys": ["a", "Hyper"], "buttons": ["7"],', is_last=False)
        page.send(0, b' "dx": 0, "dy": 0, "scroll": 0}}')
        return play.game.held == Action.of(["a"])

    wait_until(is_held, "the key is carried out, and no name that does not exist")


@pytest.mark.parametrize("how", ["stays", "half closes"])
def test_a_page_that_reads_nothing_does_not_keep_play_from_ending(how: str) -> None:
    viewer = Viewer(LOOPBACK)
    page = Page(viewer.url)
    page.say(shown=0)
    # More than the system takes for a connection, whatever its limits.
    viewer.look(Frame(np.random.default_rng(0).integers(0, 256, (10_500, 1900, 3), np.uint8), time.monotonic_ns(), 0))
    (connection,) = viewer._sockets
    wait_until(connection._sending.locked, "the picture is being sent")
    if how == "half closes":
        page.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: not connection._sending.locked(), "and is given up")
    closing = threading.Thread(target=viewer.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
    page.close()


def test_connections_without_the_token_are_few(play: Play) -> None:
    page = Page(play.viewer.url)
    others = [socket.create_connection(("127.0.0.1", urlsplit(play.viewer.url).port)) for _ in range(100)]
    for other in others[:60]:
        other.settimeout(60)
        assert not other.recv(1), "the oldest are sent away"
    _hold(page, play, "a")
    assert _get(play.viewer, "/?" + urlsplit(play.viewer.url).query)[0] == 200
    assert Page(play.viewer.url).show()[0]["turn"] == "person"
    for other in others:
        other.close()


def test_an_address_that_cannot_be_had_is_said(play: Play) -> None:
    with pytest.raises(UserError, match="choose another address"):
        Viewer(Address(host="127.0.0.1", port=urlsplit(play.viewer.url).port or 0))


def test_view_finds_what_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(["view", "--no-open"]) == 2
    assert "Nothing plays" in capsys.readouterr().err
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as killed:
        ghost = RunningPlay(killed.pid, process_identity(killed.pid), "ghost", "http://x", time.time())
        file = tmp_path / "eyehand" / f"{killed.pid}.json"
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.write_text(json.dumps(asdict(ghost)))
        assert running_plays() == [ghost]
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        assert running_plays() == [], "it has ended, although nobody has asked how"
        assert not file.exists()
    (tmp_path / "eyehand" / "1.json").write_text("{")
    with announce_play("openarena", "http://127.0.0.1:1/?token=x"):
        assert (tmp_path / "eyehand" / f"{os.getpid()}.json").stat().st_mode & 0o077 == 0
        assert [play.game for play in running_plays()] == ["openarena"]
        for which in ([], ["open"], [str(os.getpid())]):
            assert main(["view", *which, "--no-open"]) == 0
            assert capsys.readouterr().out == "http://127.0.0.1:1/?token=x\n"
        assert main(["view", "quake", "--no-open"]) == 2
        assert "openarena" in capsys.readouterr().err
    assert running_plays() == []


def test_the_token_is_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$@" > {seen}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    url = "http://127.0.0.1:1/?token=secret&x=1"
    with announce_play("openarena", url):
        environment = {**os.environ, "BROWSER": f"{browser} %s"}
        subprocess.run([sys.executable, "-m", "eyehand", "view"], env=environment, check=True, timeout=60)
        page = Path(seen.read_text().strip().removeprefix("file://"))
        assert "secret" not in seen.read_text()
        assert html.escape(url) in page.read_text()
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert not page.exists()


def test_a_play_is_not_forgotten_when_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    began = psutil.Process.create_time
    with announce_play("openarena", "http://127.0.0.1:1/?token=x"):
        for jump_s in (7200.0, -7200.0):  # what psutil says once the clock was set
            monkeypatch.setattr(psutil.Process, "create_time", lambda process, s=jump_s: began(process) + s)
            assert [play.game for play in running_plays()] == ["openarena"]


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("kind", ["file", "link", "open to others", "of another user"])
def test_what_another_user_puts_in_the_way_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    squatted = tmp_path / f"eyehand-{os.getuid()}"
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    if kind == "file":
        squatted.write_text("")
    elif kind == "link":
        squatted.symlink_to(theirs)
    else:
        squatted.mkdir(mode=0o700)
        (squatted / "1.json").write_text("{}")
        if kind == "open to others":
            squatted.chmod(0o777)
        elif os.getuid() == 0:
            os.chown(squatted, 65534, 65534)
        else:
            pytest.skip("only root can give a folder away")
    with announce_play("openarena", "http://127.0.0.1:1/?token=x"):
        assert [play.url for play in running_plays()] == ["http://127.0.0.1:1/?token=x"]
        assert list(theirs.iterdir()) == []
        (other,) = private_folders()
        assert stat.S_IMODE(other.stat().st_mode) == 0o700
        assert private_folder() == other, "no new one for every process"


def test_a_runtime_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)  # as where `su` leaves the variable as it was
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(theirs))
    assert private_folder().parent == tmp_path
    assert list(theirs.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", *(["/proc/self/fd"] if sys.platform == "linux" else [])])
def test_a_runtime_folder_in_which_nothing_can_be_made_does_not_keep_from_play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if kind == "file":
        (tmp_path / "run").mkdir(mode=0o700)
        (tmp_path / "run" / "eyehand").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run") if kind == "file" else kind)
    with announce_play("openarena", "http://127.0.0.1:1/?token=x"):
        assert [play.game for play in running_plays()] == ["openarena"]
        assert private_folder().parent == tmp_path


@pytest.fixture(scope="module")
def chromium() -> Iterator[chromium_driver.Page]:
    with chromium_driver.browser() as page:
        yield page


def _shown(browser: chromium_driver.Page, javascript: str, what: str) -> None:
    wait_until(lambda: bool(browser.evaluate(javascript)), what)


def test_a_person_on_the_page_tells_it_what_to_do_plays_and_sees_the_end(
    play: Play, chromium: chromium_driver.Page
) -> None:
    told: list[str] = []
    play.viewer.seconds, play.viewer.keys, play.viewer.instruct = 3725.0, ("RightArrow", "Space"), told.append
    play.viewer.ended = "the time was over"
    chromium.resize(960, 500)
    chromium.call("Page.navigate", url=play.viewer.url)
    _shown(chromium, "document.querySelector('#figures')?.textContent.startsWith('1:0')", "the time left is shown")
    assert " ms" not in chromium.evaluate("document.body.innerText")
    assert "picture/s" not in chromium.evaluate("document.body.innerText")
    caps = "[...document.querySelectorAll('#keys span')].map(cap => cap.textContent)"
    assert chromium.evaluate(caps)[:2] == ["Right Arrow", "Space"]
    lowest = "Math.max(...['take', 'stop', 'wish'].map(id => at(id).getBoundingClientRect().bottom))"
    for size in ((960, 500), (390, 780), (780, 360)):
        chromium.resize(*size, is_phone=size != (960, 500))
        assert 0 < chromium.evaluate(lowest) <= size[1], f"all buttons are seen at {size}"
        assert chromium.evaluate("at('picture').getBoundingClientRect().height") >= 80

    chromium.evaluate("at('wish').value = ' jump '; at('tell').requestSubmit()")
    wait_until(lambda: told == ["jump"], "the instruction has come")

    finger = {"bubbles": True, "pointerId": 1, "pointerType": "touch", "isPrimary": True}
    touch = "document.querySelectorAll('#keys span')[1].dispatchEvent(new PointerEvent(%s, %s))"
    chromium.evaluate("Element.prototype.setPointerCapture = () => {}")  # there is no finger to be captured
    chromium.evaluate(touch % ("'pointerdown'", json.dumps(finger)))
    wait_until(lambda: play.game.held == Action.of(["Space"]), "the touched key is held, and nothing of the agent's")
    chromium.evaluate(touch % ("'pointerup'", json.dumps(finger)))
    wait_until(lambda: play.game.held == NOTHING, "it is released with the finger")
    _shown(chromium, "at('turn').textContent == 'you play'", "who plays is said")
    move = "at('picture').dispatchEvent(new PointerEvent(%s, {...%s, clientX: %d, clientY: 9}))"
    for kind, x in (("pointerdown", 10), ("pointermove", 60), ("pointerup", 60)):
        chromium.evaluate(move % (f"'{kind}'", json.dumps(finger), x))
    wait_until(lambda: play.game.moved > 0, "the finger has moved the mouse")
    assert chromium.evaluate("at('give').hidden") is False
    chromium.evaluate("at('give').click()")
    _shown(chromium, "at('turn').textContent == 'the agent plays'", "the agent plays")

    chromium.evaluate("socket.close()")
    _shown(chromium, "at('turn').textContent == 'no connection, trying again'", "a lost connection is told")
    _shown(chromium, "at('turn').textContent == 'the agent plays'", "it has connected again")
    play.end()
    _shown(chromium, "!at('end').hidden", "the end is told")
    assert chromium.evaluate("at('end').textContent") == "Play has ended: the time was over."
    assert chromium.evaluate("at('controls').hidden")
    assert chromium.errors == []
