"""`Journal`: the finished results of a job, on disk, from which a killed run resumes.

One JSON line per result, each in one write; an incomplete last line is removed. The first line holds the job's options:
a run with other options is refused. A journal is locked by one run at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from eyehand.errors import UserError, unwritable
from eyehand.folder_lock import locked, open_lockable

__all__ = ["Journal"]

_BEGINNING = b'{"options": '
"""Of every journal: another file at its place is not written to."""


class Journal:
    """The results of a job by key. A context manager; every method raises UserError when the disk is full.

    Attributes:
        path: of the file.
        results: of this and earlier runs.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], begin: Callable[[], None] | None = None) -> None:
        """The journal of a job with these options (JSON values); `begin` is called when there is none yet."""
        self.path = path
        self.results: dict[str, Any] = {}
        self._options = json.loads(json.dumps(dict(options)))
        self._begin = begin
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open_lockable(self.path)  # closed in __exit__
            if not locked(self._file):
                raise UserError(f"Another run is busy with {self.path}: wait for its end.")
            lines = self._whole_lines()
            if not lines:
                if self._begin is not None:
                    self._begin()
                self._write({"options": self._options})
            self.results = {line["key"]: line["result"] for line in lines if "key" in line}
        except OSError as error:
            self.__exit__()
            raise unwritable(self.path, error) from error
        except UserError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, key: str, result: object) -> None:
        """Append a result, a JSON value."""
        self._write({"key": key, "result": result})
        self.results[key] = result

    def remove(self) -> None:
        """Delete the journal of a finished job, while it is locked: no other run begins with it."""
        if os.name != "posix":
            self.__exit__()  # Windows deletes no open file
        self.path.unlink(missing_ok=True)

    def _whole_lines(self) -> list[dict[str, Any]]:
        """The lines of earlier runs; an incomplete last line is truncated."""
        assert self._file is not None
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        try:
            if not whole and not data.startswith(_BEGINNING[: len(data)]):
                raise ValueError("another file")
            lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise UserError(f"{self.path} is damaged or no journal: remove it to start anew.") from error
        if lines and lines[0] != {"options": self._options}:
            raise UserError(
                f"{self.path} was begun with other sources or options: give the same again to go on, or remove it to "
                "start anew."
            )
        self._file.truncate(len(whole))  # now that it is known to be a journal
        return lines

    def _write(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        data = json.dumps(line).encode() + b"\n"
        try:
            if self._file.write(data) != len(data):
                raise OSError("no space left for a whole line")
        except OSError as error:
            raise unwritable(self.path, error) from error
