"""Messages, bit for bit, and addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyehand.action import Action
from eyehand.errors import UserError
from eyehand.wire import extended_pb2, live_pb2
from eyehand.wire.address import Address, read_token
from eyehand.wire.framing import ProtocolError
from eyehand.wire.messages import action_of, fill_action, picture_of

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
    extended = extended_pb2.ClientMessage.FromString(frame.SerializeToString())
    picture = picture_of(extended)
    assert picture is not None
    assert (picture.tolist(), extended.id, extended.HasField("hello")) == ([[[97, 98, 99]]], 4, False)
    extended.heartbeat = 5
    plain = live_pb2.Frame.FromString(extended.SerializeToString())
    assert (plain.width, plain.height, plain.data, plain.id) == (1, 1, b"abc", 4)


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
    with pytest.raises(UserError, match="Cannot read the token file"):
        read_token(file)
    file.write_text("short\n")
    with pytest.raises(UserError, match="5 characters"):
        read_token(file)
    file.write_text("0123456789abcdef\n")
    assert read_token(file) == "0123456789abcdef"
