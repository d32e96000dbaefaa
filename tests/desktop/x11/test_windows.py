"""Which window is meant, and how it stands."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

import pytest
import xcffib.xtest

from eyehand.clock import SystemClock
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery, WindowState, WindowWatch, find_window, list_windows, pick_window
from eyehand.errors import UserError
from x_window import Window, wait_until


def test_a_window_is_found_by_title_class_process_and_number(display: XDisplay, window: Window) -> None:
    for text in ("phase 2", "title=Freedoom", "class=Probe", "class=probe", f"pid={os.getpid()}", f"id={window.id:#x}"):
        assert find_window(display, WindowQuery.parse(text)).id == window.id, text
    (info,) = list_windows(display)
    assert (info.title, info.class_names, info.pid) == ("Freedoom: Phase 2", ("probe", "Probe"), os.getpid())
    assert (info.width, info.height) == (200, 100)


def test_no_window_and_two_windows_are_said(
    display: XDisplay, window: Window, open_window: Callable[..., Window]
) -> None:
    with pytest.raises(UserError, match=r"No window matches; there are: 'Freedoom: Phase 2'"):
        find_window(display, WindowQuery.parse("Quake"))
    other = open_window("Freedoom: Phase 1")
    with pytest.raises(UserError, match=f"2 windows match: .*id={other.id:#x}"):
        find_window(display, WindowQuery.parse("freedoom"))
    assert find_window(display, WindowQuery.parse("phase 1")).id == other.id


@pytest.mark.parametrize(("text", "sentence"), [("", "Say which"), ("title=", "Say which"), ("pid=doom", "a number")])
def test_an_unusable_query_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        WindowQuery.parse(text)


def test_the_state_follows_the_window(display: XDisplay, open_window: Callable[..., Window]) -> None:
    window = open_window("game")
    window.focus()
    watch = WindowWatch(display, window.id)
    assert watch.state() is WindowState.READY
    other = open_window("chat", size=(300, 200))
    assert watch.state() is WindowState.COVERED
    assert not watch.lost_focus()
    other.focus()
    assert watch.state() is WindowState.UNFOCUSED
    window.focus()
    assert watch.lost_focus(), "the focus was away in between"
    assert not watch.lost_focus()
    other.core.DestroyWindow(other.id)
    other.sync()
    assert watch.state() is WindowState.READY
    window.core.UnmapWindow(window.id)
    window.sync()
    assert watch.state() is WindowState.MINIMISED
    window.core.DestroyWindow(window.id)
    window.sync()
    assert watch.state() is WindowState.GONE


def test_events_alone_tell_every_change(
    display: XDisplay, open_window: Callable[..., Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window("game")
    window.focus()
    watch = WindowWatch(display, window.id)
    wait_until(lambda: watch.state() is WindowState.READY, "the window is ready")
    wait_until(lambda: watch.state_by_events() is WindowState.READY and watch._is_known_ready, "all events are read")
    with monkeypatch.context() as patched:
        patched.setattr(watch, "state", lambda: pytest.fail("nothing has happened, so there is nothing to ask"))
        assert watch.state_by_events() is WindowState.READY
    other = open_window("chat", size=(300, 200))
    wait_until(lambda: watch.state_by_events() is WindowState.COVERED, "the window is covered")
    other.core.DestroyWindow(other.id)
    other.sync()
    wait_until(lambda: watch.state_by_events() is WindowState.READY, "it is in front again")
    other = open_window("mail", size=(50, 50))
    other.focus()
    wait_until(lambda: watch.state_by_events() is WindowState.UNFOCUSED, "the focus has gone")
    window.focus()
    wait_until(lambda: watch.state_by_events() is WindowState.READY, "the focus is back")
    window.core.UnmapWindow(window.id)
    window.sync()
    wait_until(lambda: watch.state_by_events() is WindowState.MINIMISED, "the window is hidden")
    window.core.MapWindow(window.id)
    window.focus()
    wait_until(lambda: watch.state_by_events() is WindowState.READY, "it is shown again")
    window.core.DestroyWindow(window.id)
    window.sync()
    wait_until(lambda: watch.state_by_events() is WindowState.GONE, "the window is gone")


def test_without_a_focused_window_the_pointer_decides(display: XDisplay, window: Window) -> None:
    watch = WindowWatch(display, window.id)
    window.core.SetInputFocus(1, 1, 0)  # PointerRoot, as a bare server has it
    window.core.WarpPointer(0, display.root, 0, 0, 0, 0, 100, 50)
    window.sync()
    assert watch.state() is WindowState.READY
    assert watch.pointer_is_over()
    window.core.WarpPointer(0, display.root, 0, 0, 0, 0, 500, 400)
    window.sync()
    assert watch.state() is WindowState.UNFOCUSED
    assert watch.state_by_events() is WindowState.UNFOCUSED, "no event tells that the pointer has gone"
    assert not watch.pointer_is_over()


def test_a_window_is_picked_by_a_click(screen: OwnScreen, display: XDisplay, window: Window) -> None:
    window.configure(x=200, y=100)
    window.core.WarpPointer(0, display.root, 0, 0, 0, 0, 250, 150)
    window.sync()
    picked: list[int] = []
    with contextlib.closing(XDisplay.open(screen.name, screen.authority)) as picking:
        thread = threading.Thread(target=lambda: picked.append(pick_window(picking, SystemClock())))
        thread.start()
        test = window.display.connection(xcffib.xtest.key)

        def is_picked() -> bool:
            for kind in (4, 5):
                test.FakeInput(kind, 1, 0, display.root, 0, 0, 0)
            window.sync()
            return bool(picked)

        wait_until(is_picked, "the click is noticed")
        thread.join()
    assert picked == [window.id]
    assert WindowQuery.parse("?").by_click
