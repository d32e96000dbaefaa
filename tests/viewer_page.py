"""The page's end of a viewer's connection: a WebSocket client for tests."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyehand.viewer.websocket import accept_key

__all__ = ["Page"]


class Page:
    """An open page. Shows one picture after another; sends keyboard and mouse."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname, where.port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /play?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        headers = dict(line.decode().strip().split(": ", 1) for line in iter(self._file.readline, b"\r\n"))
        if self.status == 101:
            assert headers["Sec-WebSocket-Accept"] == accept_key(key)

    def show(self) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Ask for the next picture and wait for it: the facts, and the pixels."""
        self.say(shown=0)
        data = self.receive()
        assert data is not None, "the viewer has gone"
        (length,) = struct.unpack(">I", data[:4])
        return json.loads(data[4 : 4 + length]), np.asarray(Image.open(io.BytesIO(data[4 + length :])).convert("RGB"))

    def send_input(self, keys: str = "", buttons: str = "", dx: int = 0, dy: int = 0, scroll: int = 0) -> None:
        """Hold these (names with spaces between) and move."""
        self.say(input={"keys": keys.split(), "buttons": buttons.split(), "dx": dx, "dy": dy, "scroll": scroll})

    def say(self, **message: object) -> None:
        self.send(1, json.dumps(message).encode())

    def send(self, kind: int, data: bytes, *, is_last: bool = True, is_masked: bool = True) -> None:
        """One frame."""
        mask = os.urandom(4) if is_masked else b""
        head = struct.pack(">BB", (0x80 if is_last else 0) | kind, (0x80 if is_masked else 0) | min(len(data), 126))
        if len(data) > 125:
            head += struct.pack(">H", len(data))
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)) if is_masked else data
        self.socket.sendall(head + mask + masked)

    def receive(self) -> bytes | None:
        """The next message's data; None: the other end has ended the connection."""
        head = self._file.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._file.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._file.read(8))
        return self._file.read(length)

    def close(self) -> None:
        self._file.close()
        self.socket.close()
