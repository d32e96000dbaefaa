"""X11 windows: listing, queries, and the state of one: ready, unfocused, covered, minimised or gone.

`find_window` finds exactly one window for a `WindowQuery` (title, class, process or number) or says what there is
instead, and `WindowWatch` gives at any time its state.
"""

from __future__ import annotations

from collections.abc import Iterable

import xcffib
import xcffib.xproto as x

from eyehand.clock import Clock
from eyehand.desktop.window_query import WindowInfo, WindowQuery, WindowState
from eyehand.desktop.x11.display import XDisplay
from eyehand.errors import UserError

__all__ = ["WindowInfo", "WindowQuery", "WindowState", "WindowWatch", "find_window", "list_windows", "matching"]
__all__ += ["pick_window"]

_SMALLEST_PX = 16
_SEARCH_DEPTH = 4
_PICK_LOOK_NS = 20_000_000


def list_windows(display: XDisplay) -> list[WindowInfo]:
    """The programs' windows, those of the window manager's list first."""
    with display.talk():
        managed = display.property_numbers(display.root, "_NET_CLIENT_LIST")
        ids = managed or list(_search(display, display.root, _SEARCH_DEPTH))
        found = [_info(display, window) for window in ids]
    return [info for info in found if info is not None]


def matching(windows: Iterable[WindowInfo], query: WindowQuery) -> list[WindowInfo]:
    """The windows that match a query. Of nested windows of one program only the largest counts."""
    found = [window for window in windows if query.matches(window)]
    largest: dict[object, WindowInfo] = {}
    for window in found:
        key = (window.pid, window.class_names, window.title) if query.id is None else window.id
        if key not in largest or window.width * window.height > largest[key].width * largest[key].height:
            largest[key] = window
    return list(largest.values())


def find_window(display: XDisplay, query: WindowQuery) -> WindowInfo:
    """The one window that matches a query.

    Raises:
        UserError: none matches, or several do.
    """
    windows = list_windows(display)
    found = matching(windows, query)
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(f"id={window.id:#x} {window}" for window in found)
        raise UserError(f"{len(found)} windows match: choose one with --window id=NUMBER: {listed}.")
    listed = ", ".join(str(window) for window in windows if window.title or window.class_names) or "none"
    raise UserError(f"No window matches; there are: {listed}.")


def pick_window(display: XDisplay, clock: Clock) -> int:
    """Wait until the person clicks into a window, which the click does not reach; returns its number.

    Raises:
        UserError: another program holds the pointer, or the click went to no window.
    """
    core = display.core
    with display.talk():
        grab = core.GrabPointer(
            *(False, display.root, x.EventMask.ButtonPress, x.GrabMode.Async, x.GrabMode.Async),
            *(display.root, 0, x.Time.CurrentTime),
        ).reply()
        if grab.status != x.GrabStatus.Success:
            raise UserError("Another program holds the pointer: choose the window by its title instead.")
        try:
            while not isinstance(event := display.connection.poll_for_event(), x.ButtonPressEvent):
                clock.wait_until(clock.now_ns() + _PICK_LOOK_NS)
        finally:
            core.UngrabPointer(x.Time.CurrentTime)
            display.connection.flush()
        if not event.child:
            raise UserError("There is no window where you clicked: click into the game's window.")
        inside = [window for window in _tree(display, event.child) if display.property_numbers(window, "WM_STATE")]
    return inside[0] if inside else int(event.child)


def _tree(display: XDisplay, window: int) -> Iterable[int]:
    """A window and everything within it, from the outside in."""
    yield window
    try:
        children = display.core.QueryTree(window).reply().children
    except xcffib.Error:
        return
    for child in children:
        yield from _tree(display, int(child))


def _search(display: XDisplay, parent: int, depth: int) -> Iterable[int]:
    """Without a window manager's list: the windows below that have a class, a name or a process."""
    try:
        children = display.core.QueryTree(parent).reply().children
    except xcffib.Error:
        return
    for child in children:
        if any(display.property_bytes(child, name) for name in ("WM_CLASS", "WM_NAME", "_NET_WM_PID")):
            yield int(child)
        elif depth > 1:
            yield from _search(display, child, depth - 1)


def _info(display: XDisplay, window: int) -> WindowInfo | None:
    """A window's title, class, process and size; None if it is gone, input-only or too small to play in."""
    try:
        attributes = display.core.GetWindowAttributes(window).reply()
        geometry = display.core.GetGeometry(window).reply()
    except xcffib.Error:
        return None
    is_picture = attributes._class == x.WindowClass.InputOutput
    if not is_picture or min(geometry.width, geometry.height) < _SMALLEST_PX:
        return None
    if attributes.map_state != x.MapState.Viewable and not display.property_numbers(window, "WM_STATE"):
        return None
    title = display.property_text(window, "_NET_WM_NAME") or display.property_text(window, "WM_NAME")
    class_names = tuple(filter(None, display.property_text(window, "WM_CLASS").split("\0")))
    pids = display.property_numbers(window, "_NET_WM_PID")
    return WindowInfo(window, title, class_names, pids[0] if pids else None, geometry.width, geometry.height)


class WindowWatch:
    """The state of one window: whether input would reach it, and whether it lost the focus meanwhile.

    Args:
        display: a connection for this object alone.
        window: number of the window.

    Attributes:
        is_partly_covered: other windows lie over a part of it, as of the last call; never so under a compositing window
            manager, where its picture is whole all the same.
    """

    def __init__(self, display: XDisplay, window: int) -> None:
        self.display = display
        self.window = window
        self._is_covered = False
        self.is_partly_covered = False
        self._lost_focus = False
        self._is_known_ready = False
        self._top: int | None = None
        self._size_px: tuple[int, int] | None = None
        self._inside: dict[int, bool] = {}
        mask = x.EventMask.FocusChange | x.EventMask.VisibilityChange | x.EventMask.StructureNotify
        with display.talk():
            try:
                display.core.ChangeWindowAttributesChecked(window, x.CW.EventMask, [mask]).check()
            except x.WindowError:
                self._lost_focus = True

    def state(self) -> WindowState:
        """The window's state now. One round trip to the server."""
        with self.display.talk():
            self._read_events()
            core, root = self.display.core, self.display.root
            attributes = core.GetWindowAttributes(self.window)
            focus = core.GetInputFocus()
            pointer = core.QueryPointer(root)
            try:
                is_viewable = attributes.reply().map_state == x.MapState.Viewable
            except x.WindowError:
                focus.reply()
                pointer.reply()
                return WindowState.GONE
            focused, under_pointer = focus.reply().focus, pointer.reply().child
            if not is_viewable:
                return WindowState.MINIMISED
            follows_pointer = focused == x.InputFocus.PointerRoot
            if not (under_pointer == self._top_level() if follows_pointer else self._is_inside(focused)):
                return WindowState.UNFOCUSED
            if self._is_covered:
                return WindowState.COVERED
            self._is_known_ready = not follows_pointer  # no event tells which window the pointer has gone to
            return WindowState.READY

    def state_by_events(self) -> WindowState:
        """As `state`, without a round trip if it was ready at the last call and no event has come since."""
        with self.display.talk():
            self._read_events()
        return WindowState.READY if self._is_known_ready else self.state()

    def pointer_is_over(self) -> bool:
        """Whether a click would hit the window (a game that grabs the pointer keeps it inside). One round trip."""
        core = self.display.core
        with self.display.talk():
            self._read_events()
            try:
                on_root, on_window = core.QueryPointer(self.display.root), core.QueryPointer(self.window)
                geometry = core.GetGeometry(self.window) if self._size_px is None else None
                seen, inside = on_root.reply(), on_window.reply()
                if geometry is not None:
                    size = geometry.reply()
                    self._size_px = size.width, size.height
            except xcffib.Error:
                return False
            assert self._size_px is not None
            width, height = self._size_px
            is_in = 0 <= inside.win_x < width and 0 <= inside.win_y < height
            return bool(is_in and seen.child == self._top_level())

    def lost_focus(self) -> bool:
        """Whether the focus has left the window since the last call, even if it is back already."""
        with self.display.talk():
            self._read_events()
        return self.had_lost_focus()

    def had_lost_focus(self) -> bool:
        """As `lost_focus`, from events already read."""
        lost, self._lost_focus = self._lost_focus, False
        return lost

    def _read_events(self) -> None:
        while True:
            try:
                event = self.display.connection.poll_for_event()
            except xcffib.Error:  # of a request that nobody waited for, to a window that is gone
                continue
            if event is None:
                return
            self._is_known_ready, self._size_px = False, None
            if isinstance(event, x.FocusOutEvent):
                self._lost_focus |= is_real_focus_loss(event)
            elif isinstance(event, x.VisibilityNotifyEvent):
                self._is_covered = event.state == x.Visibility.FullyObscured
                self.is_partly_covered = event.state == x.Visibility.PartiallyObscured
            elif isinstance(event, x.ReparentNotifyEvent):
                self._top = None
                self._inside.clear()
            elif isinstance(event, x.UnmapNotifyEvent | x.DestroyNotifyEvent):
                self._lost_focus = True

    def _is_inside(self, window: int) -> bool:
        """Whether `window` is the watched one or lies within it (toolkits give the focus to a child)."""
        if window == self.window:
            return True
        if window not in self._inside:
            self._inside[window] = self.window in _ancestors(self.display, window)
        return self._inside[window]

    def _top_level(self) -> int:
        if self._top is None:
            self._top = [self.window, *_ancestors(self.display, self.window)][-1]
        return self._top


def is_real_focus_loss(event: x.FocusOutEvent) -> bool:
    """Whether the focus has left: no keyboard grab, no move to a child of the window, no pointer focus."""
    quiet = (x.NotifyDetail.Inferior, x.NotifyDetail.Pointer, x.NotifyDetail.PointerRoot)
    return event.mode in (x.NotifyMode.Normal, x.NotifyMode.WhileGrabbed) and event.detail not in quiet


def _ancestors(display: XDisplay, window: int) -> list[int]:
    """The windows around a window from the inside out, without the root."""
    found: list[int] = []
    try:
        while True:
            parent = int(display.core.QueryTree(window).reply().parent)
            if parent in (0, display.root):
                return found
            found.append(parent)
            window = parent
    except xcffib.Error:
        return found
