"""Hotkeys of eyehand itself: `Hotkeys` detects combinations of keys, and keeps them out of the labels.

A combination is written like `RightControl+F9`: the last key is its trigger, the others are held before. It fires once
when its trigger goes down, whatever else is held, for the person plays meanwhile; what software injects never fires
one. The events of a trigger that fired are renamed `hotkey:NAME`, so that recordings keep them and readers do not take
them for play; the keys held with it stay what they are. Of two that fit, the one with more keys fires. Knows no X.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from eyehand.action import KEYS
from eyehand.errors import UserError
from eyehand.input_event import HOTKEY, InputEvent

__all__ = ["Combination", "Hotkeys"]


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
    """Detects which hotkey an event fires. For one thread.

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
        self._held: set[str] = set()
        self._fired: dict[str, str] = {}

    def hear(self, event: InputEvent) -> tuple[InputEvent, str | None]:
        """Tell of the next event.

        Returns:
            The event as it is to be recorded, and the name of the hotkey that it fires; None: it fires none.
        """
        if event.kind != "key" or event.is_simulated:
            return event, None
        key = event.name
        if not event.is_pressed:
            self._held.discard(key)
            fired = self._fired.pop(key, None)
            return (event if fired is None else replace(event, name=HOTKEY + fired)), None
        is_repeated = key in self._held
        self._held.add(key)
        if is_repeated:
            fired = self._fired.get(key)
            return (event if fired is None else replace(event, name=HOTKEY + fired)), None
        fitting = [
            (len(keys.held), name)
            for name, keys in self.combinations.items()
            if keys.trigger == key and keys.held <= self._held
        ]
        if not fitting:
            return event, None
        name = max(fitting)[1]
        self._fired[key] = name
        return replace(event, name=HOTKEY + name), name


def _key_name(name: str, text: str) -> str:
    """A key's name, in any case."""
    found = {key.casefold(): key for key in KEYS}
    if name.casefold() not in found:
        close = difflib.get_close_matches(name.casefold(), found, n=1)
        hint = f"did you mean {found[close[0]]}?" if close else "write it like RightControl+F9."
        raise UserError(f"The hotkey {text!r} has the unknown key {name!r}: {hint}")
    return found[name.casefold()]
