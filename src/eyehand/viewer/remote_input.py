"""Keyboard and mouse of a viewer's page, as a remote person's input events for `Takeover.hear`.

A page sends the whole held state with every message, and the motion since the last, so that nothing can stay held
because a message was lost. One page is in control at a time: the one with the latest input.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
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
        self._owner: object | None = None
        self._held = NOTHING
        self._heard_ns = 0

    def hear(self, page: object, action: Action, now_ns: int) -> None:
        """Take a page's input state. An empty one takes no control from another page."""
        with self._lock:
            if page is not self._owner and action == NOTHING:
                return
            if page is not self._owner and self._owner is not None:
                self._release(now_ns)
            self._owner, self._heard_ns = page, now_ns
            before, self._held = self._held, action.held()
            for event in events_between(before, action, now_ns, is_simulated=False):
                self._takeover.hear(event, is_far=True)

    def leave(self, page: object, now_ns: int) -> None:
        """Release the input of a page that was closed."""
        with self._lock:
            if page is self._owner:
                self._release(now_ns)

    def drop_silent(self, now_ns: int, silence_ns: int) -> None:
        """Release the input of a page that has sent nothing for so long: its connection is broken."""
        with self._lock:
            if self._held != NOTHING and now_ns - self._heard_ns > silence_ns:
                self._release(now_ns)

    def _release(self, now_ns: int) -> None:
        self._owner, self._held = None, NOTHING
        self._takeover.lose_far(now_ns)
