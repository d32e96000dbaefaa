"""Keyboard and mouse of somebody who watches from afar, turned into the events of a person for `Takeover.hear`.

A page sends the whole held state with every message, and the motion since the last, so that nothing can stay held
because a message was lost. One page has the hands at a time: the one that did something last.
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


def parse_remote_input(said: Mapping[str, Any]) -> Action:
    """What a page says of its hands. Names that do not exist are left out, wild motions are cut.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    keys, buttons = frozenset(map(str, said["keys"])) & _KEYS, frozenset(map(str, said["buttons"])) & _BUTTONS
    dx, dy, scroll = (max(-_MAX_PX, min(_MAX_PX, int(said[name]))) for name in ("dx", "dy", "scroll"))
    return Action(keys, buttons, dx, dy, scroll_dy=scroll)


class RemoteInput:
    """The hands of all pages of a play. May be told on any thread."""

    def __init__(self, takeover: Takeover) -> None:
        self._takeover = takeover
        self._lock = threading.Lock()
        self._owner: object | None = None
        self._held = NOTHING
        self._heard_ns = 0

    def hear(self, page: object, hands: Action, now_ns: int) -> None:
        """A page's hands do this. One that does nothing takes nothing from another."""
        with self._lock:
            if page is not self._owner and hands == NOTHING:
                return
            if page is not self._owner and self._owner is not None:
                self._let_go(now_ns)
            self._owner, self._heard_ns = page, now_ns
            before, self._held = self._held, hands.held()
            for event in events_between(before, hands, now_ns, is_simulated=False):
                self._takeover.hear(event, is_far=True)

    def leave(self, page: object, now_ns: int) -> None:
        """A page was closed."""
        with self._lock:
            if page is self._owner:
                self._let_go(now_ns)

    def drop_silent(self, now_ns: int, silence_ns: int) -> None:
        """Let go of what a page holds that has said nothing for so long: its line is broken."""
        with self._lock:
            if self._held != NOTHING and now_ns - self._heard_ns > silence_ns:
                self._let_go(now_ns)

    def _let_go(self, now_ns: int) -> None:
        self._owner, self._held = None, NOTHING
        self._takeover.lose_far(now_ns)
