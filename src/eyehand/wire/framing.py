"""Messages on a byte stream: uint32 little-endian length, then that many bytes (the framing of Open P2P's socket).

`pack` makes one such piece; `Unpacker` takes bytes in any pieces and gives the messages in them. A length of 0 or above
the limit is a `ProtocolError` as soon as it is read, before anything is stored for it. Knows nothing about what is in a
message, and nothing about sockets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["MAX_MESSAGE_BYTES", "ProtocolError", "Unpacker", "pack"]

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The longest message that is accepted: room for a raw picture of 22 million pixels."""

_LENGTH = struct.Struct("<I")


class ProtocolError(Exception):
    """An invalid message from the other end: the connection is closed, with this sentence as the reason."""


def pack(message: bytes) -> bytes:
    """A message with its length prefix.

    Raises:
        ValueError: it is empty or longer than `MAX_MESSAGE_BYTES`.
    """
    if not 0 < len(message) <= MAX_MESSAGE_BYTES:
        raise ValueError(f"a message has 1 to {MAX_MESSAGE_BYTES} bytes, not {len(message)}")
    return _LENGTH.pack(len(message)) + message


class Unpacker:
    """An incremental parser of a byte stream into messages.

    Attributes:
        max_bytes: longest message accepted; may be changed between messages.
    """

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.max_bytes = max_bytes
        self._received = bytearray()

    @property
    def num_waiting(self) -> int:
        """Bytes buffered of an incomplete message."""
        return len(self._received)

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """The messages that are complete once `data` has arrived, in order; those not taken come with the next call.

        Memory grows with what has arrived, not with what a length announces. A long message is not copied.

        Raises:
            ProtocolError: an impossible length. The messages before it were given; the stream is lost from here on.
        """
        self._received += data
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            if length == 0:
                raise ProtocolError("a message of length 0")
            if length > self.max_bytes:
                raise ProtocolError(f"a message of {length} bytes, where {self.max_bytes} are the most")
            end = _LENGTH.size + length
            if len(self._received) < end:
                return
            if len(self._received) < 2 * end:  # the shorter one of the message and what follows it is copied
                message, self._received = self._received, self._received[end:]
            else:
                message = self._received[:end]
                del self._received[:end]
            yield memoryview(message)[_LENGTH.size : end]
