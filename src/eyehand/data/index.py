"""The index of a data set: a Parquet file with one row for every recording, usable or not.

`IndexRow` is the row, `read_index` and `write_index` are the file, which is written at once or not at all and names the
version of eyehand that wrote it; one of another version is read if it has the columns that are needed. Training and
checking reach each recording through its row: path, offset and size of its two files. Made by `indexing.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from eyehand.data.decisions import CHECKED_COLUMNS, Decided, decisions_beside, read_decisions
from eyehand.data.where import select
from eyehand.errors import UserError
from eyehand.recording.file_range import FileRange
from eyehand.recording.reader import RecordingFiles
from eyehand.replaced import replaced
from eyehand.version import __version__

__all__ = ["INDEX_ENDING", "IndexRow", "read_index", "write_index"]

INDEX_ENDING = ".parquet"

_VERSION = b"eyehand_version"
"""Key of the file's metadata under which it names the eyehand that wrote it."""

_MERELY_TOLD = ("env_version", "user", "seconds", "system_share", "annotators", "problems", "is_cut_off")
"""Columns that only tell something: an index without them can be used."""


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


def read_index(path: Path, where: str | None = None, *, heed_decisions: bool = True) -> list[IndexRow]:
    """The rows of an index for which a condition holds (see `where.select`).

    Recordings left out have the reasons as their `error` (see `decisions.py`), if `heed_decisions`. Conditions may name
    the check's columns besides the index's own.

    Raises:
        UserError: it is missing, damaged, no index, or lacks what this version needs; or the condition cannot be
            understood.
    """
    if path.is_dir():
        raise UserError(
            f"{path} is a folder and no index: make one with `eyehand data index {path} --out NAME.parquet`."
        )
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: make it with `eyehand data index SRC --out {path}`.") from error
    except pa.ArrowInvalid as error:
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
    return _rows_of(table)


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
        writer = (table.schema.metadata or {}).get(_VERSION, b"of an older version").decode()
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
