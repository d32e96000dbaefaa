"""A client that speaks the wire by hand: bytes out, bytes in, nothing checked and nothing hidden."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyehand.wire import extended_pb2, live_pb2

TIMEOUT_S = 60.0


def grey(value: int, height: int = 4, width: int = 4) -> NDArray[np.uint8]:
    """A picture of one colour."""
    return np.full((height, width, 3), value, np.uint8)


def noise(seed: int, height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Coloured squares, different for every seed also when they are resized; by default not square itself."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(0, 256, (height // 10 + 1, width // 10 + 1, 3), dtype=np.uint8)
    return squares.repeat(10, axis=0).repeat(10, axis=1)[:height, :width]


def packed(message: bytes) -> bytes:
    return struct.pack("<I", len(message)) + message


def frame(frame_id: int, pixels: NDArray[np.uint8]) -> bytes:
    """A plain Frame, as Open P2P's recorder sends it."""
    height, width, _ = pixels.shape
    return live_pb2.Frame(width=width, height=height, data=pixels.tobytes(), id=frame_id).SerializeToString()


class Talker:
    """One connection; every wait ends after a minute."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.settimeout(TIMEOUT_S)

    def __enter__(self) -> Talker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, message: bytes) -> None:
        self.socket.sendall(packed(message))

    def show(self, frame_id: int, pixels: NDArray[np.uint8]) -> None:
        """Send a plain Frame."""
        self.send(frame(frame_id, pixels))

    def say(self, pixels: NDArray[np.uint8] | None = None, **fields: Any) -> None:
        """Send a message of the extension, with a picture or without."""
        message = extended_pb2.ClientMessage(**fields)
        if pixels is not None:
            message.height, message.width, _ = pixels.shape
            message.data = pixels.tobytes()
        self.send(message.SerializeToString())

    def hello(self, **fields: Any) -> extended_pb2.ServerMessage:
        """Say Hello; the answer."""
        self.say(hello=extended_pb2.Hello(**{"version": 1, **fields}))
        return self.hear()

    def read(self) -> bytes:
        """The next message; empty at the end of the connection."""
        length = self._exactly(4)
        return self._exactly(*struct.unpack("<I", length)) if length else b""

    def answer(self) -> live_pb2.Action:
        """The next message as a plain Action."""
        return live_pb2.Action.FromString(self._something())

    def hear(self) -> extended_pb2.ServerMessage:
        """The next message as one of the extension."""
        return extended_pb2.ServerMessage.FromString(self._something())

    def is_ended(self) -> bool:
        """Wait for the next message; whether the connection ended instead."""
        return not self.read()

    def _something(self) -> bytes:
        message = self.read()
        assert message, "the server has closed the connection"
        return message

    def _exactly(self, num_bytes: int) -> bytes:
        parts = b""
        while len(parts) < num_bytes:
            try:
                part = self.socket.recv(num_bytes - len(parts))
            except ConnectionError:
                part = b""
            if not part:
                assert not parts, "the connection ended within a message"
                return b""
            parts += part
        return parts
