"""Which options go together: an option that would do nothing beside the others is refused before any work.

    learner_share: Annotated[float, OnlyWith("dagger")] = 0.7
    preset: Annotated[str, NotWith("init_from")] = "pocket"

The rule stands beside the option that would do nothing. An option is given where it was written or differs from its
default.
"""

from __future__ import annotations

import math
import typing
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from eyehand.errors import UserError

__all__ = ["NotWith", "OnlyWith", "amount", "check_options", "count", "flag", "given_options"]


class OnlyWith:
    """The option does something only where one of these is given: names of options, or NAME=VALUE."""

    def __init__(self, *others: str) -> None:
        self.others = others


class NotWith(OnlyWith):
    """The option does nothing where one of these is given, unless `unless` is given too."""

    def __init__(self, *others: str, unless: str = "") -> None:
        super().__init__(*others)
        self.unless = unless


def flag(name: str) -> str:
    """An option as it is written: "learner_share" is --learner-share, "engine=ray" is --engine ray."""
    return "--" + name.replace("_", "-").replace("=", " ")


def given_options(options: object, words: Sequence[str] = ()) -> dict[str, object]:
    """The options that differ from their defaults or were written, also those of groups, by name."""
    written = {word.partition("=")[0] for word in words}
    return {
        field.name: value
        for field, value, _ in _flat(options)
        if value != _default(field) or flag(field.name) in written
    }


def check_options(options: object, words: Sequence[str] = ()) -> None:
    """Refuse an option that would do nothing. `words` are those of the command line.

    Raises:
        UserError: it does, and what to do.
    """
    given = given_options(options, words)
    values = {field.name: value for field, value, _ in _flat(options)}
    for field, _, rules in _flat(options):
        for rule in rules if field.name in given else ():
            others = [name for name in rule.others if _is_given(name, given, values)]
            if isinstance(rule, NotWith) and others and rule.unless not in given:
                raise UserError(
                    f"Option {flag(field.name)} does nothing beside {flag(others[0])}: leave one of them out."
                )
            if not isinstance(rule, NotWith) and not others:
                needed = " or ".join(map(flag, rule.others))
                raise UserError(f"Option {flag(field.name)} does nothing without {needed}: add that, or leave it out.")


def count(text: str) -> int:
    """A number of the command line of a script that is 1 or more, as a type for argparse."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"it must be at least 1, not {text}")
    return number


def amount(text: str) -> float:
    """A number of the command line of a script that is above 0 and finite, as a type for argparse."""
    number = float(text)
    if not 0 < number < math.inf:
        raise ArgumentTypeError(f"it must be above 0, not {text}")
    return number


def _is_given(name: str, given: dict[str, object], values: dict[str, object]) -> bool:
    name, _, value = name.partition("=")
    return str(values.get(name)) == value if value else name in given


def _flat(options: object) -> Iterator[tuple[Field[Any], object, list[OnlyWith]]]:
    """Every option with its value and rules; those of groups and sub-commands too."""
    hints = typing.get_type_hints(type(options), include_extras=True)
    for field in fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        if is_dataclass(value):
            yield from _flat(value)
        else:
            rules = [each for each in getattr(hints[field.name], "__metadata__", ()) if isinstance(each, OnlyWith)]
            yield field, value, rules


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
