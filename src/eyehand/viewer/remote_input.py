"""Keyboard and mouse of a viewer's page, as a remote person's input events for `Takeover.hear`.

A page sends the whole held state with every message, and the motion since the last, so that nothing can stay held
because a message was lost. What any page holds is held; the motion of all of them is added up.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eyehand.action import BUTTONS, KEYS, NOTHING, Action
from eyehand.players.takeover import Takeover
from eyehand.recording.events import events_between

__all__ = ["RemoteInput", "parse_remote_input"]

_MAX_PX = 4096
_KEYS, _BUTTONS = frozenset(KEYS), frozenset(BUTTONS)


def parse_remote_input(values: Mapping[str, Any]) -> Action:
    """The Action of a page's input message. Unknown names are left out, motion is clipped.

    Raises:
        KeyError, TypeError, ValueError: a malformed message.
    """
    keys, buttons = frozenset(map(str, values["keys"])) & _KEYS, frozenset(map(str, values["buttons"])) & _BUTTONS
    dx, dy, scroll = (max(-_MAX_PX, min(_MAX_PX, int(values[name]))) for name in ("dx", "dy", "scroll"))
    return Action(keys, buttons, dx, dy, scroll_dy=scroll)


class RemoteInput:
    """The input of all pages of a play, merged for its Takeover. Thread-safe."""

    def __init__(self, takeover: Takeover) -> None:
        self._takeover = takeover
        self._lock = threading.Lock()
        self._pages: dict[object, tuple[Action, int]] = {}

    def hear(self, page: object, action: Action, now_ns: int) -> None:
        """Take a page's input state."""
        with self._lock:
            before = self._held()
            self._pages[page] = action.held(), now_ns
            held = self._held()
            self._tell(before, replace(action, keys=held.keys, buttons=held.buttons), now_ns)

    def leave(self, page: object, now_ns: int) -> None:
        """Release the input of a page that was closed."""
        with self._lock:
            self._lose([page], now_ns)

    def drop_silent(self, now_ns: int, silence_ns: int) -> None:
        """Release the input of pages that have sent nothing for so long: their connections are broken."""
        with self._lock:
            self._lose([page for page, (_, heard_ns) in self._pages.items() if now_ns - heard_ns > silence_ns], now_ns)

    def _lose(self, pages: Sequence[object], now_ns: int) -> None:
        """Release everything, if one of these pages held something; what the others hold is pressed again."""
        lost = [self._pages.pop(page) for page in pages if page in self._pages]
        if any(held != NOTHING for held, _ in lost):
            self._takeover.lose_far(now_ns)
            self._tell(NOTHING, self._held(), now_ns)

    def _held(self) -> Action:
        """What any page holds."""
        held = [action for action, _ in self._pages.values()]
        return Action.of(
            frozenset().union(*(action.keys for action in held)),
            frozenset().union(*(action.buttons for action in held)),
        )

    def _tell(self, before: Action, after: Action, now_ns: int) -> None:
        for event in events_between(before, after, now_ns, is_simulated=False):
            self._takeover.hear(event, is_far=True)
