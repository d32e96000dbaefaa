"""Raw input events and per-frame held keys, derived from each other.

Where a source gives no raw events (agents, scripted players), they follow from the Actions. Where a recorder lost a
held key (Recap swallows its own hotkeys, LeftShift among them), it follows from the events. Knows no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from eyehand.action import NOTHING, Action
from eyehand.input_event import HOTKEY, EventKind, InputEvent

__all__ = ["events_between", "keys_from_events"]


def events_between(before: Action, after: Action, time_ns: int, *, is_simulated: bool = True) -> list[InputEvent]:
    """The events that turn the held state of `before` into that of `after` and make its motion.

    Args:
        before: the state until now.
        after: the state from `time_ns` on, and the motion.
        time_ns: timestamp of the events.
        is_simulated: whether software made the events, not a person.
    """
    events = [
        *_presses(before.keys, after.keys, "key", time_ns),
        *_presses(before.buttons, after.buttons, "button", time_ns),
    ]
    if after.dx or after.dy:
        events.append(InputEvent(time_ns, "mouse_delta", x=after.dx, y=after.dy))
    if after.scroll_dx or after.scroll_dy:
        events.append(InputEvent(time_ns, "wheel", x=after.scroll_dx, y=after.scroll_dy))
    before_pad = before.gamepad.buttons if before.gamepad else NOTHING.keys
    after_pad = after.gamepad.buttons if after.gamepad else NOTHING.keys
    events += _presses(before_pad, after_pad, "gamepad_button", time_ns)
    return [replace(event, is_simulated=is_simulated) for event in events]


def _presses(before: frozenset[str], after: frozenset[str], kind: EventKind, time_ns: int) -> list[InputEvent]:
    released = [InputEvent(time_ns, kind, name, False) for name in sorted(before - after)]
    return released + [InputEvent(time_ns, kind, name, True) for name in sorted(after - before)]


def keys_from_events(events_by_frame: Iterable[Sequence[InputEvent]]) -> list[frozenset[str]]:
    """The keys of each frame from raw events: held at the frame, or pressed since the frame before.

    Simulated events are left out (the Actions have what software pressed), and so are hotkeys.

    Args:
        events_by_frame: for every frame the events since the frame before, ascending in time.
    """
    held: set[str] = set()
    keys: list[frozenset[str]] = []
    for events in events_by_frame:
        tapped: set[str] = set()
        pressed_now: set[str] = set()
        for event in events:
            if event.kind != "key" or event.is_simulated or event.name.startswith(HOTKEY):
                continue
            if event.is_pressed:
                held.add(event.name)
                pressed_now.add(event.name)
            else:
                held.discard(event.name)
                if event.name in pressed_now:
                    tapped.add(event.name)
        keys.append(frozenset(held | tapped))
    return keys
