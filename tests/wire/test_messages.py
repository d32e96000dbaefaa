"""Messages, bit for bit, and addresses."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyehand.action import Action
from eyehand.errors import UserError
from eyehand.recording import annotation_pb2 as pb
from eyehand.wire import extended_pb2, live_pb2
from eyehand.wire.address import Address, read_token
from eyehand.wire.framing import ProtocolError
from eyehand.wire.messages import MAX_BESIDE_PICTURE, MAX_PICTURE_SIDE, action_of, fill_action, read_client_message

ACTIONS = [
    Action(),
    Action.of(["w", "LeftShift"], ["1", "0"], dx=-3, dy=7),
    Action(scroll_dx=2, scroll_dy=-1),
]


# Written out by hand from the reference's table of fields.
@pytest.mark.parametrize(
    ("message", "data"),
    [
        (live_pb2.Frame(width=1, height=2, data=b"x", id=3), "080110021a01782003"),
        (live_pb2.Action(id=3, mouse_action=live_pb2.MouseAction(buttons_down=["0"])), "10031a03220130"),
        (live_pb2.MouseAction(mouse_delta_px=live_pb2.Vec2Int(x=1, y=2)), "0a0408011002"),
        (live_pb2.MouseAction(mouse_pos=live_pb2.Vec2Float(x=1)), "120909000000000000f03f"),
        (live_pb2.MouseAction(scroll_delta_px=live_pb2.Vec2Int(y=1)), "1a021001"),
    ],
)
def test_bytes_of_the_plain_protocol(message: live_pb2.Frame | live_pb2.Action, data: str) -> None:
    assert message.SerializeToString(deterministic=True).hex() == data


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_survive_the_wire_and_always_say_what_the_mouse_does(action: Action) -> None:
    for message in (live_pb2.Action(), extended_pb2.ServerMessage()):
        fill_action(message, 9, action)
        read = type(message).FromString(message.SerializeToString())
        assert (read.id, action_of(read)) == (9, action)
        assert read.mouse_action.WhichOneof("mouse_change") == "mouse_delta_px"
        assert read.mouse_action.HasField("scroll_delta_px") == bool(action.scroll_dx or action.scroll_dy)


def test_an_extended_message_reads_plain_and_a_plain_one_extended() -> None:
    frame = live_pb2.Frame(width=1, height=1, data=b"abc", id=4)
    extended, picture = read_client_message(memoryview(frame.SerializeToString()))
    assert picture is not None
    assert (picture.tolist(), extended.id, extended.HasField("hello")) == ([[[97, 98, 99]]], 4, False)
    whole = extended_pb2.ClientMessage(width=1, height=1, data=b"abc", id=4, heartbeat=5)
    plain = live_pb2.Frame.FromString(whole.SerializeToString())
    assert (plain.width, plain.height, plain.data, plain.id) == (1, 1, b"abc", 4)


FIELDS = {
    "picture": b"\x1a\x06abcdef",
    "width": b"\x08\x02",
    "height": b"\x10\x01",
    "id": b"\x20\x07",
    "id of two bytes": b"\x20\x87\x01",
    "instruction": b"\xba\x06\x02go",
    "heartbeat": b"\xd1\x06" + bytes(7) + b"\x01",
    "unknown varint": b"\xf8\x7f\x01",
    "unknown bytes": b"\xfa\x7f\x02\x1a\x00",
    "unknown of four bytes": b"\xfd\x7f\x1a\x00\x00\x00",
    "picture that is no bytes": b"\x18\x05",
}


@given(st.permutations(sorted(FIELDS)))
def test_a_message_is_what_protobuf_reads_whatever_the_order_of_its_fields(names: list[str]) -> None:
    data = b"".join(FIELDS[name] for name in names)
    message, picture = read_client_message(memoryview(data))
    whole = extended_pb2.ClientMessage.FromString(data)
    assert picture is not None
    assert (picture.shape, picture.tobytes()) == ((1, 2, 3), whole.data)
    whole.ClearField("data")
    assert message == whole


def _picture(width: int, height: int) -> bytes:
    return live_pb2.Frame(width=width, height=height, data=bytes(3 * width * height), id=1).SerializeToString()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_picture(MAX_PICTURE_SIDE + 1, 1), "8193 x 1 pixels; 8192 a side"),
        (_picture(1, MAX_PICTURE_SIDE + 1), "1 x 8193 pixels; 8192 a side"),
        (_picture(2, 2) + b"\x1a\x00", "two pictures"),
        (b"\x1a\x00" * 2_000_000, "two pictures"),
        (b"\x20\x01" * 65, "more than 64 fields"),
        (b"\xba\x06\xfe\xff\x03" + b"x" * 65_534, "65539 bytes beside"),
        (b"\x23\x24", "no ClientMessage"),  # a group, which no message of ours has
        (b"\x20" + b"\xff" * 20, "no ClientMessage"),
        (b"\x1a\x05abcd", "no ClientMessage"),
    ],
)
def test_what_is_too_much_is_refused_before_it_is_read(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read_client_message(memoryview(data))


def test_a_message_of_empty_names_costs_nothing() -> None:
    executed = pb.LowLevelAction(is_known=True, keyboard=pb.Keyboard(keys=[""] * 10_000_000))
    data = memoryview(extended_pb2.ClientMessage(executed=executed).SerializeToString())
    tracemalloc.start()
    with pytest.raises(ProtocolError, match=f"beside its picture; {MAX_BESIDE_PICTURE} are the most"):
        read_client_message(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("held", [{"keys": ["Any"]}, {"mouse_action": live_pb2.MouseAction(buttons_down=["9"])}])
def test_an_answer_that_holds_what_does_not_exist_is_an_error(held: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="does not exist"):
        action_of(live_pb2.Action(**held))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/tmp/uds.recap", Address(path=Path("/tmp/uds.recap"))),
        ("here", Address(path=Path("here"))),
        ("./a:1", Address(path=Path("a:1"))),
        ("localhost:9999", Address(host="localhost", port=9999)),
        ("[::1]:80", Address(host="::1", port=80)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", ":9999", "host:", "host:port", "host:65536", "host:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UserError, match="is no address"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("host", "is_loopback"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False), ("192.0.2.1", False)]
)
def test_who_can_reach_an_address(host: str, is_loopback: bool) -> None:
    assert Address(host=host, port=1).is_loopback() == is_loopback


def test_tokens(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(UserError, match=r"The token file .* cannot be read \(No such file or directory\)"):
        read_token(file)
    file.write_bytes(b"\xff" * 16)
    with pytest.raises(UserError, match="is not text in UTF-8"):
        read_token(file)
    file.write_text("short\n")
    with pytest.raises(UserError, match="5 characters"):
        read_token(file)
    file.write_text("0123456789abcdef\n")
    assert read_token(file) == "0123456789abcdef"
