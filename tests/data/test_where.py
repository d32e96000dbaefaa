"""Conditions: what they select, and that nothing else can be said in them."""

from __future__ import annotations

import pyarrow as pa
import pytest

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
        ("num_frames > 6.5 and num_frames < 1e2", "bd"),
        ("is_cut_off", "b"),
        ("not is_cut_off and error is null", "ad"),
        ("is_cut_off = false and error is not null", "c"),
        ("error like '%damaged%'", "c"),
        ("error not like '%damaged%'", "abd"),
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
