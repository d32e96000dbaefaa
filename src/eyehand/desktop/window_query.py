"""Window queries and window states. Knows no window system."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from eyehand.errors import UserError

__all__ = ["WindowInfo", "WindowQuery", "WindowState"]


class WindowState(enum.Enum):
    """The state of a window; the value is shown to the user."""

    READY = "has the focus"
    UNFOCUSED = "does not have the focus"
    COVERED = "is covered by other windows"
    MINIMISED = "is minimised or hidden"
    GONE = "is gone"


@dataclass(frozen=True)
class WindowInfo:
    """A window's title, class, process and size, for queries and messages."""

    id: int
    title: str
    class_names: tuple[str, ...]
    pid: int | None
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.title or '(no title)'!r} (class {'/'.join(self.class_names) or '-'}, pid {self.pid or '-'})"


@dataclass(frozen=True)
class WindowQuery:
    """A query for one window; fields that are None match any.

    Attributes:
        title: a part of the title, in any case.
        class_name: the window's class or instance, in any case.
        pids: the process that owns it is one of these.
        id: its number (as xwininfo shows it).
        by_click: the person chooses the window by a click; see `pick_window`.
    """

    title: str | None = None
    class_name: str | None = None
    pids: frozenset[int] | None = None
    id: int | None = None
    by_click: bool = False

    @staticmethod
    def parse(text: str) -> WindowQuery:
        """`TITLE`, `title=TITLE`, `class=CLASS`, `pid=PID`, `id=NUMBER`, or `?` for the one that is clicked into.

        Raises:
            UserError: not a number where one belongs, or nothing at all.
        """
        if text.strip() == "?":
            return WindowQuery(by_click=True)
        kind, is_named, value = text.partition("=")
        if not is_named or kind not in ("title", "class", "pid", "id"):
            kind, value = "title", text
        if not value.strip():
            raise UserError(
                "Say which window: a part of its title, class=CLASS, pid=PID, id=NUMBER, or ? to click into it."
            )
        try:
            if kind == "pid":
                return WindowQuery(pids=frozenset({int(value)}))
            if kind == "id":
                return WindowQuery(id=int(value, 0))
        except ValueError:
            raise UserError(f"{kind}={value} is not a number: write it like {kind}=1234.") from None
        return WindowQuery(title=value) if kind == "title" else WindowQuery(class_name=value)

    def matches(self, window: WindowInfo) -> bool:
        """Whether a window matches the query."""
        return (
            (self.title is None or self.title.casefold() in window.title.casefold())
            and (self.class_name is None or self.class_name.casefold() in map(str.casefold, window.class_names))
            and (self.pids is None or window.pid in self.pids)
            and (self.id is None or window.id == self.id)
        )
