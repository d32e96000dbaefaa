"""What Open P2P's recorder would see: its framing, its messages, and nothing else."""

from __future__ import annotations

import socket
import struct

import numpy as np
import pytest
from serving import Gated, Serve, Sum
from talker import frame, grey, noise, packed

from eyehand.action import NOTHING, Action
from eyehand.frame import Frame
from eyehand.player import Observation
from eyehand.players.policy import PolicyPlayer
from eyehand.wire import extended_pb2, live_pb2
from eyehand.wire.messages import action_of


def decisions(player: PolicyPlayer, pictures: list[np.ndarray], instruction: str | None = None) -> list[Action]:
    """What a policy on this machine decides, when all of it is executed."""
    player.reset(0)
    actions = [NOTHING]
    for index, pixels in enumerate(pictures):
        actions.append(player.act(Observation(Frame(pixels, 0, index), instruction, actions[-1])).action)
    return actions[1:]


def test_the_bytes_of_one_tick(serve: Serve) -> None:
    """Written out by hand from the reference's table of fields."""
    running = serve(lambda: Sum([]))
    with running.talker() as client:
        pixels = bytes([200] * 12)
        client.socket.sendall(struct.pack("<I", 20) + b"\x08\x02\x10\x02\x1a\x0c" + pixels + b"\x20\x07")
        # keys "w", id 7, mouse_action { mouse_delta_px { x 1 } }: always there, also where no button is held.
        assert client.read() == b"\x0a\x01w\x10\x07\x1a\x04\x0a\x02\x08\x01"


def test_remote_decisions_are_those_of_a_player_here(serve: Serve, model: PolicyPlayer) -> None:
    """Pictures of any size, ids with gaps; every connection begins a new episode."""
    pictures = [noise(seed, 30 + seed, 60) for seed in range(8)]
    expected = decisions(model.sibling(), pictures)
    running = serve(model.sibling)
    for _ in range(2):
        with running.talker() as client:
            got = []
            for index, pixels in enumerate(pictures):
                client.show(1 + 3 * index, pixels)
                answer = client.answer()
                assert answer.id == 1 + 3 * index
                assert answer.mouse_action.HasField("mouse_delta_px")
                got.append(action_of(answer))
        assert got == expected
    assert len(set(expected)) > 3  # a policy that always says the same would show nothing


def test_a_plain_client_is_told_nothing_but_actions(serve: Serve, model: PolicyPlayer) -> None:
    running = serve(model.sibling)
    with running.talker() as client:
        client.show(1, noise(0))
        answer = client.read()
        assert live_pb2.Action.FromString(answer).SerializeToString() == answer
        told = {field.name for field, _ in extended_pb2.ServerMessage.FromString(answer).ListFields()}
        assert told <= {"keys", "id", "mouse_action"}
        # Fields that the plain protocol does not know are skipped, as by any protobuf reader.
        client.say(noise(1), id=2, heartbeat=5, instruction="go", reset=extended_pb2.Reset(seed=3))
        assert client.answer().id == 2


def test_the_newest_frame_wins_and_dropped_ones_get_no_answer(serve: Serve) -> None:
    player = Gated([])
    running = serve(lambda: player)
    with running.talker() as client, running.talker() as other:
        client.show(1, grey(0))
        assert player.thinks.acquire(timeout=60)
        for frame_id in (2, 3, 4):
            client.show(frame_id, grey(frame_id))
        # All clients are read in turns: once another one was heard twice, this one's three frames were.
        other.hello()
        other.say(heartbeat=1)
        other.hear()
        for _ in range(2):
            player.may_go.release()
        assert [client.answer().id for _ in range(2)] == [1, 4]
    assert [seen.frame.pixels[0, 0, 0] for seen in player.told if isinstance(seen, Observation)] == [0, 4]


def test_messages_in_one_piece_and_in_single_bytes(serve: Serve) -> None:
    player = Sum([])
    running = serve(lambda: player)
    with running.talker() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for byte in packed(frame(1, grey(200))):
            client.socket.sendall(bytes([byte]))
        assert client.answer().id == 1
        client.socket.sendall(packed(frame(2, grey(0))) + packed(frame(3, grey(200)))[:-1])
        assert client.answer().id == 2
        client.socket.sendall(packed(frame(3, grey(200)))[-1:])
        assert client.answer().id == 3


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (1080, 1920), (32, 32)])
def test_pictures_of_any_size(serve: Serve, model: PolicyPlayer, size: tuple[int, int]) -> None:
    pixels = noise(1, *size)
    running = serve(model.sibling)
    with running.talker() as client:
        client.show(1, pixels)
        assert action_of(client.answer()) == decisions(model.sibling(), [pixels])[0]


def test_tcp_on_this_machine_needs_no_token(serve: Serve) -> None:
    running = serve(lambda: Sum([]), tcp=True)
    with running.talker() as client:
        client.show(1, grey(0))
        assert client.answer().id == 1
