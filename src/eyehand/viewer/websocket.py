"""WebSockets, the server's side (RFC 6455): the answer to the handshake, and whole messages both ways on one socket.

Knows nothing of the messages' content. Input is checked: messages are limited in size, frames must be masked, and a
client that breaks the protocol is disconnected.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading

__all__ = ["Broken", "WebSocket", "accept_key"]

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUED, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_MAX_MESSAGE = 65536
_MAX_CONTROL = 125


class Broken(Exception):  # noqa: N818 - a state of the connection
    """The other end broke the protocol, or sent too long a message."""


def accept_key(key: str) -> str:
    """The value of Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


class WebSocket:
    """A connection after its handshake. One thread receives; any may send.

    Args:
        connection: the socket; it is the caller's to close.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def receive(self) -> bytes | None:
        """The next whole message, text or binary; None: the connection is closed.

        Raises:
            Broken: the other end broke the protocol.
        """
        message = b""
        is_begun = False
        while True:
            try:
                is_last, kind, data = self._receive_frame()
            except (OSError, EOFError):
                return None
            if kind == _CLOSE:
                self._send(_CLOSE, data[:2])
                return None
            if kind == _PING:
                self._send(_PONG, data)
            elif kind in (_TEXT, _BINARY, _CONTINUED):
                if (kind == _CONTINUED) != is_begun:
                    raise Broken("a message begins in the middle of another")
                message += data
                if len(message) > _MAX_MESSAGE:
                    raise Broken("a message is too long")
                if is_last:
                    return message
                is_begun = True
            elif kind != _PONG:
                raise Broken(f"frames of kind {kind} do not exist")

    def send(self, data: bytes) -> bool:
        """Send a binary message; False: the other end is gone."""
        return self._send(_BINARY, data)

    def close(self) -> None:
        """End the connection, upon which `receive` and `send` return, also where the other end reads nothing."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _receive_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._exactly(2)
        is_last, kind, length = bool(first & 0x80), first & 0x0F, second & 0x7F
        if first & 0x70 or not second & 0x80:
            raise Broken("a frame is not masked, or uses an extension")
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        if length > (_MAX_CONTROL if kind >= _CLOSE else _MAX_MESSAGE):
            raise Broken("a frame is too long")
        mask = self._exactly(4)
        data = self._exactly(length)
        return is_last, kind, bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))

    def _exactly(self, num_bytes: int) -> bytes:
        data = b""
        while len(data) < num_bytes:
            part = self._connection.recv(num_bytes - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _send(self, kind: int, data: bytes) -> bool:
        if len(data) < 126:
            head = struct.pack(">BB", 0x80 | kind, len(data))
        elif len(data) < 65536:
            head = struct.pack(">BBH", 0x80 | kind, 126, len(data))
        else:
            head = struct.pack(">BBQ", 0x80 | kind, 127, len(data))
        try:
            with self._sending:
                self._connection.sendall(head + data)
        except OSError:
            return False
        return True
