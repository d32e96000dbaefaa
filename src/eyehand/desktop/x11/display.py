"""A connection to an X display; a failed or lost one raises UserError.

`XDisplay.open` connects; `display.talk()` wraps requests, so that a display that dies meanwhile becomes one
`UserError`. (XCB reports a lost display; Xlib would end the whole process, keys held or not.) Knows windows by
their number only: finding them is `windows`', pictures are `capture`'s, input is `injector`'s.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import xcffib
import xcffib.shm
import xcffib.xproto
import xcffib.xtest

from eyehand.errors import UserError

__all__ = ["XDisplay"]

_MAX_PROPERTY_WORDS = 16384

_environment = threading.Lock()


class XDisplay:
    """A connection to an X display. Make it with `open`.

    Attributes:
        name: as in the environment variable DISPLAY, e.g. ":0".
        connection: xcffib's connection; requests on it belong into `with display.talk()`.
        core: the core protocol's requests.
        root: the number of the root window.
    """

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self.connection = connection
        self.core = connection.core
        self._screen = connection.get_setup().roots[connection.pref_screen]
        self.root: int = self._screen.root
        self._talk = _Talk(name)
        self._atoms: dict[str, int] = {}

    @staticmethod
    def open(name: str | None = None, authority: str | None = None) -> XDisplay:
        """Connect to a display.

        Args:
            name: as in DISPLAY; None: the environment's.
            authority: Xauthority file; None: the environment's XAUTHORITY.

        Raises:
            UserError: there is none, or it refuses the connection.
        """
        wanted = name or os.environ.get("DISPLAY")
        if not wanted:
            if os.environ.get("WAYLAND_DISPLAY"):
                raise UserError(
                    "This is a Wayland session without XWayland: log in to an X11 session; `eyehand play` needs none "
                    "with --own-screen 640x480."
                )
            raise UserError(
                "There is no display (DISPLAY is not set): start X first; `eyehand play` needs none with --own-screen "
                "640x480."
            )
        connect: Any = xcffib.connect
        try:
            with _authority(authority):
                return XDisplay(wanted, connect(wanted))
        except xcffib.XcffibException as error:
            raise UserError(
                f"The display {wanted!r} does not answer or does not let us in: check DISPLAY and XAUTHORITY."
            ) from error

    def talk(self) -> _Talk:
        """A context for requests and replies.

        Raises:
            UserError: the display is gone.
        """
        return self._talk

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the whole screen, all monitors together."""
        with self.talk():
            reply = self.core.GetGeometry(self.root).reply()
        return int(reply.width), int(reply.height)

    @property
    def is_alive(self) -> bool:
        """Whether the X server still answers."""
        try:
            self.core.GetInputFocus().reply()
        except xcffib.XcffibException:
            return False
        return True

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self.connection.disconnect()

    def atom(self, name: str) -> int:
        """The atom of a name."""
        if name not in self._atoms:
            self._atoms[name] = int(self.core.InternAtom(False, len(name), name).reply().atom)
        return self._atoms[name]

    def property_bytes(self, window: int, name: str) -> bytes:
        """The raw value of a window's property; empty if it has none or the window is gone."""
        try:
            reply = self.core.GetProperty(False, window, self.atom(name), 0, 0, _MAX_PROPERTY_WORDS).reply()
        except xcffib.Error:
            return b""
        return bytes(reply.value.buf())

    def property_numbers(self, window: int, name: str) -> list[int]:
        """The value of a property of 32-bit numbers."""
        raw = self.property_bytes(window, name)
        return list(struct.unpack(f"={len(raw) // 4}I", raw[: len(raw) // 4 * 4]))

    def property_text(self, window: int, name: str) -> str:
        """The value of a property of text; parts that end with a zero byte are told apart by it."""
        return self.property_bytes(window, name).decode("utf-8", errors="replace").rstrip("\0")

    def has_extension(self, name: str) -> bool:
        """Whether the server has an extension, e.g. "XTEST"."""
        return bool(self.core.QueryExtension(len(name), name).reply().present)


class _Talk:
    """The context of `XDisplay.talk`, reused because it is entered several times a tick."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, xcffib.ConnectionException):
            raise UserError(f"The display {self._name!r} is gone: the X server has ended or closed us out.") from error


@contextlib.contextmanager
def _authority(file: str | None) -> Iterator[None]:
    """Set XAUTHORITY, which XCB reads, in this context (xcffib's own `auth` points to freed memory)."""
    if file is None:
        yield
        return
    with _environment:
        before = os.environ.get("XAUTHORITY")
        os.environ["XAUTHORITY"] = file
        try:
            yield
        finally:
            if before is None:
                del os.environ["XAUTHORITY"]
            else:
                os.environ["XAUTHORITY"] = before
