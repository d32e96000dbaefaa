"""The decoder: any pieces in, the same messages out; hard limits; no memory for what was only announced."""

from __future__ import annotations

import contextlib
import itertools
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyehand.wire import extended_pb2
from eyehand.wire.framing import MAX_MESSAGE_BYTES, ProtocolError, Unpacker, pack
from eyehand.wire.messages import action_of, instruction_of, parse, read_client_message

messages = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places (modulo its length)."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


@given(messages, st.lists(st.integers(min_value=0), max_size=20))
def test_any_pieces_give_the_same_messages(sent: list[bytes], cuts: list[int]) -> None:
    unpacker = Unpacker()
    got = [message for piece in pieces(b"".join(map(pack, sent)), cuts) for message in unpacker.feed(piece)]
    assert got == sent
    assert unpacker.num_waiting == 0


@given(st.binary(max_size=2000), st.lists(st.integers(min_value=0), max_size=20))
def test_garbage_ends_in_messages_or_a_protocol_error(data: bytes, cuts: list[int]) -> None:
    """However it is cut: the same messages, the same error, and never more kept than has arrived."""

    def outcome(parts: list[bytes]) -> tuple[list[memoryview], str]:
        unpacker, got = Unpacker(max_bytes=500), []
        try:
            for part in parts:
                for message in unpacker.feed(part):
                    got.append(message)
                assert unpacker.num_waiting <= min(len(data), 503)
        except ProtocolError as error:
            return got, str(error)
        return got, ""

    whole, cut = outcome([data]), outcome(pieces(data, cuts))
    assert whole == cut
    assert b"".join(map(pack, whole[0])) == data[: sum(len(message) + 4 for message in whole[0])]


@given(st.binary(min_size=1, max_size=400))
def test_garbage_in_a_message_is_read_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        message, picture = read_client_message(memoryview(data))
        instruction_of(message)
        assert picture is None or picture.tobytes() == parse(extended_pb2.ClientMessage, data).data
    with contextlib.suppress(ProtocolError):
        action_of(parse(extended_pb2.ServerMessage, data))


@pytest.mark.parametrize("length", [0, MAX_MESSAGE_BYTES + 1, 2**31, 2**32 - 1])
def test_impossible_lengths_end_at_once(length: int) -> None:
    unpacker = Unpacker()
    feeding = unpacker.feed(pack(b"good") + struct.pack("<I", length))
    assert next(feeding) == b"good"
    with pytest.raises(ProtocolError, match=f"length 0|{length} bytes"):
        next(feeding)


def test_the_longest_message_passes_and_its_memory_is_given_back() -> None:
    unpacker = Unpacker()
    data = bytes(MAX_MESSAGE_BYTES)
    assert list(unpacker.feed(pack(data)[:-1])) == []
    assert unpacker.num_waiting == MAX_MESSAGE_BYTES + 3
    assert list(unpacker.feed(b"\0")) == [data]
    assert unpacker.num_waiting == 0


def test_messages_that_are_not_taken_come_next_time() -> None:
    unpacker, sent = Unpacker(), [bytes([index]) * 9 for index in range(5)]
    assert next(unpacker.feed(b"".join(map(pack, sent)))) == sent[0]
    assert list(unpacker.feed(b"")) == sent[1:]


def test_a_long_message_is_not_copied() -> None:
    unpacker, sent, got = Unpacker(), pack(bytes(50_000_000)), list[memoryview]()
    tracemalloc.start()
    for begin in range(0, len(sent), 1_000_000):
        got += unpacker.feed(sent[begin : begin + 1_000_000])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert got == [sent[4:]]
    assert peak < 1.2 * len(sent)


def test_an_announced_length_costs_nothing() -> None:
    unpacker = Unpacker()
    assert list(unpacker.feed(struct.pack("<I", MAX_MESSAGE_BYTES))) == []
    assert unpacker.num_waiting == 4


@pytest.mark.parametrize("message", [b"", bytes(MAX_MESSAGE_BYTES + 1)])
def test_what_no_reader_would_accept_is_not_sent(message: bytes) -> None:
    with pytest.raises(ValueError, match="a message has 1 to"):
        pack(message)
