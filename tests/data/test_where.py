"""Conditions: what they select, and that nothing else can be said in them."""

from __future__ import annotations

import sqlite3

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eyehand.data.where import select
from eyehand.errors import UserError

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "env": ["quake", "doom", "quake", "o'brien"],
        "num_frames": [3000, 50, 100, 7],
        "user_share": [1.0, 0.5, 0.0, 0.25],
        "is_cut_off": [False, True, False, False],
        "error": [None, None, "It is damaged.", None],
        "texts": [["Find the door.", "Shoot."], [], ["Shoot."], ["Run."]],
    }
)


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("env = 'quake' and num_frames > 2000", "a"),
        ("env = 'quake' or num_frames < 50", "acd"),
        ("env = 'doom' or env = 'quake' and num_frames <= 100", "bc"),
        ("(env = 'doom' or env = 'quake') and num_frames <= 50", "b"),
        ("not env = 'quake'", "bd"),
        ("env != 'quake' AND user_share >= .5", None),
        ("env <> 'quake' AND user_share >= 0.5", "b"),
        ("env in ('doom', 'o''brien')", "bd"),
        ("num_frames not in (7, 50)", "ac"),
        ("num_frames in (7, 50.5)", "d"),
        ("user_share in (1, 0.25)", "ad"),
        ("num_frames > 6.5 and num_frames < 1e2", "bd"),
        ("is_cut_off", "b"),
        ("not is_cut_off and error is null", "ad"),
        ("is_cut_off = false and error is not null", "c"),
        ("error like '%damaged%'", "c"),
        ("error not like '%damaged%'", ""),
        ("texts = 'Shoot.'", "ac"),
        ("texts like '%door%'", "a"),
        ("not texts like '%oo%'", "bd"),
        ("texts not in ('Shoot.')", "bd"),
        ("num_frames = -1", ""),
        ("num_frames < 99999999999999999999999", "abcd"),
        # Nothing here is code, or reaches anything but the table.
        ("__import__('os').system('true')", None),
        ("env = (select 1)", None),
        ("env = 'quake'; drop table x", None),
        ("", None),
        ("env", None),
        ("env = quake", None),
        ("env = 3", None),
        ("num_frames = 'a'", None),
        ("num_frames like '1%'", None),
        ("speed > 3", None),
        ("(env = 'quake'", None),
        ("env = 'quake')", None),
        ("env = 'quake", None),
        ("env not = 'quake'", None),
        ("env is 'quake'", None),
        ("and", None),
        ("env =", None),
    ],
)
def test_conditions(condition: str, ids: str | None) -> None:
    if ids is None:
        with pytest.raises(UserError, match=r"^The condition .* cannot be understood \(.*\): write one such as"):
            select(TABLE, condition)
    else:
        assert "".join(select(TABLE, condition)["id"].to_pylist()) == ids


def test_an_empty_table_stays_empty() -> None:
    assert select(TABLE.slice(0, 0), "texts = 'Shoot.' or env = 'doom'").num_rows == 0


_TESTS = st.sampled_from(
    [
        *("is_cut_off", "num_frames > 2", "num_frames in (1, 3)", "num_frames not in (1, 3)", "num_frames is null"),
        *("error like '%a%'", "error not like 'a%'", "error = 'a'", "error <> 'a'", "error is not null"),
    ]
)
_CONDITIONS = st.recursive(
    _TESTS,
    lambda some: st.one_of(
        some.map("not ({})".format),
        st.tuples(some, some).map(lambda two: f"({two[0]}) and ({two[1]})"),
        st.tuples(some, some).map(lambda two: f"({two[0]}) or ({two[1]})"),
    ),
    max_leaves=6,
)
_ROWS = st.tuples(
    st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "a", "b", "ba"]), st.sampled_from([None, True, False])
)


@given(_CONDITIONS, st.lists(_ROWS, min_size=1, max_size=12))
def test_it_selects_what_sql_selects(condition: str, rows: list[tuple[int | None, str | None, bool | None]]) -> None:
    """Nulls above all: what is unknown is neither so nor not so."""
    types = {"num_frames": pa.int64(), "error": pa.string(), "is_cut_off": pa.bool_()}
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), types.values(), strict=True)]
    table = pa.table([pa.array(range(len(rows))), *columns], names=["number", *types])
    with sqlite3.connect(":memory:") as database:
        database.execute("create table t (number, num_frames, error, is_cut_off)")
        database.executemany("insert into t values (?, ?, ?, ?)", [(i, *row) for i, row in enumerate(rows)])
        expected = [i for (i,) in database.execute(f"select number from t where {condition} order by number")]
    assert select(table, condition)["number"].to_pylist() == expected


@pytest.mark.parametrize(
    ("condition", "ids"),
    [("texts = 'a'", "a"), ("not texts = 'a'", "cf"), ("texts not in ('a')", "cf"), ("texts is null", "e")],
)
def test_nulls_in_lists(condition: str, ids: str) -> None:
    """Unknown unless an entry fits: an unknown entry might."""
    lists = [["a", None], ["b", None], ["b"], [None], None, []]
    table = pa.table({"id": list("abcdef"), "texts": pa.array(lists, pa.list_(pa.string()))})
    assert "".join(select(table, condition)["id"].to_pylist()) == ids
    assert "".join(select(table.slice(1), condition)["id"].to_pylist()) == ids.replace("a", "")


_WORDS = st.one_of(
    st.sampled_from([*TABLE.column_names, *"(),=<>-\\'%", "and", "or", "not", "in", "like", "is", "null", "true"]),
    st.sampled_from(["'a'", "'%'", "''", "'\ud800'", "<=", "<>", "!=", "1", "-1", "2.5", "1e400", "9" * 30]),
    st.text(max_size=3),
)


@given(st.lists(_WORDS, max_size=12).map(" ".join) | st.text(max_size=40))
@example("(" * 5000 + "is_cut_off" + ")" * 5000)
@example("not " * 5000 + "is_cut_off")
@example("(" * 200_000)
@example("env like '" + "%a_" * 100_000 + "'")
@example("env = '" + "a" * 1_000_000)
@example("env = '\ud800'")
def test_whatever_it_is_it_selects_or_is_one_short_sentence(condition: str) -> None:
    sentence = ""
    try:
        assert select(TABLE, condition).num_rows <= TABLE.num_rows
    except UserError as error:
        sentence = str(error)
    assert not sentence or "cannot be understood" in sentence
    assert len(sentence) < 5000


def test_parentheses_may_be_nested_and_be_many() -> None:
    condition = "(" * 50 + "env = 'quake'" + ")" * 50
    assert select(TABLE, " or\n".join([condition] * 20))["id"].to_pylist() == ["a", "c"]
