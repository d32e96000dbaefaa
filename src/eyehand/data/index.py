"""The index of a data set: a Parquet file with one row for every recording, usable or not.

`IndexRow` is the row, `read_index` and `write_index` are the file, which is written at once or not at all and names the
version of eyehand that wrote it; one of another version is read if it has the columns that are needed. Training and
checking reach each recording through its row: path, offset and size of its two files. Made by `indexing.py`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eyehand.consent import ask_once
from eyehand.data.decisions import CHECKED_COLUMNS, Decided, decisions_beside, read_decisions
from eyehand.data.where import select
from eyehand.errors import UserError
from eyehand.foreign import open_regular
from eyehand.recording.file_range import FileRange
from eyehand.recording.format import MAX_FRAMES
from eyehand.recording.reader import RecordingFiles
from eyehand.replaced import replaced
from eyehand.version import __version__

__all__ = ["INDEX_ENDING", "IndexRow", "places_of", "read_index", "write_index"]

INDEX_ENDING = ".parquet"

_VERSION = b"eyehand_version"
"""Key of the file's metadata under which it names the eyehand that wrote it."""

_MERELY_TOLD = ("env_version", "user", "seconds", "system_share", "annotators", "problems", "is_cut_off")
"""Columns that only tell something: an index without them can be used."""

_MOST_TEXT = 64 << 20
_MOST_TEXT_PER_BYTE = 100
"""Bytes of text that an index may unfold to, and further ones for each of its own; of ours they are five."""


@dataclass(frozen=True)
class IndexRow:
    """One recording: a row of the index.

    Attributes:
        id: unique in the index.
        source: its folder, or its archive and the folder inside.
        error: one sentence on why it cannot be used; None: it can, and the other fields are filled in.
        env, env_subtype, env_version: the game.
        user: who played.
        fps: frames per second, as stated.
        num_frames: frames that have a picture and an annotation.
        seconds: of game time.
        user_share, system_share: of the frames, those whose user's (system's) action is known.
        texts: the distinct instructions; annotators: of these.
        problems: sentences on what looks wrong although it can be used.
        is_cut_off: the recorder stopped before its end.
        annotation_*, video_*: file, offset, size and SHA-256 of annotation and 192x192 video.
    """

    id: str
    source: str
    error: str | None = None
    env: str = ""
    env_subtype: str = ""
    env_version: str = ""
    user: str = ""
    fps: float = 0.0
    num_frames: int = 0
    seconds: float = 0.0
    user_share: float = 0.0
    system_share: float = 0.0
    texts: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    is_cut_off: bool = False
    annotation_url: str = ""
    annotation_offset: int = 0
    annotation_size: int = 0
    annotation_sha256: str = ""
    video_url: str = ""
    video_offset: int = 0
    video_size: int = 0
    video_sha256: str = ""

    @property
    def task(self) -> str:
        """Game and task, for example `doom/aim`."""
        return f"{self.env}/{self.env_subtype}"

    @property
    def files(self) -> RecordingFiles:
        """The ranges of its files."""
        return RecordingFiles(
            Path(self.source),
            FileRange(self.annotation_url, self.annotation_offset, self.annotation_size),
            FileRange(self.video_url, self.video_offset, self.video_size),
            None,
        )


def write_index(rows: Sequence[IndexRow], out: Path) -> None:
    """Write rows as a Parquet file, at once or not at all.

    Raises:
        UserError: it cannot be written.
    """
    schema = _schema().with_metadata({_VERSION: __version__})
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
    with replaced(out) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_index(
    path: Path, where: str | None = None, *, heed_decisions: bool = True, opens: bool = True
) -> list[IndexRow]:
    """The rows of an index for which a condition holds (see `where.select`).

    Recordings left out have the reasons as their `error` (see `decisions.py`), if `heed_decisions`. Conditions may name
    the check's columns besides the index's own. If the recordings are to be opened (`opens`), and lie at places on the
    network that the user has not indexed, the user is asked first: the index may be a stranger's.

    Raises:
        UserError: it is missing, damaged, no index, or lacks what this version needs; the condition cannot be
            understood; or the user does not want these places to be contacted.
    """
    if path.is_dir():
        raise UserError(
            f"{path} is a folder and no index: make one with `eyehand data index {path} --out NAME.parquet`."
        )
    try:
        table = _read_table(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: make it with `eyehand data index SRC --out {path}`.") from error
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{path} cannot be read as an index (it is no whole Parquet file): make it anew.") from error
    except OSError as error:
        what = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"{path} cannot be read as an index ({what}): check the disk and the permissions.") from error
    table = _understood(table, path)
    decided = read_decisions(decisions_beside(path))
    if heed_decisions:
        table = _with_errors(table, decided)
    if where is not None:
        table = select(_with_findings(table, decided), where)
    rows = _rows_of(table)
    for row in rows:
        if row.error is None and (problem := _row_problem(row)) is not None:
            raise UserError(f"{path} says of the recording {row.id} that it has {problem}: make the index anew.")
    if opens:
        for place in sorted(places_of(rows)):
            ask_once(f"contact {place}", f"{path} names recordings at {place}, which is contacted to read them")
    return rows


def places_of(rows: Iterable[IndexRow]) -> set[str]:
    """The places on the network where usable recordings lie, such as `s3://bucket`."""
    urls = {url for row in rows if row.error is None for url in (row.annotation_url, row.video_url) if "://" in url}
    # fsspec chains file systems with "::"; which of them is where, each knows for itself.
    places = {url if "::" in url else "/".join(url.split("/", 3)[:3]) for url in urls}
    return {place for place in places if not place.startswith("memory://")}


def _row_problem(row: IndexRow) -> str | None:
    """Numbers and places that no recording has, as the end of a sentence; None: all can be."""
    if not 1 <= row.num_frames <= min(MAX_FRAMES, row.annotation_size):
        return f"{row.num_frames:,} frames in {row.annotation_size:,} bytes"
    for name, number in {"frames per second": row.fps, "seconds": row.seconds}.items():
        if not (math.isfinite(number) and number >= 0):
            return f"{number} {name}"
    for name, share in {"user": row.user_share, "system": row.system_share}.items():
        if not 0 <= share <= 1:
            return f"{share} of its {name}'s actions"
    if min(row.annotation_offset, row.video_offset, row.video_size) < 0:
        return "a file that begins or ends before its beginning"
    if any(re.match("(file|local):", url) for url in (row.annotation_url, row.video_url)):
        return "a URL for a file of this machine"  # an index of ours has its path, of which only plain files are opened
    return None


def _read_table(path: Path) -> pa.Table:
    """The table in a file; its texts as dictionaries, unless they are so long that they are no texts of recordings."""
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
    facts = pq.read_metadata(path)
    # The columns of a row group say how many values they have, but pyarrow 26 aborts where these facts are damaged.
    if facts.num_rows > 1000 + size:  # of ours every row takes two bytes or more
        raise pa.ArrowInvalid("more rows than its size allows")
    leaves = (facts.schema.column(i) for i in range(facts.num_columns))
    texts = {leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"}
    table = pq.read_table(path, read_dictionary=sorted(texts))
    if sum(map(_text_bytes, table.columns)) > _MOST_TEXT + _MOST_TEXT_PER_BYTE * size:
        raise pa.ArrowInvalid("longer texts than its size allows")
    table.validate(full=True)  # whether texts are UTF-8, for one
    table.column_names  # noqa: B018  # and these
    return table


def _text_bytes(column: pa.ChunkedArray) -> int:
    """How many bytes the texts of a column take when each stands for itself."""
    total = 0
    for chunk in column.chunks:
        values = pc.list_flatten(chunk) if pa.types.is_list(chunk.type) else chunk
        if pa.types.is_dictionary(values.type):
            total += pc.sum(pc.take(pc.binary_length(values.dictionary), values.indices)).as_py() or 0
    return total


def _understood(table: pa.Table, path: Path) -> pa.Table:
    """The columns that this version knows, each of the type that it has here.

    Raises:
        UserError: one that cannot be done without is missing, of another type, or has nulls.
    """
    if not len(table) or not {"id", "source", "error"} <= set(table.column_names):
        raise UserError(f"{path} is no index of recordings: make one with `eyehand data index`.")
    known = [column for column in _schema() if column.name in table.column_names or column.name not in _MERELY_TOLD]
    whole = pa.schema([column.with_nullable(column.name == "error") for column in known])
    try:
        return table.select(whole.names).cast(whole)
    except (KeyError, ValueError, pa.ArrowNotImplementedError) as error:
        writer = (table.schema.metadata or {}).get(_VERSION, b"of an older version").decode(errors="replace")
        lack = str(error.args[0]).splitlines()[0].rstrip(".")
        raise UserError(
            f"{path} was written by eyehand {writer} and lacks what eyehand {__version__} needs ({lack}): "
            f"make it anew with `eyehand data index SRC --out {path} --replace`."
        ) from error


def _rows_of(table: pa.Table) -> list[IndexRow]:
    """The rows, made column by column: twice as fast as by dicts."""
    columns: list[Iterable[Any]] = []
    for one in fields(IndexRow):
        column = table[one.name] if one.name in table.column_names else None
        values = [one.default] * len(table) if column is None else column.to_pylist()
        columns.append(map(tuple, values) if column is not None and pa.types.is_list(column.type) else values)
    return [IndexRow(*values) for values in zip(*columns, strict=True)]


def _with_errors(table: pa.Table, decided: Mapping[str, Decided]) -> pa.Table:
    """The table with the reasons of the recordings left out as their errors."""
    errors = [
        error or (" ".join(decided[source].why_left_out) or None if source in decided else None)
        for source, error in zip(table["source"].to_pylist(), table["error"].to_pylist(), strict=True)
    ]
    return table.set_column(table.schema.get_field_index("error"), "error", pa.array(errors, pa.string()))


def _with_findings(table: pa.Table, decided: Mapping[str, Decided]) -> pa.Table:
    """The table with the columns of the check's measurements and decisions."""
    found = [decided[source].columns if source in decided else {} for source in table["source"].to_pylist()]
    of_type = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    for name, kind in CHECKED_COLUMNS.items():
        table = table.append_column(name, pa.array([each.get(name) for each in found], of_type[kind]))
    return table


def _schema() -> pa.Schema:
    """The columns, from the types of IndexRow."""
    of_type = {
        str: pa.string(),
        str | None: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        tuple[str, ...]: pa.list_(pa.string()),
    }
    hints = get_type_hints(IndexRow)
    return pa.schema([(field.name, of_type[hints[field.name]]) for field in fields(IndexRow)])
