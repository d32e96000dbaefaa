"""Capture of one window through shared memory (MIT-SHM), without copies.

A picture keeps its memory until its last reference is gone; then a later one is written there. The window may move,
change its size or lie partly outside the screen (black there); a minimised, hidden or closed one raises `NotVisible`.
Without MIT-SHM (a display over the network) the pictures come through the socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections import deque
from typing import Any

import numpy as np
import xcffib
import xcffib.shm
import xcffib.xproto as x
from numpy.typing import NDArray

from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.windows import WindowState
from eyehand.errors import UserError

__all__ = ["NotVisible", "WindowCapture"]

_ALL_PLANES = 0xFFFFFFFF
_IPC_CREAT, _IPC_PRIVATE, _IPC_RMID = 0o1000, 0, 0
_MAX_ATTEMPTS = 5
_MAX_SEGMENTS = 8
"""More pictures than this in use at once are copied out of one that is written again."""


class NotVisible(Exception):  # noqa: N818 - a state, not a fault
    """The window has no picture now; `state` is the reason."""

    def __init__(self, state: WindowState) -> None:
        super().__init__(f"the window {state.value}")
        self.state = state


class WindowCapture:
    """Captures pictures of one window.

    Args:
        display: where the window is.
        window: its number.

    Attributes:
        off_screen_share: share of the last picture that was off the screen, and is black.

    Raises:
        UserError: the display has fewer than 24 bits of colour.
    """

    def __init__(self, display: XDisplay, window: int) -> None:
        self.display = display
        self.window = window
        self.off_screen_share = 0.0
        self._segments = _Segments(display)
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
        """The window's picture now, uint8 BGRX (height, width, 4), which is not changed afterwards.

        The fourth channel has no meaning; `frame.Frame` makes RGB of it.

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
        """Free the shared memory, that of pictures in use when they no longer are. May be called twice."""
        self._segments.close()

    def _attempt(self) -> NDArray[np.uint8] | None:
        """Request the picture at the window's last place, and its place; None if it has moved or resized meanwhile.

        All requests go out together, so that a window that stays where it is costs one round trip.
        """
        core, root = self.display.core, self.display.root
        attributes = core.GetWindowAttributes(self.window)
        geometry = core.GetGeometry(self.window)
        origin = core.TranslateCoordinates(self.window, root, 0, 0)
        screen = core.GetGeometry(root)
        known = self._rectangle
        image: Any = None
        segment: _Segment | None = None
        if known is not None:
            image, segment = self._ask(known)
        is_taken = False
        try:
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
            if known is None or known != self._rectangle:
                self._swallow(image)
                return None
            try:
                reply = image.reply()
            except xcffib.Error:  # it changed after we had asked for its place
                return None
            _, _, width, height = known
            if segment is None:
                flat = np.frombuffer(bytes(reply.data.buf()), np.uint8)
            else:
                flat = self._segments.picture(segment, width * height * 4)
                is_taken = True
        finally:
            if segment is not None and not is_taken:
                self._segments.put_back(segment)
        self.off_screen_share = 1 - width * height / (size.width * size.height)
        return _on_black(flat.reshape(height, width, 4), (size.height, size.width), top, left)

    def _ask(self, rectangle: tuple[int, int, int, int]) -> tuple[Any, _Segment | None]:
        """Send the request for a picture; returns its cookie and the segment that it will be written into."""
        left, top, width, height = rectangle
        if self._has_shm:
            try:
                segment = self._segments.take(width * height * 4)
            except (OSError, xcffib.Error):
                self._has_shm = False
            else:
                place = (left, top, width, height, _ALL_PLANES, x.ImageFormat.ZPixmap)
                return segment.shm.GetImage(self.window, *place, segment.id, 0), segment
        core = self.display.core
        return core.GetImage(x.ImageFormat.ZPixmap, self.window, left, top, width, height, _ALL_PLANES), None

    @staticmethod
    def _swallow(*cookies: Any) -> None:
        """Discard replies that are no longer needed."""
        for cookie in cookies:
            if cookie is not None:
                try:
                    cookie.reply()
                except xcffib.Error:
                    continue


def _on_black(visible: NDArray[np.uint8], size: tuple[int, int], top: int, left: int) -> NDArray[np.uint8]:
    """The picture of a window partly outside the screen, black there."""
    height, width = visible.shape[:2]
    if (height, width) == size:
        return visible
    pixels = np.zeros((*size, 4), np.uint8)
    pixels[top : top + height, left : left + width] = visible
    return pixels


class _Segments:
    """The pool of shared memory of one window's pictures. A segment is reused when its picture is no longer in use."""

    def __init__(self, display: XDisplay) -> None:
        self._display = display
        self._is_closed = False
        self._num_attached = 0
        self._free: deque[_Segment] = deque()  # the last reference to a picture may go on any thread

    def take(self, size: int) -> _Segment:
        """An unused segment of at least `size` bytes.

        Raises:
            OSError, xcffib.Error: there is no shared memory.
        """
        while (segment := self._pop()) is not None:
            if segment.size >= size:
                return segment
            self._end(segment)
        segment = _Segment(self._display, size)
        self._num_attached += 1
        return segment

    def picture(self, segment: _Segment, size: int) -> NDArray[np.uint8]:
        """The first `size` bytes of a segment, which is reused when nothing refers to them any more."""
        whole = segment.pixels()
        if self._num_attached - len(self._free) > _MAX_SEGMENTS:
            copy = whole[:size].copy()
            self.put_back(segment)
            return copy
        weakref.finalize(whole, self.put_back, segment).atexit = False
        return whole[:size]

    def put_back(self, segment: _Segment) -> None:
        """Return a segment to the pool. Thread-safe."""
        self._free.append(segment)
        if self._is_closed and (last := self._pop()) is not None:
            last.free()

    def close(self) -> None:
        """Free the segments, those in use as soon as they are not. May be called twice."""
        self._is_closed = True
        while (segment := self._pop()) is not None:
            self._end(segment)

    def _pop(self) -> _Segment | None:
        try:
            return self._free.pop()
        except IndexError:
            return None

    def _end(self, segment: _Segment) -> None:
        self._num_attached -= 1
        segment.detach()
        segment.free()


class _Segment:
    """System V shared memory, also attached by the X server. The kernel frees it when both have detached.

    Attributes:
        size: bytes.
        shm: the extension.
        id: the server's id of it.
    """

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
            libc.shmctl(number, _IPC_RMID, None)  # it stays until the last detach

    def pixels(self) -> NDArray[np.uint8]:
        """All of its bytes as a new array, which is alive as long as slices of it are."""
        return np.ctypeslib.as_array((ctypes.c_uint8 * self.size).from_address(self._address))

    def detach(self) -> None:
        """Detach it in the server."""
        with contextlib.suppress(xcffib.XcffibException):  # it may be gone, and its attachment with it
            self.shm.DetachChecked(self.id).check()

    def free(self) -> None:
        """Detach it in this process: its arrays must not be read any more."""
        self._libc.shmdt(self._address)
