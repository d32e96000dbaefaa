"""The player whose model is elsewhere: the same decisions, and nothing held as soon as the server is gone."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from serving import Gated, Serve, Sum
from talker import Talker, grey, noise

from eyehand.action import NOTHING, Action
from eyehand.cli import main
from eyehand.clock import SystemClock
from eyehand.errors import UserError
from eyehand.frame import Frame, resize
from eyehand.game import Outcome, TaskInfo
from eyehand.games.families import open_game
from eyehand.player import Decision, Observation
from eyehand.players.kinds import PlayerOptions, open_player
from eyehand.players.policy import PolicyPlayer
from eyehand.players.remote import RemotePlayer
from eyehand.session import Session, Tick
from eyehand.wire import extended_pb2
from eyehand.wire.address import Address
from eyehand.wire.messages import MAX_BESIDE_PICTURE

TOKEN = "0123456789abcdef"
PATIENT = {"silence_s": 60.0, "dead_after_s": 60.0}
Connect = Callable[..., RemotePlayer]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A connected RemotePlayer that is closed at the end; it waits as long as it takes, unless told otherwise."""
    with ExitStack() as stack:

        def start(address: Address, token: str | None = None, **options: float) -> RemotePlayer:
            player = RemotePlayer(address, token, **(PATIENT | options))
            stack.callback(player.close)
            player.connect(timeout_s=60)
            return player

        yield start


def look(pixels: np.ndarray, instruction: str | None = None, executed: Action = NOTHING) -> Observation:
    return Observation(Frame(pixels, 123), instruction, executed)


@pytest.mark.parametrize("tcp", [False, True])
def test_decisions_are_those_of_the_same_player_here(
    serve: Serve, connect: Connect, model: PolicyPlayer, tcp: bool
) -> None:
    """Two episodes with instructions, and executed actions that are not always the decided ones."""
    running = serve(model.sibling, tcp=tcp, token=TOKEN if tcp else None)
    remote, here = connect(running.address, TOKEN if tcp else None), model.sibling()
    assert remote.name == "tiny (remote)"
    for seed in (3, 4):
        remote.reset(seed)
        here.reset(seed)
        executed = NOTHING
        for index in range(6):
            seen = look(noise(index, 64, 80), (None, "turn left", "turn right")[index // 2], executed)
            decision = here.act(seen)
            assert remote.act(seen) == decision
            executed = Action.of(["w"], dx=9) if index == 2 else decision.action
    assert remote.num_unanswered == 0
    assert list(remote.stage_ms)[:2] == ["network", "wait"]
    assert set(remote.stage_ms) == {"network", "wait", "resize", "vision", "backbone", "decoder"}


def test_pictures_travel_small(serve: Serve, connect: Connect) -> None:
    """Resized here by the one resize, where that saves anything."""
    told: list[Observation | int] = []
    remote = connect(serve(lambda: Sum(told)).address)
    for pixels in (noise(0, 64, 80), grey(9, 4, 4)):
        remote.act(look(pixels))
    seen = [told_one.frame.pixels for told_one in told if isinstance(told_one, Observation)]
    assert np.array_equal(seen[0], resize(noise(0, 64, 80), 32))
    assert np.array_equal(seen[1], grey(9, 4, 4))


class Mirror(Gated):
    """Moves by the brightness of the picture."""

    def act(self, observation: Observation) -> Decision:
        super().act(observation)
        return Decision(Action.of(dx=int(observation.frame.pixels[0, 0, 0])))


def test_silence_lets_go_and_a_late_answer_is_nobodys(serve: Serve, connect: Connect) -> None:
    """The server lives but does not answer in time; its answer to an old picture is not taken for that to a new one."""
    player = Mirror([])
    remote = connect(serve(lambda: player).address, silence_s=0.1)
    assert remote.act(look(grey(1))) == Decision(NOTHING)
    assert remote.num_unanswered == 1
    assert player.thinks.acquire(timeout=60)
    brightness, decision = 1, Decision(NOTHING)

    def is_answered() -> bool:
        nonlocal brightness, decision
        player.may_go.release(2)
        brightness += 1
        decision = remote.act(look(grey(brightness % 256)))
        return decision != Decision(NOTHING)

    until(is_answered)
    assert decision.action.dx == brightness % 256


def test_wrong_servers_are_told_in_one_sentence(serve: Serve, tmp_path: Path) -> None:
    running = serve(lambda: Sum([]), token=TOKEN, tcp=True)
    with pytest.raises(UserError, match=r"does not want to play: the token is wrong or missing: give --token-file"):
        RemotePlayer(running.address, "wrong").connect()
    with pytest.raises(UserError, match=r"There is no model server at .*nowhere"):
        RemotePlayer(Address(path=tmp_path / "nowhere")).connect()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address(host="127.0.0.1", port=silent.getsockname()[1])
        with pytest.raises(UserError, match="nothing was heard from the server"):
            RemotePlayer(address, dead_after_s=0.2).connect(timeout_s=60)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack("<I", MAX_BESIDE_PICTURE + 1)])
def test_a_server_that_announces_more_than_any_answer_has_is_left(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as babbling:

        def babble() -> None:
            connection, _ = babbling.accept()
            with connection:
                connection.sendall(said)
                connection.recv(1000)

        thread = threading.Thread(target=babble)
        thread.start()
        address = Address(host="127.0.0.1", port=babbling.getsockname()[1])
        with pytest.raises(UserError, match="does not want to play: the server sent a message of"):
            RemotePlayer(address).connect(timeout_s=60)
        thread.join()


def test_a_server_is_a_player_by_name(serve: Serve, tmp_path: Path) -> None:
    running, threads = serve(lambda: Sum([]), token=TOKEN, tcp=True), set(threading.enumerate())
    token_file, name = tmp_path / "token", f"{running.address.host}:{running.address.port}"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    options = ["--game", "doom/aim", "--token-file", str(token_file), "--seconds", "0.5", "--no-video"]
    assert main(["play", *options, "--server", name, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["player"] == "tiny (remote)"
    assert not [thread for thread in set(threading.enumerate()) - threads if "model client" in thread.name]
    game = open_game("doom/aim")
    game.fps = 10.0
    with pytest.raises(UserError, match=r"tiny \(remote\) was trained on 20 ticks a second and doom/aim has 10"):
        open_player(f"remote:{name}", game, PlayerOptions(token_file=token_file))
    assert not [thread for thread in set(threading.enumerate()) - threads if "model client" in thread.name]


class Unable(Sum):
    def act(self, observation: Observation) -> Decision:
        if observation.instruction:
            raise UserError("It has no text encoder: give no instruction.")
        return super().act(observation)


def test_what_the_user_can_fix_at_the_server_is_told_here(serve: Serve, connect: Connect) -> None:
    remote = connect(serve(lambda: Unable([])).address)
    assert remote.act(look(grey(0))).action.dx == 1
    assert remote.act(look(grey(0), "jump")) == Decision(NOTHING)
    with pytest.raises(UserError, match="has no text encoder"):
        remote.act(look(grey(0)))


def test_a_blocked_line_carries_the_newest_picture_and_the_whole_past(tmp_path: Path, connect: Connect) -> None:
    """A server that reads nothing for a while: no picture queues up, and nothing that was executed is forgotten."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(str(path))
        listener.listen()
        connecting = pool.submit(connect, Address(path=path), silence_s=0.01)
        with Talker(listener.accept()[0]) as server:
            assert extended_pb2.ClientMessage.FromString(server.read()).hello.version == 1
            server.send(extended_pb2.ServerMessage(welcome=extended_pb2.Welcome(version=1)).SerializeToString())
            remote = connecting.result(timeout=60)
            for value in range(1, 31):
                assert remote.act(look(grey(value, 500, 500), executed=Action.of(dx=1))) == Decision(NOTHING)
            frames = []
            while not frames or frames[-1].id < 30:
                message = extended_pb2.ClientMessage.FromString(server.read())
                frames += [message] if message.data else []
    assert len(frames) < 10
    assert [frame.data[0] for frame in frames] == [frame.id for frame in frames]
    assert sum(frame.executed.mouse.mouse_delta_px.x for frame in frames) == 30
    assert [frame.HasField("reset") for frame in frames] == [True] + [False] * (len(frames) - 1)


SERVER = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from serving import Running, Sum
from eyehand.wire.address import Address
from eyehand.wire.messages import MAX_BESIDE_PICTURE
running = Running(lambda: Sum([]), Address(path=Path(sys.argv[2])))
print("ready", flush=True)
running._thread.join()
"""


class ServerProcess:
    """A server in a process of its own, to be killed."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", SERVER, str(Path(__file__).parent), str(path)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self._process.kill()
        assert self._process.wait(timeout=60) == -signal.SIGKILL
        assert self._process.stdout is not None
        self._process.stdout.close()


def until(condition: Callable[[], bool]) -> None:
    """Try again until it is true, for a minute."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_killed_server_releases_everything_and_a_new_one_is_found(tmp_path: Path, connect: Connect) -> None:
    first = ServerProcess(tmp_path / "s")
    remote = connect(Address(path=tmp_path / "s"))
    remote.reset(7)
    for num in (1, 2, 3):
        assert remote.act(look(grey(200))).action == Action.of(["w"], dx=num)
    first.kill()
    assert remote.act(look(grey(200))) == Decision(NOTHING)  # it does not wait for the minute that it may be silent
    assert remote.act(look(grey(200))) == Decision(NOTHING)
    second = ServerProcess(tmp_path / "s")
    decisions: list[Decision] = []

    def answers() -> bool:
        decisions.append(remote.act(look(grey(200))))
        return decisions[-1] != Decision(NOTHING)

    until(answers)
    assert decisions[-1].action == Action.of(["w"], dx=1)  # the new server begins the episode again
    second.kill()


class Corridor:
    """A real-time game without end that keeps the executed actions."""

    task = TaskInfo("test/corridor", "test", "corridor", ("walk", "go"), 1e9, "nothing")
    fps = 20.0
    is_realtime = True
    state = None

    def __init__(self) -> None:
        self.is_held = False

    def reset(self, seed: int) -> None:
        self.is_held = False

    def observe(self) -> Frame:
        return Frame(grey(200), SystemClock().now_ns())

    def act(self, action: Action) -> None:
        self.is_held = action.is_held

    def outcome(self) -> Outcome:
        return Outcome()

    def release(self) -> None:
        self.is_held = False

    def close(self) -> None:
        pass


class Killer:
    """Kills the server once keys are held, starts another once they are released, and ends when they are held again."""

    def __init__(self, game: Corridor, path: Path) -> None:
        self.game, self.path = game, path
        self.server = ServerProcess(path)
        self.story = ["walks"]

    def on_start(self, start: object) -> None:
        pass

    def on_tick(self, tick: Tick) -> None:
        if self.game.is_held and len(self.story) == 1:
            self.server.kill()
            self.story.append("is killed")
        elif not self.game.is_held and len(self.story) == 2:
            self.story.append("releases")
            self.server = ServerProcess(self.path)
        elif self.game.is_held and len(self.story) == 3:
            self.story.append("walks again")
            raise KeyboardInterrupt

    def on_end(self, end: object) -> None:
        self.server.kill()


def test_a_session_lets_go_when_the_server_is_killed_and_goes_on_with_the_next(
    tmp_path: Path, connect: Connect
) -> None:
    """The session itself would hold the keys for a minute: it is the player that releases them."""
    game = Corridor()
    killer = Killer(game, tmp_path / "s")
    player = connect(Address(path=tmp_path / "s"))
    with pytest.raises(KeyboardInterrupt):
        Session(game, player, [killer], stale_after_s=60.0).run_episode(0)
    assert killer.story == ["walks", "is killed", "releases", "walks again"]
    assert not game.is_held


def test_closing_ends_the_connection_and_may_be_done_twice(serve: Serve, connect: Connect) -> None:
    running = serve(lambda: Sum([]))
    remote = connect(running.address)
    remote.act(look(grey(0)))
    assert len(running.server._connections) == 1
    remote.close()
    remote.close()
    assert remote.act(look(grey(0))) == Decision(NOTHING)
    until(lambda: not running.server._connections)
