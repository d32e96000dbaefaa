"""Hotkeys of eyehand itself: `Hotkeys` detects combinations of keys, and keeps them out of the labels.

A combination is written like `RightControl+F9`: the last key is its trigger, the others are held before. It fires once
when its trigger goes down, whatever else is held, for the person plays meanwhile; what software injects never fires
one. The events of a combination that fired are renamed `hotkey:NAME`, so that recordings keep them and readers do not
take them for play. Of two that fit, the one with more keys fires. Knows no X.

A key that begins a combination is held back until it is known what it is for: of the combination if that fires; of play
when it is released, when another key or button goes down, and after half a second. It is then reported with that
moment's time, so that it stays in order and never comes into a tick that was reported already.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from eyehand.action import KEYS
from eyehand.errors import UserError
from eyehand.input_event import HOTKEY, InputEvent

__all__ = ["PANIC", "RESUME", "THUMB_DOWN", "THUMB_UP", "Combination", "Hotkeys", "TakeoverKeys"]

_HELD_BACK_NS = 500_000_000


@dataclass(frozen=True)
class Combination:
    """The keys of a hotkey.

    Attributes:
        trigger: the one that goes down last.
        held: the others.
    """

    trigger: str
    held: frozenset[str] = frozenset()

    @staticmethod
    def parse(text: str) -> Combination:
        """From `F9`, `RightControl+F9` or `LeftShift+LeftAlt+r`.

        Raises:
            UserError: a key that does not exist, or one twice.
        """
        names = [_key_name(name.strip(), text) for name in text.split("+")]
        if len(set(names)) < len(names):
            raise UserError(f"The hotkey {text!r} names a key twice: write it like RightControl+F9.")
        return Combination(names[-1], frozenset(names[:-1]))

    def __str__(self) -> str:
        return "+".join([*sorted(self.held), self.trigger])


class Hotkeys:
    """Detects which hotkey an event fires. For one thread at a time.

    Args:
        combinations: by the name of their command; text or `Combination`.

    Raises:
        UserError: an invalid combination, or one for two commands.
    """

    def __init__(self, combinations: Mapping[str, str | Combination]) -> None:
        self.combinations = {
            name: Combination.parse(keys) if isinstance(keys, str) else keys for name, keys in combinations.items()
        }
        names = {keys: name for name, keys in self.combinations.items()}
        for name, keys in self.combinations.items():
            if names[keys] != name:
                raise UserError(f"The hotkey {keys} is given to {name!r} and to {names[keys]!r}: change one of them.")
        self._beginnings = frozenset[str]().union(*(keys.held for keys in self.combinations.values()))
        self._held: set[str] = set()
        self._fired: dict[str, str] = {}
        self._held_back: dict[str, InputEvent] = {}

    def hear(self, event: InputEvent) -> tuple[list[InputEvent], str | None]:
        """Tell of the next event, in the order of time.

        Returns:
            The events that are known now, as they are to be recorded, in the order of time; and the name of the hotkey
            that fires, or None.
        """
        known, key = self.settle(event.time_ns), event.name
        if event.is_simulated or event.kind not in ("key", "button"):
            return [*known, event], None
        if event.kind == "button":
            return [*known, *self._played(event), event], None
        if not event.is_pressed:
            self._held.discard(key)
            fired = self._fired.pop(key, None)
            return [*known, *self._played(event, key), _renamed(event, fired)], None
        if key in self._held:  # it repeats
            return [*known, *([] if key in self._held_back else [_renamed(event, self._fired.get(key))])], None
        self._held.add(key)
        fitting = [
            (len(keys.held), name)
            for name, keys in self.combinations.items()
            if keys.trigger == key and keys.held <= self._held
        ]
        if fitting:
            name = max(fitting)[1]
            ours = self._held_back.keys() & self.combinations[name].held
            pressed = [*(self._played(event, *sorted(ours)) if ours else []), event]
            self._fired |= dict.fromkeys((*ours, key), name)
            return [*known, *(_renamed(one, name) for one in pressed)], name
        if key in self._beginnings:
            self._held_back[key] = event
            return known, None
        return [*known, *self._played(event), event], None

    def is_begun(self, name: str) -> bool:
        """Whether a key is down that is held for this hotkey, before or after it has fired."""
        return not self._held.isdisjoint(self.combinations[name].held)

    def settle(self, time_ns: int) -> list[InputEvent]:
        """What has been held back for too long before this moment, and counts as play from then on."""
        late = [event for event in self._held_back.values() if event.time_ns + _HELD_BACK_NS < time_ns]
        for event in late:
            del self._held_back[event.name]
        return [replace(event, time_ns=event.time_ns + _HELD_BACK_NS) for event in late]

    def _played(self, event: InputEvent, *keys: str) -> list[InputEvent]:
        """The presses of these keys, or of all, that were held back until this event; a release settles no other."""
        if event.kind == "button" and not event.is_pressed:
            return []
        names = [key for key in keys or tuple(self._held_back) if key in self._held_back]
        return [replace(self._held_back.pop(name), time_ns=event.time_ns) for name in names]


def _renamed(event: InputEvent, hotkey: str | None) -> InputEvent:
    return event if hotkey is None else replace(event, name=HOTKEY + hotkey)


def _key_name(name: str, text: str) -> str:
    """A key's name, in any case."""
    found = {key.casefold(): key for key in KEYS}
    if name.casefold() not in found:
        close = difflib.get_close_matches(name.casefold(), found, n=1)
        hint = f"did you mean {found[close[0]]}?" if close else "write it like RightControl+F9."
        raise UserError(f"The hotkey {text!r} has the unknown key {name!r}: {hint}")
    return found[name.casefold()]


RESUME, PANIC = "resume", "panic"
THUMB_UP, THUMB_DOWN = "thumb_up", "thumb_down"


@dataclass(frozen=True)
class TakeoverKeys:
    """The hotkeys of a takeover.

    Attributes:
        resume_key: the key, or keys together, with which the agent resumes.
        panic_key: the key, or keys together, that release everything and end play.
        up_key: thumbs up for what the agent does: kept in a recording, and the score where a profile says so.
        down_key: thumbs down.
    """

    resume_key: str = "RightAlt+Home"
    panic_key: str = "F12"
    up_key: str = "RightAlt+PageUp"
    down_key: str = "RightAlt+PageDown"

    def hotkeys(self) -> Hotkeys:
        """The detector of these keys. Errors as of `Hotkeys`."""
        thumbs = {THUMB_UP: self.up_key, THUMB_DOWN: self.down_key}
        return Hotkeys({RESUME: self.resume_key, PANIC: self.panic_key, **thumbs})
