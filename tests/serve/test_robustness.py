"""Clients that do everything wrong, beside one that does everything right, which goes on being answered."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import Running, Serve, Sum
from talker import Talker, frame, grey, noise, packed

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame
from eyehand.player import Decision, Observation
from eyehand.players.policy import PolicyPlayer
from eyehand.serve.server import _SEND_BUFFER_BYTES
from eyehand.wire import extended_pb2
from eyehand.wire.address import Address
from eyehand.wire.framing import MAX_MESSAGE_BYTES
from eyehand.wire.messages import action_of
from patience import wait_until

GARBAGE = random.Random(0).randbytes(10_000)
BAD = {
    "length 0": struct.pack("<I", 0),
    "length 2^31": struct.pack("<I", 2**31),
    "more than 64 MiB": struct.pack("<I", MAX_MESSAGE_BYTES + 1),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage": GARBAGE,
    "garbage of the right length": packed(GARBAGE),
    "an empty frame": packed(b"\x20\x01"),
    "a frame with too few bytes": packed(b"\x08\x02\x10\x02\x1a\x03abc\x20\x01"),
    "a frame of negative size": packed(frame(1, grey(0)).replace(b"\x08\x04", b"\x08" + b"\xff" * 9 + b"\x01")),
}


@pytest.mark.parametrize("name", BAD)
def test_nonsense_ends_its_own_connection_only(serve: Serve, model: PolicyPlayer, name: str) -> None:
    running = serve(model.sibling)
    with running.talker() as good, running.talker() as bad:
        good.show(1, noise(0))
        assert good.answer().id == 1
        bad.show(1, noise(0))
        assert bad.answer().id == 1
        bad.socket.sendall(BAD[name])
        assert bad.is_ended()
        good.show(2, noise(1))
        assert good.answer().id == 2


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Running]:
    """One server for all the fuzzing."""
    running = Running(lambda: Sum([]), Address(host="127.0.0.1"))
    yield running
    running.stop()


@settings(max_examples=60)
@given(data=st.binary(max_size=300), is_packed=st.booleans(), begins_well=st.booleans())
def test_fuzzing_a_running_server(fuzzed: Running, data: bytes, is_packed: bool, begins_well: bool) -> None:
    with fuzzed.talker() as client:
        if begins_well:
            client.hello()
        client.socket.sendall(packed(data) if is_packed else data)
        client.socket.shutdown(socket.SHUT_WR)
        while not client.is_ended():
            pass
    with fuzzed.talker() as good:
        good.show(5, grey(0))
        assert good.answer().id == 5


def test_half_a_frame_holds_nobody_up(serve: Serve, model: PolicyPlayer) -> None:
    """Clients that send a byte now and then, or nothing more at all."""
    running = serve(model.sibling)
    message = packed(frame(1, noise(0)))
    stuck = [running.talker() for _ in range(10)]
    for index, client in enumerate(stuck):
        client.socket.sendall(message[: index * 700])
    with running.talker() as good:
        for index in range(10):
            good.show(index, noise(index))
            assert good.answer().id == index
            for client, sent in zip(stuck, range(0, 7000, 700), strict=True):
                client.socket.sendall(message[sent + index : sent + index + 1])
    for client, sent in zip(stuck, range(0, 7000, 700), strict=True):
        client.socket.sendall(message[sent + 10 :])
        assert client.answer().id == 1
        client.close()


@pytest.mark.parametrize("tcp", [False, True])
def test_who_never_reads_is_disconnected_and_keeps_nobody_waiting(serve: Serve, tcp: bool) -> None:
    """Replies pile up in the system, then here, up to a limit; then the connection ends."""
    running = serve(lambda: Sum([]), tcp=tcp)
    with running.talker() as deaf, running.talker() as good:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.say(hello=extended_pb2.Hello(version=1))
        beats = packed(extended_pb2.ClientMessage(heartbeat=1).SerializeToString()) * 1000
        is_cut_off = False
        for index in range(10_000):
            try:
                deaf.socket.sendall(beats)
            except ConnectionError:
                is_cut_off = True
                break
            good.show(index, grey(0))
            assert good.answer().id == index
        assert is_cut_off


def test_a_flood_of_frames_leaves_others_their_turn(serve: Serve, model: PolicyPlayer) -> None:
    """Three clients send as fast as they can until they are cut off."""
    running = serve(model.sibling, messages_per_s=400.0)
    message = packed(frame(1, noise(0, 100, 100)))

    def flood(talker: Talker) -> int:
        num_sent = 0
        with contextlib.suppress(OSError):
            while True:
                talker.socket.sendall(message)
                num_sent += 1
        return num_sent

    flooding = [running.talker() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool, running.talker() as good:
        floods = [pool.submit(flood, talker) for talker in flooding]
        for index in range(20):
            good.show(index, noise(index))
            assert good.answer().id == index
        for talker in flooding:
            talker.socket.shutdown(socket.SHUT_RDWR)
        assert all(flood.result() > 0 for flood in floods)
    for talker in flooding:
        talker.close()


def test_who_sends_too_fast_is_left_waiting_but_loses_nothing(serve: Serve) -> None:
    with serve(lambda: Sum([]), messages_per_s=200.0).talker() as client:
        client.hello()
        for number in range(1, 301):
            client.say(heartbeat=number)
        assert [client.hear().heartbeat for _ in range(300)] == list(range(1, 301))


def test_a_flood_of_tiny_messages_is_parsed_in_pieces(serve: Serve) -> None:
    """Thousands of messages that arrive together would keep everybody else from being heard."""
    running = serve(lambda: Sum([]), messages_per_s=100.0)
    with running.talker() as flooding, running.talker() as good:
        flooding.hello()
        (flooder,) = (one for one in running.server._connections if one.is_greeted)
        flooding.socket.sendall(packed(b"\x20\x01") * 30_000)
        wait_until(lambda: flooder._unpacker.num_waiting > 1000, "most of it waits")
        good.show(1, grey(0))
        assert good.answer().id == 1


def test_32_clients_each_play_their_own_game(serve: Serve, model: PolicyPlayer) -> None:
    def play(client_number: int) -> list[Action]:
        actions = []
        with running.talker() as client:
            for index in range(4):
                client.show(index, noise(100 * client_number + index))
                answer = client.answer()
                assert answer.id == index
                actions.append(action_of(answer))
        return actions

    running = serve(model.sibling)
    with ThreadPoolExecutor(32) as pool:
        played = list(pool.map(play, range(32)))
    here = model.sibling()
    for client_number, actions in enumerate(played):
        here.reset(0)
        expected = [NOTHING]
        for index in range(4):
            seen = Observation(Frame(noise(100 * client_number + index), 0, index), None, expected[-1])
            expected.append(here.act(seen).action)
        assert actions == expected[1:]
    assert len(set(map(tuple, played))) > 10  # who answers the same to everybody would not show a mistake


def test_one_client_too_many_is_refused_until_another_leaves(serve: Serve) -> None:
    running = serve(lambda: Sum([]), connections=2)
    first, second = running.talker(), running.talker()
    for client in (first, second):
        client.show(1, grey(0))
        client.answer()
    with running.talker() as third, running.talker() as plain:
        assert third.hello().parting == extended_pb2.Parting(reason="all 2 places are taken", is_final=False)
        assert third.is_ended()
        plain.show(1, grey(0))
        assert plain.is_ended()
    first.socket.shutdown(socket.SHUT_WR)
    assert first.is_ended()
    with running.talker() as fourth:
        fourth.show(1, grey(0))
        assert fourth.answer().id == 1
    second.close()
    first.close()


def deafen(client: Talker) -> None:
    """Let replies wait for a client that has said all it will say and reads nothing."""
    client.hello()
    beat = packed(extended_pb2.ClientMessage(heartbeat=1).SerializeToString())
    # More than the system holds for it: Linux doubles the size of a buffer.
    client.socket.sendall(beat * (8 * _SEND_BUFFER_BYTES // len(beat)))
    client.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("tcp", [False, True])
def test_who_says_goodbye_and_reads_nothing_leaves_its_place_and_does_not_keep_the_server(
    serve: Serve, tcp: bool
) -> None:
    running = serve(lambda: Sum([]), tcp=tcp, connections=1, unread_bytes=1e9)
    for _ in range(2):  # the second one gets the place of the first
        deaf = running.talker()
        deafen(deaf)
        wait_until(lambda: not running.server._connections, "the deaf one is gone")
    running.stop()


def test_those_who_say_nothing_make_room_for_those_who_do(serve: Serve) -> None:
    running = serve(lambda: Sum([]), silent=3, connections=2)
    with running.talker() as good:
        good.show(1, grey(0))
        assert good.answer().id == 1
        silent = [running.talker() for _ in range(5)]
        silent[3].socket.sendall(b"\x09")
        assert silent[0].is_ended()
        assert silent[1].is_ended()
        good.show(2, grey(0))
        assert good.answer().id == 2
        with running.talker() as late:
            late.show(3, grey(0))
            assert late.answer().id == 3
        for client in silent:
            client.close()


def test_silence_ends(serve: Serve) -> None:
    running = serve(lambda: Sum([]), greeting_s=0.01)
    with running.talker() as silent, running.talker() as half:
        half.socket.sendall(packed(frame(1, grey(0)))[:-1])
        assert silent.is_ended()
        assert half.is_ended()


def test_a_client_that_has_left_leaves_nothing_to_the_garbage_collector(serve: Serve) -> None:
    """Its last message may have been as long as 64 MiB."""
    running = serve(lambda: Sum([]), greeting_s=1e6)
    gc.collect()
    gc.disable()
    try:
        left = []
        for bad in (b"", packed(frame(2, noise(0)))[:-1], packed(b"no message"), packed(frame(2, grey(0, 1081, 1920)))):
            with running.talker() as client:
                client.show(1, grey(0))
                client.answer()
                left += [weakref.ref(connection) for connection in running.server._connections]
                client.socket.sendall(bad)
            wait_until(lambda: not running.server._connections, "it is gone")
        wait_until(lambda: not any(connection() for connection in left), "and nothing is left of it")
    finally:
        gc.enable()


def test_a_client_that_is_killed_within_a_frame(serve: Serve, model: PolicyPlayer) -> None:
    running = serve(model.sibling, connections=1)
    path = running.address.path
    code = (
        "import os, signal, socket, struct, sys\n"
        f"client = socket.socket(socket.AF_UNIX); client.connect({str(path)!r})\n"
        "client.sendall(struct.pack('<I', 100_000) + bytes(50_000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
    # Each place is free again once the server has noticed; until then a new client is turned away.
    while True:
        with running.talker() as good, contextlib.suppress(ConnectionError):
            good.show(1, noise(0))
            if good.read():
                return


class Light(Sum):
    """Costs as little as a decision can, and remembers nothing."""

    def act(self, observation: Observation) -> Decision:
        return Decision(NOTHING)


@pytest.mark.slow
def test_memory_is_flat_over_100_000_frames(serve: Serve) -> None:
    """Twenty clients at once. Each connection sends a hundred frames, drops a few of them, and ends within the last."""
    running = serve(lambda: Light([]))
    message = packed(frame(1, noise(0, 32, 32)))

    def play(num_connections: int) -> None:
        for _ in range(num_connections):
            with running.talker() as client:
                for _ in range(98):
                    client.socket.sendall(message)
                    client.answer()
                client.socket.sendall(2 * message + message[:1000])

    process = psutil.Process(os.getpid())
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(play, [10] * 20))
        before = process.memory_info().rss
        list(pool.map(play, [50] * 20))
        assert process.memory_info().rss - before < 8e6
