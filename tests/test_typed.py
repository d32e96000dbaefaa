"""Plain values become dataclasses, or one says in which place they do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from eyehand.errors import UserError
from eyehand.typed import typed


@dataclass(frozen=True)
class Inner:
    sizes: tuple[int, ...] = ()
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    texts: dict[str, str] | None = None
    inners: dict[str, Inner] | None = None


def test_values_become_a_dataclass() -> None:
    values = {"name": "x", "inner": {"sizes": [1, 2], "share": 1}, "several": [{}], "texts": {"a": "b"}}
    assert typed(Outer, values) == Outer("x", "a", Inner((1, 2), 1.0), (Inner(),), {"a": "b"})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (3, "it must be a table"),
        ({}, "name is missing"),
        ({"nam": "x"}, "nam is not known (did you mean name?)"),
        ({"name": True}, "name must be a text"),
        ({"name": "x", "kind": "c"}, "kind cannot be 'c'"),
        ({"name": "x", "inner": 3}, "inner must be a table or nothing"),
        ({"name": "x", "inner": {"share": True}}, "inner.share must be a number"),
        ({"name": "x", "inner": {"sizes": [1, 1.0]}}, "inner.sizes[1] must be a whole number"),
        ({"name": "x", "inner": {"shares": 1}}, "inner.shares is not known (did you mean share?)"),
        ({"name": "x", "several": [{}, {"colour": 1}]}, "several[1].colour is not known"),
        ({"name": "x", "several": {}}, "several must be a list"),
        ({"name": "x", "texts": {"a": "b", "c": 3}}, "texts.c must be a text"),
        ({"name": "x", "inners": {"a": {"sizes": ["1"]}}}, "inners.a.sizes[0] must be a whole number"),
        ({"name": "x", "inners": {"a": {"size": []}}}, "inners.a.size is not known (did you mean sizes?)"),
    ],
)
def test_what_does_not_fit_is_named(values: Any, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        typed(Outer, values)
    assert str(caught.value) == sentence
