"""Our types to and from the messages of the wire, with everything that comes from outside checked.

What a plain client or server sends and gets is exactly live.proto's Frame and Action; the extension (extended.proto)
only adds fields. Held keys and buttons are always the complete sets.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from eyehand.action import BUTTONS, KEYS, Action
from eyehand.wire import extended_pb2, live_pb2
from eyehand.wire.framing import ProtocolError

__all__ = [
    "EXTENSION_VERSION",
    "MAX_BESIDE_PICTURE",
    "MAX_INSTRUCTION",
    "MAX_PICTURE_SIDE",
    "action_of",
    "fill_action",
    "instruction_of",
    "parse",
    "read_client_message",
]

EXTENSION_VERSION = 1
"""Of extended.proto. The lower one of both sides is spoken."""

MAX_INSTRUCTION = 2000
"""Characters of an instruction."""

MAX_PICTURE_SIDE = 8192
"""Pixels of a picture's width and of its height."""

MAX_BESIDE_PICTURE = 64 * 1024
"""Bytes of a message beside its picture: actions and instructions have hundreds."""

_MAX_FIELDS = 64
_PICTURE_TAG = extended_pb2.ClientMessage.DATA_FIELD_NUMBER << 3 | 2

Parsed = TypeVar("Parsed", bound=Message)


def parse(kind: type[Parsed], data: bytes | memoryview) -> Parsed:
    """The message in these bytes. Fields of higher versions are skipped.

    Raises:
        ProtocolError: they are no protobuf message of this kind.
    """
    message = kind()
    try:
        message.ParseFromString(bytes(data))
    except DecodeError as error:
        raise ProtocolError(f"{len(data)} bytes that are no {kind.DESCRIPTOR.name}") from error
    return message


def read_client_message(data: memoryview) -> tuple[extended_pb2.ClientMessage, NDArray[np.uint8] | None]:
    """A client's message without its picture, and the picture: uint8 RGB (H, W, 3), a view of `data`; None: none.

    The picture is cut out before protobuf sees the message, so that a long message costs no copy, and a message beside
    its picture no more than `MAX_BESIDE_PICTURE`.

    Raises:
        ProtocolError: no such message, too long a one, or a picture whose size does not fit its bytes or is too large.
    """
    begin, picture, end = _find_picture(data)
    if (length := len(data) - (end - begin)) > MAX_BESIDE_PICTURE:
        raise ProtocolError(f"a message of {length} bytes beside its picture; {MAX_BESIDE_PICTURE} are the most")
    message = parse(extended_pb2.ClientMessage, bytes(data[:begin]) + bytes(data[end:]))
    width, height = message.width, message.height
    if width == 0 and height == 0 and not picture:
        return message, None
    if width < 1 or height < 1 or width * height * 3 != len(picture):
        raise ProtocolError(f"a picture of {width} x {height} pixels with {len(picture)} bytes, not 3 a pixel")
    if max(width, height) > MAX_PICTURE_SIDE:
        raise ProtocolError(f"a picture of {width} x {height} pixels; {MAX_PICTURE_SIDE} a side are the most")
    return message, np.frombuffer(picture, np.uint8).reshape(height, width, 3)


def _find_picture(data: memoryview) -> tuple[int, memoryview, int]:
    """Where the field `data` of a serialised ClientMessage begins, its bytes, and where it ends; empty: it has none."""
    begin = end = at = 0
    picture = data[:0]
    for _ in range(_MAX_FIELDS):
        if at == len(data):
            return begin, picture, end
        field_at = at
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                _, at = _varint(data, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(data, at)
                at += length
            case 5:
                at += 4
            case _:
                at = len(data) + 1
        if at > len(data):
            raise ProtocolError(f"{len(data)} bytes that are no ClientMessage")
        if tag == _PICTURE_TAG:
            if end:
                raise ProtocolError("two pictures in one message")
            begin, picture, end = field_at, data[at - length : at], at
    raise ProtocolError(f"a message of more than {_MAX_FIELDS} fields")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A protobuf varint and where it ends; past the end of `data` if it is not whole."""
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    return 0, len(data) + 1


def instruction_of(message: extended_pb2.ClientMessage) -> str | None:
    """The instruction of a message that has one; None: none from now on.

    Raises:
        ProtocolError: it is longer than `MAX_INSTRUCTION`.
    """
    if len(message.instruction) > MAX_INSTRUCTION:
        raise ProtocolError(f"an instruction of {len(message.instruction)} characters; {MAX_INSTRUCTION} are the most")
    return message.instruction or None


def fill_action(message: live_pb2.Action | extended_pb2.ServerMessage, frame_id: int, action: Action) -> None:
    """Write an Action as the answer to a Frame. The mouse is always set: without it, held buttons would stay held."""
    message.id = frame_id
    message.keys.extend(sorted(action.keys))
    mouse = message.mouse_action
    mouse.mouse_delta_px.SetInParent()
    mouse.mouse_delta_px.x, mouse.mouse_delta_px.y = action.dx, action.dy
    if action.scroll_dx or action.scroll_dy:
        mouse.scroll_delta_px.x, mouse.scroll_delta_px.y = action.scroll_dx, action.scroll_dy
    mouse.buttons_down.extend(sorted(action.buttons))


def action_of(message: live_pb2.Action | extended_pb2.ServerMessage) -> Action:
    """The Action in an answer.

    Raises:
        ProtocolError: a key or button that does not exist.
    """
    keys, mouse = frozenset(message.keys), message.mouse_action
    buttons = frozenset(mouse.buttons_down)
    if unknown := (keys - set(KEYS)) | (buttons - set(BUTTONS)):
        raise ProtocolError(f"an action that holds {min(unknown)[:20]!r}, which does not exist")
    moved, scrolled = mouse.mouse_delta_px, mouse.scroll_delta_px
    return Action(keys, buttons, moved.x, moved.y, scrolled.x, scrolled.y)
