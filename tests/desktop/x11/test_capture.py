"""Pictures of windows: exact colours, moved, resized, off the screen, minimised, closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eyehand.desktop.x11.capture import NotVisible, WindowCapture
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.windows import WindowState
from eyehand.errors import UserError
from eyehand.frame import Frame
from x_window import Window

BACK = (0x10, 0x20, 0x30)


def rgb(capture: WindowCapture) -> NDArray[np.uint8]:
    """A picture's colours."""
    return Frame(capture.grab(), 0).pixels


def test_a_picture_has_the_colours_and_the_place_of_the_window(display: XDisplay, window: Window) -> None:
    window.configure(x=37, y=21)
    window.fill(0xFF8040, 5, 7, 20, 10)
    capture = WindowCapture(display, window.id)
    pixels = rgb(capture)
    assert pixels.shape == (100, 200, 3)
    assert pixels.dtype == np.uint8
    expected = np.full((100, 200, 3), BACK, np.uint8)
    expected[7:17, 5:25] = (0xFF, 0x80, 0x40)
    np.testing.assert_array_equal(pixels, expected)
    capture.close()
    capture.close()


def test_a_picture_never_changes_afterwards(display: XDisplay, window: Window) -> None:
    """Not by later pictures, more of them than there are segments, nor when the capture is closed."""
    capture = WindowCapture(display, window.id)
    shades = range(20)
    pictures = []
    for shade in shades:
        window.fill(0x010101 * shade, 0, 0, 200, 100)
        pictures.append(capture.grab()[10:, 10:])  # a part holds on to the whole
    capture.close()
    for shade, picture in zip(shades, pictures, strict=True):
        assert (picture[..., :3] == shade).all()


def test_memory_of_pictures_that_nobody_holds_is_used_again(display: XDisplay, window: Window) -> None:
    capture = WindowCapture(display, window.id)
    places = {capture.grab().ctypes.data for _ in range(30)}
    assert len(places) == 1
    held = [capture.grab() for _ in range(3)]
    assert len({picture.ctypes.data for picture in held}) == 3
    del held
    window.configure(width=300, height=150)  # they are too small now
    assert capture.grab().shape == (150, 300, 4)
    before = attached_here()
    capture.close()
    assert attached_here() == before - 1, "one was left, and has been given back"


def attached_here() -> int:
    """How many segments of shared memory this process has attached."""
    return Path("/proc/self/maps").read_text().count("/SYSV00000000")


def test_moved_and_resized_windows_are_followed(display: XDisplay, window: Window) -> None:
    capture = WindowCapture(display, window.id)
    assert capture.grab().shape == (100, 200, 4)
    window.configure(x=100, y=50, width=320, height=240)
    assert capture.grab().shape == (240, 320, 4)
    window.configure(width=64, height=48)
    assert capture.grab().shape == (48, 64, 4)
    capture.close()


def test_what_lies_outside_the_screen_is_black(display: XDisplay, window: Window) -> None:
    capture = WindowCapture(display, window.id)
    window.configure(x=-50, y=470)
    pixels = rgb(capture)
    assert pixels.shape == (100, 200, 3)
    assert (pixels[:10, 50:] == BACK).all()
    assert not pixels[10:].any()
    assert not pixels[:, :50].any()
    capture.close()


def test_without_shared_memory_the_picture_is_the_same(display: XDisplay, window: Window) -> None:
    window.fill(0x336699, 30, 30, 50, 50)
    capture = WindowCapture(display, window.id)
    slow = WindowCapture(display, window.id)
    slow._has_shm = False
    np.testing.assert_array_equal(rgb(slow), rgb(capture))
    capture.close()


def test_minimised_and_closed_windows_are_states(display: XDisplay, open_window: Callable[..., Window]) -> None:
    window = open_window("short-lived")
    capture = WindowCapture(display, window.id)
    capture.grab()
    window.core.UnmapWindow(window.id)
    window.sync()
    with pytest.raises(NotVisible) as hidden:
        capture.grab()
    assert hidden.value.state is WindowState.MINIMISED
    window.core.MapWindow(window.id)
    window.sync()
    assert capture.grab().shape == (100, 200, 4)
    window.core.DestroyWindow(window.id)
    window.sync()
    with pytest.raises(NotVisible) as gone:
        capture.grab()
    assert gone.value.state is WindowState.GONE
    capture.close()


def test_a_display_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="does not answer"):
        XDisplay.open(":4711")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match="--own-screen"):
        XDisplay.open()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with pytest.raises(UserError, match="Wayland"):
        XDisplay.open()
