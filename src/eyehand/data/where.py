"""Conditions on the rows of a table: `select(table, "env = 'quake' and num_frames > 2000")`.

The part of SQL that a WHERE clause needs: = != <> < <= > >=, [not] in (...), [not] like 'a%', is [not] null, and, or,
not, parentheses; where a value is null it is neither true nor false, as in SQL. A condition on a column of lists holds
where it holds for any entry. It is parsed here and computed by pyarrow, column by column; nothing is evaluated as code,
and nothing but the table can be reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from eyehand.errors import UserError

__all__ = ["select"]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign><=|>=|<>|!=|[=<>(),]))"
)

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}

_RESERVED = frozenset({"and", "or", "not", "in", "like", "is", "null", "true", "false"})

_MAX_DEPTH = 100
"""How deep parentheses and `not` may be nested: every level takes some of Python's stack."""

_SHOWN = 1000
"""Characters of a condition that an error message repeats."""


def select(table: pa.Table, condition: str) -> pa.Table:
    """The rows for which the condition holds.

    Raises:
        UserError: the condition cannot be understood, or names no column of the table.
    """
    return table.filter(_Parser(table, condition).parse())


class _Parser:
    """Recursive descent; every rule returns a mask, one boolean per row, null where that is unknown."""

    def __init__(self, table: pa.Table, condition: str) -> None:
        self._table = table
        self._condition = condition
        self._tokens = self._split(condition)
        self._place = 0
        self._depth = 0

    def parse(self) -> pa.Array:
        mask = self._any()
        if self._place < len(self._tokens):
            raise self._error(f"{self._tokens[self._place][1]!r} is one too many")
        return mask

    def _split(self, condition: str) -> list[tuple[str, str]]:
        try:
            condition.encode()
        except UnicodeEncodeError as error:  # half a surrogate pair, as bytes that are no UTF-8 arrive
            raise self._error("it is not UTF-8") from error
        tokens, position, end = [], 0, len(condition.rstrip())
        while position < end:
            match = _TOKEN.match(condition, position)
            if match is None:
                raise self._error(f"{condition[position:end].lstrip()[:20]!r} makes no sense here")
            kind = match.lastgroup or ""
            tokens.append((kind, match[kind]))
            position = match.end()
        return tokens

    def _any(self) -> pa.Array:
        mask = self._all()
        while self._accept("or"):
            mask = pc.or_kleene(mask, self._all())
        return mask

    def _all(self) -> pa.Array:
        mask = self._one()
        while self._accept("and"):
            mask = pc.and_kleene(mask, self._one())
        return mask

    def _one(self) -> pa.Array:
        if self._depth > _MAX_DEPTH:
            raise self._error(f"it is nested more than {_MAX_DEPTH} deep")
        self._depth += 1
        if self._accept("not"):
            mask = pc.invert(self._one())
        elif self._accept("("):
            mask = self._any()
            self._expect(")")
        else:
            mask = self._test()
        self._depth -= 1
        return mask

    def _test(self) -> pa.Array:
        """A comparison of a column with a value; or a boolean column alone."""
        kind, name = self._next()
        if kind != "word" or name.lower() in _RESERVED:
            raise self._error(f"a column is expected instead of {name!r}")
        if name not in self._table.column_names:
            raise self._error(f"there is no column {name!r}, only {', '.join(self._table.column_names)}")
        column = self._table[name].combine_chunks()
        if self._accept("is"):
            is_not = self._accept("not")
            self._expect("null")
            return pc.is_valid(column) if is_not else pc.is_null(column)
        is_not = self._accept("not")
        if self._accept("in"):
            mask = self._hold(column, name, lambda values: pc.is_in(values, self._values(values.type, name)))
        elif self._accept("like"):
            mask = self._hold(column, name, lambda values: self._fits(values, name))
        elif is_not:
            raise self._error("'not' behind a column belongs before 'in' or 'like'")
        elif self._peek() in _COMPARE:
            compare = _COMPARE[self._next()[1]]
            mask = self._hold(column, name, lambda values: compare(values, self._value(values.type, name)))
        elif pa.types.is_boolean(column.type):
            mask = column
        else:
            raise self._error(f"{name} is not compared with anything")
        return pc.invert(mask) if is_not else mask

    def _hold(self, column: pa.Array, name: str, test: Callable[[pa.Array], pa.Array]) -> pa.Array:
        """The mask of a test on a column; for lists, of any entry."""
        if not pa.types.is_list(column.type):
            return pc.if_else(pc.is_valid(column), test(column), None)
        entries, rows = pc.list_flatten(column), pa.array(range(len(column)), pa.int64())
        mask, parents = pc.if_else(pc.is_valid(entries), test(entries), None), pc.list_parent_indices(column)
        is_true, has_null = (
            pc.is_in(rows, value_set=pc.filter(parents, each).cast(pa.int64())) for each in (mask, pc.is_null(mask))
        )
        is_unknown = pc.or_(pc.is_null(column), has_null)
        return pc.or_kleene(is_true, pc.if_else(is_unknown, pa.scalar(None, pa.bool_()), False))

    def _values(self, kind: pa.DataType, name: str) -> pa.Array:
        self._expect("(")
        values = [self._value(kind, name)]
        while self._accept(","):
            values.append(self._value(kind, name))
        self._expect(")")
        return pa.array([value.as_py() for value in values])

    def _fits(self, values: pa.Array, name: str) -> pa.Array:
        pattern = self._value(values.type, name).as_py()
        if not isinstance(pattern, str):
            raise self._error(f"{name} is no text, so 'like' does not fit it")
        try:
            return pc.match_like(values, pattern)
        except pa.ArrowInvalid as error:  # Arrow makes a regular expression of it, whose size is limited
            raise self._error(f"{pattern!r} is too long a pattern") from error

    def _value(self, kind: pa.DataType, name: str) -> pa.Scalar:
        """The next token as a value that fits the column's type."""
        token, text = self._next()
        if token == "text" and pa.types.is_string(kind):
            return pa.scalar(text[1:-1].replace("''", "'"))
        if token == "number" and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            is_whole = re.fullmatch(r"[-+]?\d{1,18}", text) is not None  # what fits into 64 bits
            return pa.scalar(int(text), pa.int64()) if is_whole else pa.scalar(float(text), pa.float64())
        if token == "word" and text.lower() in ("true", "false") and pa.types.is_boolean(kind):
            return pa.scalar(text.lower() == "true")
        wanted = "a text in single quotes" if pa.types.is_string(kind) else "true or false"
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            wanted = "a number"
        raise self._error(f"{name} is compared with {text or 'nothing'}, but needs {wanted}")

    def _peek(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._place] if self._place < len(self._tokens) else ("", "")
        self._place += 1
        return token

    def _accept(self, expected: str) -> bool:
        is_there = self._peek().lower() == expected
        self._place += is_there
        return is_there

    def _expect(self, expected: str) -> None:
        if not self._accept(expected):
            raise self._error(f"{expected!r} is missing before {self._peek() or 'its end'!r}")

    def _error(self, what: str) -> UserError:
        shown, what = (each if len(each) <= _SHOWN else each[:_SHOWN] + "..." for each in (self._condition, what))
        return UserError(
            f"The condition {shown!r} cannot be understood ({what}): write one such as "
            "\"env = 'quake' and num_frames > 2000\"."
        )
