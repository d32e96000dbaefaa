"""Boxes of an mp4 file (ISO/IEC 14496-12) replaced, so that a test can state in one what is not there."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts")


def with_boxes(data: bytes, changes: Mapping[bytes, bytes | None]) -> bytes:
    """The file with other payloads for boxes of these kinds at any depth; None: without them."""
    made, start = b"", 0
    while start + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        payload: bytes | None = data[start + 8 : start + length]
        if kind in changes:
            payload = changes[kind]
        elif kind in _PARENTS and payload is not None:
            payload = with_boxes(payload, changes)
        if payload is not None:
            made += struct.pack(">I4s", 8 + len(payload), kind) + payload
        start += length
    return made


def table(*numbers: int) -> bytes:
    """The payload of a table: version and flags 0, and numbers of 32 bits."""
    return struct.pack(f">I{len(numbers)}I", 0, *numbers)
