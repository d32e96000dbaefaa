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

__all__ = ["EXTENSION_VERSION", "MAX_INSTRUCTION", "action_of", "fill_action", "instruction_of", "parse", "picture_of"]

EXTENSION_VERSION = 1
"""Of extended.proto. The lower one of both sides is spoken."""

MAX_INSTRUCTION = 2000
"""Characters of an instruction."""

Parsed = TypeVar("Parsed", bound=Message)


def parse(kind: type[Parsed], data: bytes) -> Parsed:
    """The message in these bytes. Fields of higher versions are skipped.

    Raises:
        ProtocolError: they are no protobuf message of this kind.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ProtocolError(f"{len(data)} bytes that are no {kind.DESCRIPTOR.name}") from error
    return message


def picture_of(message: extended_pb2.ClientMessage) -> NDArray[np.uint8] | None:
    """The picture of a message, uint8 RGB (H, W, 3), writable; None: it has none.

    Raises:
        ProtocolError: width, height and the number of bytes do not fit together.
    """
    width, height, data = message.width, message.height, message.data
    if width == 0 and height == 0 and not data:
        return None
    if width < 1 or height < 1 or width * height * 3 != len(data):
        raise ProtocolError(f"a picture of {width} x {height} pixels with {len(data)} bytes, not 3 a pixel")
    # A bytearray, because torch warns of memory that it must not write to.
    return np.frombuffer(bytearray(data), np.uint8).reshape(height, width, 3)


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
