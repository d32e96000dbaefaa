"""`typed`: plain values from JSON or TOML as a dataclass; what does not fit is an error that names its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from eyehand.errors import UserError

__all__ = ["typed"]

T = TypeVar("T")

_WORDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}
_WORDS |= {"array": "a list", "object": "a table", "null": "nothing"}


def typed(kind: type[T], values: object, place: str = "") -> T:
    """The values as a dataclass, its parts likewise.

    Raises:
        UserError: a name that is not known or missing, or a value of another type. Half a sentence, such as
            "launch.size must be a text" (behind `place`), for the caller to say in which file.
    """
    import msgspec  # takes longer than `eyehand --help` does

    try:
        _check_names(kind, values, place)
        return msgspec.convert(values, kind)
    except RecursionError as error:
        raise UserError(f"{place or 'it'} is nested too deeply") from error
    except msgspec.ValidationError as error:
        what, _, inner = str(error).partition(" - at `$")
        place, names = (place + inner.strip("`")).strip("."), re.findall("`(.*?)`", what)
        if "missing" in what:
            problem = f"{place}.{names[0]}".lstrip(".") + " is missing"
        elif names:
            problem = f"{place or 'it'} must be {' or '.join(_WORDS.get(each, each) for each in names[0].split(' | '))}"
        else:
            problem = f"{place} cannot be {what.rpartition(' ')[2]}"
        raise UserError(problem) from error


def _check_names(kind: Any, values: object, place: str) -> None:
    """Refuse names that a dataclass, here or further in, lacks; and values of a dict, which msgspec does not name."""
    if is_dataclass(kind) and isinstance(values, Mapping):
        known = get_type_hints(kind)
        for name, value in values.items():
            inner = f"{place}.{name}".lstrip(".")
            if name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                raise UserError(f"{inner} is not known" + (f" (did you mean {close[0]}?)" if close else ""))
            _check_names(known[name], value, inner)
    elif get_origin(kind) is dict and isinstance(values, Mapping):
        for name, value in values.items():
            typed(get_args(kind)[1], value, f"{place}.{name}")
    elif isinstance(values, list):
        for number, value in enumerate(values):
            _check_names(next(iter(get_args(kind)), None), value, f"{place}[{number}]")
    else:
        for each in get_args(kind):  # of a union
            _check_names(each, values, place)
