"""XInput2's raw events, parsed from the bytes of the X protocol, and the devices that they come from.

Read from the bytes, since xcffib's own classes take the sum of a bit mask for the number of its bits and so lose the
values of every event that does not move along x alone. Knows no names of keys and no threads.
Sources: the X Input Extension 2.2 protocol (XI2proto.txt), libxcb (a generic event has its full sequence number
inserted after 32 bytes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import xcffib
import xcffib.xinput
import xcffib.xproto
from xcffib.ffi import ffi

from eyehand.desktop.x11.display import XDisplay
from eyehand.errors import UserError

__all__ = ["Device", "RawEvent", "RawEvents", "RawKind", "Valuator"]

_EXTENSION = "XInputExtension"
_PLACES_IN_PIXELS = "Xephyr virtual mouse"
"""A device that says that it tells motions, and tells places of the pointer."""

_ALL_DEVICES, _ALL_MASTERS = 0, 1
_GENERIC_EVENT, _MAPPING_NOTIFY = 35, 34
_HEADER_BYTES, _SEQUENCE_BYTES = 32, 4
_RAW_EVENT = struct.Struct("=xB2xIHHIIHHI4x")
_DEVICES, _DEVICE, _CLASS = struct.Struct("=8xH22x"), struct.Struct("=HHHHHBx"), struct.Struct("=HHH")
_AXIS = struct.Struct("=HIiIiIiIIB3x")
_AXIS_CLASS = 2
_FRACTION = 1 / 2**32


class RawKind:
    """Event types of raw events."""

    KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION = 13, 14, 15, 16, 17
    ALL = (KEY_PRESS, KEY_RELEASE, BUTTON_PRESS, BUTTON_RELEASE, MOTION)


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One raw event.

    Attributes:
        kind: one of `RawKind`.
        time_ms: the server's clock, 32 bits.
        detail: key code or button number.
        source: number of the device that it came from.
        values: by axis (0: x, 1: y), before any acceleration: pixels, or positions of an absolute device.
    """

    kind: int
    time_ms: int
    detail: int
    source: int
    values: dict[int, float]


@dataclass(frozen=True, slots=True)
class Valuator:
    """An axis of a pointing device: whether it is absolute, and its limits; without limits: in pixels."""

    is_absolute: bool
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Device:
    """An input device, or a virtual one of the server (`is_injecting`: XTest's)."""

    name: str
    is_injecting: bool
    axes: dict[int, Valuator]


class RawEvents:
    """Raw events of all masters of a display, on a connection that this object gets for itself.

    Args:
        display: a connection; only this object may read its events.

    Raises:
        UserError: the display has no XInput 2.2 or refuses raw events.
    """

    def __init__(self, display: XDisplay) -> None:
        self.display = display
        with display.talk():
            extension = display.core.QueryExtension(len(_EXTENSION), _EXTENSION).reply()
            if not extension.present:
                raise UserError(
                    f"The display {display.name!r} has no XInput extension, so people's input cannot be seen on it: "
                    "use a local X11 session (not ssh -X without -Y)."
                )
            self._opcode = int(extension.major_opcode)
            self._xi = display.connection(xcffib.xinput.key)
            # 2.2 and not less: older clients get no raw events while a game grabs the pointer.
            version = self._xi.XIQueryVersion(2, 2).reply()
            if (version.major_version, version.minor_version) < (2, 2):
                raise UserError(
                    f"The display {display.name!r} has XInput {version.major_version}.{version.minor_version}, and "
                    "people's input can be seen from 2.2 on: update the X server."
                )
            event_mask: Any = xcffib.xinput.EventMask
            mask = event_mask.synthetic(_ALL_MASTERS, 1, [sum(1 << kind for kind in RawKind.ALL)])
            try:
                self._xi.XISelectEventsChecked(display.root, 1, [mask]).check()
            except xcffib.Error as error:
                raise UserError(
                    f"The display {display.name!r} does not let this program see raw input events: start it in the "
                    "desktop session of the person who plays."
                ) from error

    @property
    def descriptor(self) -> int:
        """File descriptor that is readable when an event has come."""
        return int(self.display.connection.get_file_descriptor())

    def next(self) -> RawEvent | None:
        """The next raw event that has arrived; None: no more. Other events are skipped.

        Raises:
            xcffib.ConnectionException: the display is gone.
        """
        connection = self.display.connection
        while True:
            connection.invalid()
            pointer = xcffib.lib.xcb_poll_for_event(connection._conn)
            connection.invalid()
            if pointer == ffi.NULL:
                return None
            pointer = ffi.gc(pointer, xcffib.c_free)
            if pointer.response_type & 0x7F != _GENERIC_EVENT:
                continue
            length = struct.unpack_from("=4xI", ffi.buffer(pointer, 8))[0]
            data = bytes(ffi.buffer(pointer, _HEADER_BYTES + _SEQUENCE_BYTES + 4 * length))
            event = parse_raw_event(data, self._opcode)
            if event is not None:
                return event

    def devices(self) -> dict[int, Device]:
        """All devices by their number."""
        with self.display.talk():
            cookie = self._xi.XIQueryDevice(_ALL_DEVICES)
            reply = self.display.connection.wait_for_reply(cookie.sequence)
            return parse_devices(bytes(ffi.buffer(reply.cdata, reply.known_max)))


def parse_raw_event(data: bytes, opcode: int) -> RawEvent | None:
    """A raw event from the bytes of a generic event; None: it is another one.

    Args:
        data: with libxcb's sequence number after the first 32 bytes.
        opcode: of the extension.
    """
    extension, _, kind, _, time_ms, detail, source, mask_words, _ = _RAW_EVENT.unpack_from(data)
    if extension != opcode or kind not in RawKind.ALL:
        return None
    position = _HEADER_BYTES + _SEQUENCE_BYTES
    mask = int.from_bytes(data[position : position + 4 * mask_words], "little")
    axes = [axis for axis in range(32 * mask_words) if mask >> axis & 1]
    position += 4 * mask_words + 8 * len(axes)  # past the accelerated values
    values = {axis: _fixed(data, position + 8 * i) for i, axis in enumerate(axes)}
    return RawEvent(kind, time_ms, detail, source, values)


def parse_devices(data: bytes) -> dict[int, Device]:
    """The devices in a reply to XIQueryDevice."""
    (count,) = _DEVICES.unpack_from(data)
    position = _DEVICES.size
    found: dict[int, Device] = {}
    for _ in range(count):
        number, _, _, num_classes, name_length, _ = _DEVICE.unpack_from(data, position)
        position += _DEVICE.size
        name = data[position : position + name_length].decode(errors="replace")
        position += (name_length + 3) // 4 * 4
        axes: dict[int, Valuator] = {}
        for _ in range(num_classes):
            kind, words, _ = _CLASS.unpack_from(data, position)
            if kind == _AXIS_CLASS:
                axis, *values = _AXIS.unpack_from(data, position + _CLASS.size)
                least, most = (values[i] + values[i + 1] * _FRACTION for i in (1, 3))
                axes[axis] = Valuator(values[-1] == 1 or name.startswith(_PLACES_IN_PIXELS), least, most)
            position += 4 * words
        # So the X server calls the devices that XTest requests move, for every pair of masters.
        is_injecting = name.endswith(("XTEST pointer", "XTEST keyboard"))
        found[number] = Device(name, is_injecting, axes)
    return found


def _fixed(data: bytes, position: int) -> float:
    """A 32.32 fixed-point number."""
    whole, fraction = struct.unpack_from("=iI", data, position)
    return float(whole + fraction * _FRACTION)
