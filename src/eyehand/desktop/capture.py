"""Pictures of one window through shared memory: the server writes, we make RGB of it, and nothing else is copied.

The window may move, change its size or lie partly outside the screen (black there); a minimised, hidden or closed one
raises `NotVisible`. Without MIT-SHM (a display over the network) the pictures come through the socket.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Any

import numpy as np
import xcffib
import xcffib.shm
import xcffib.xproto as x
from numpy.typing import NDArray

from eyehand.desktop.display import XDisplay
from eyehand.desktop.windows import WindowState
from eyehand.errors import UserError

__all__ = ["NotVisible", "WindowCapture"]

_ALL_PLANES = 0xFFFFFFFF
_IPC_CREAT, _IPC_PRIVATE, _IPC_RMID = 0o1000, 0, 0
_MAX_ATTEMPTS = 5


class NotVisible(Exception):  # noqa: N818 - a state, not a fault
    """There is no picture of the window now; `state` says why."""

    def __init__(self, state: WindowState) -> None:
        super().__init__(f"the window {state.value}")
        self.state = state


class WindowCapture:
    """Takes pictures of one window.

    Args:
        display: where the window is.
        window: its number.

    Raises:
        UserError: the display has fewer than 24 bits of colour.
    """

    def __init__(self, display: XDisplay, window: int) -> None:
        self.display = display
        self.window = window
        self._segment: _Segment | None = None
        self._has_shm = display.has_extension("MIT-SHM")
        self._rectangle: tuple[int, int, int, int] | None = None
        with display.talk():
            try:
                depth = display.core.GetGeometry(window).reply().depth
            except xcffib.Error:
                return  # gone already: grab() says so
        if depth not in (24, 32):
            raise UserError(f"The window has {depth} bits of colour: set the display to 24.")

    def grab(self) -> NDArray[np.uint8]:
        """The window's picture as it is now: a new uint8 RGB array (height, width, 3).

        Raises:
            NotVisible: it is minimised, hidden or gone.
        """
        with self.display.talk():
            for _ in range(_MAX_ATTEMPTS):
                pixels = self._attempt()
                if pixels is not None:
                    return pixels
        raise NotVisible(WindowState.MINIMISED)

    def close(self) -> None:
        """Give the shared memory back. May be called twice."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _attempt(self) -> NDArray[np.uint8] | None:
        """Ask for the picture where the window was last, and where it is; None if it has moved or resized meanwhile.

        All questions go out together, so that a window that stays where it is costs one round trip.
        """
        core, root = self.display.core, self.display.root
        attributes = core.GetWindowAttributes(self.window)
        geometry = core.GetGeometry(self.window)
        origin = core.TranslateCoordinates(self.window, root, 0, 0)
        screen = core.GetGeometry(root)
        known = self._rectangle
        image = self._ask(known) if known is not None else None
        try:
            map_state = attributes.reply().map_state
            size, place = geometry.reply(), origin.reply()
        except xcffib.Error:
            self._swallow(screen, image)
            raise NotVisible(WindowState.GONE) from None
        whole = screen.reply()
        left, top = max(0, -place.dst_x), max(0, -place.dst_y)
        right = min(size.width, whole.width - place.dst_x)
        bottom = min(size.height, whole.height - place.dst_y)
        self._rectangle = (left, top, max(0, right - left), max(0, bottom - top))
        if map_state != x.MapState.Viewable or 0 in self._rectangle[2:]:
            self._swallow(image)
            raise NotVisible(WindowState.MINIMISED)
        if known != self._rectangle:
            self._swallow(image)
            return None
        try:
            visible_HWC = self._received(image, known)
        except xcffib.Error:  # it changed after we had asked for its place
            return None
        return _rgb(visible_HWC, (size.height, size.width), top, left)

    def _ask(self, rectangle: tuple[int, int, int, int]) -> Any:
        left, top, width, height = rectangle
        if not self._has_shm:
            return self.display.core.GetImage(x.ImageFormat.ZPixmap, self.window, left, top, width, height, _ALL_PLANES)
        num_bytes = width * height * 4
        if self._segment is None or self._segment.size < num_bytes:
            self.close()
            try:
                self._segment = _Segment(self.display, num_bytes)
            except (OSError, xcffib.Error):
                self._has_shm = False
                return self._ask(rectangle)
        return self._segment.shm.GetImage(
            self.window, left, top, width, height, _ALL_PLANES, x.ImageFormat.ZPixmap, self._segment.id, 0
        )

    def _received(self, image: Any, rectangle: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """The visible part as BGRX, (height, width, 4): a view, good until the next question."""
        _, _, width, height = rectangle
        reply = image.reply()
        if self._has_shm and self._segment is not None:
            flat = self._segment.pixels[: width * height * 4]
        else:
            flat = np.frombuffer(bytes(reply.data.buf()), np.uint8)
        return flat.reshape(height, width, 4)

    @staticmethod
    def _swallow(*cookies: Any) -> None:
        """Read replies that nobody wants any more."""
        for cookie in cookies:
            if cookie is not None:
                try:
                    cookie.reply()
                except xcffib.Error:
                    continue


def _rgb(visible_HWC: NDArray[np.uint8], size: tuple[int, int], top: int, left: int) -> NDArray[np.uint8]:
    """BGRX to RGB, black where the screen ends. Channel by channel: five times as fast as one indexed copy."""
    height, width = visible_HWC.shape[:2]
    make = np.empty if (height, width) == size else np.zeros
    pixels = make((*size, 3), np.uint8)
    part = pixels[top : top + height, left : left + width]
    for channel in range(3):
        part[..., channel] = visible_HWC[..., 2 - channel]
    return pixels


class _Segment:
    """System V shared memory that the X server has attached too. The kernel frees it when both have let go."""

    def __init__(self, display: XDisplay, size: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmget.argtypes = (ctypes.c_int, ctypes.c_size_t, ctypes.c_int)
        libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        libc.shmat.restype = ctypes.c_void_p
        libc.shmdt.argtypes = (ctypes.c_void_p,)
        self.size = size
        self.shm = display.connection(xcffib.shm.key)
        self._libc = libc
        self._display = display
        number = libc.shmget(_IPC_PRIVATE, size, _IPC_CREAT | 0o600)
        if number < 0:
            raise OSError(ctypes.get_errno(), "no shared memory")
        self._address = libc.shmat(number, None, 0)
        try:
            if self._address in (None, ctypes.c_void_p(-1).value):
                raise OSError(ctypes.get_errno(), "no shared memory")
            self.id: int = display.connection.generate_id()
            self.shm.AttachChecked(self.id, number, False).check()
        finally:
            libc.shmctl(number, _IPC_RMID, None)  # it stays until the last one has let go of it
        self.pixels = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._address))

    def close(self) -> None:
        with contextlib.suppress(xcffib.XcffibException):  # the server may be gone, and its attachment with it
            self.shm.DetachChecked(self.id).check()
        self.pixels = np.empty(0, np.uint8)
        self._libc.shmdt(self._address)
