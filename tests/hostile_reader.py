"""A process that reads what others made, within limits: `HostileReader`, for tests that attack every reader.

The child reads a place by the name of a reader and tells what came of it: the sentences, the exception that got out,
and by how much its peak of memory grew. One child serves many examples; one that dies or hangs is an outcome too.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import re
import resource
import shutil
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TIMEOUT_S = 250.0  # only ends what hangs, before pytest does
_ROOM_BYTES = 3 << 30  # of address space, beyond what the child has when it begins: it protects the machine


def read_recordings(folder: Path) -> Iterator[str]:
    """Everything that reads recordings in a folder; every one of them goes on with the good ones."""
    from eyehand.action_space import P2P
    from eyehand.data.check import CheckLimits, check
    from eyehand.data.dataset import load_dataset
    from eyehand.data.indexing import build_index
    from eyehand.data.reencode import Settings, reencode
    from eyehand.data.sources import find_recordings_at
    from eyehand.errors import UserError
    from eyehand.formats.lerobot_export import export_lerobot
    from eyehand.jobs.local import LocalEngine
    from eyehand.pages.recording_page import write_page
    from eyehand.recording.inspect import inspect

    out = folder.with_name("out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    inspection = inspect(folder)
    json.dumps(inspection.to_json(), allow_nan=False)
    yield from inspection.problems
    write_page(inspection.reports, out / "page.html", "captured", 10_000_000, lambda sentence: None)
    located = {each.name: each.files for each in find_recordings_at(str(folder)).recordings if each.files is not None}
    found = [*located.items()]
    for verdict in check(found, CheckLimits()):
        yield from verdict.reasons
    for row in build_index([str(folder)], out / "index.parquet", say=lambda sentence: None):
        yield row.error or ""
    for data in (out / "index.parquet", folder):
        dataset = load_dataset([data], P2P)
        try:
            dataset.loaded()
        except UserError as error:
            raise AssertionError("a recording is taken whose actions cannot be read") from error
        for number, episode in enumerate(dataset.episodes):
            with contextlib.suppress(UserError):  # damage in the middle of a video shows only now
                dataset.decode(number, 0, episode.num_steps)
    for done in reencode(located, out / "made", Settings(small_only=True), LocalEngine()):
        yield done.error or ""
    yield from export_lerobot(found, out / "exported").problems


def read_archive(path: Path) -> Iterator[str]:
    from eyehand.data.indexing import build_index

    out = path.with_name("out")
    shutil.rmtree(out, ignore_errors=True)
    for row in build_index([str(path)], out / "index.parquet", say=lambda sentence: None):
        yield row.error or ""


def read_checkpoint(path: Path) -> Iterator[str]:
    from eyehand.checkpoint import load_checkpoint

    yield load_checkpoint(path).name


def read_ckpt(path: Path) -> Iterator[str]:
    from eyehand.reference.weights import read_reference

    yield str(len(read_reference(path)))


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    "recordings": read_recordings,
    "archive": read_archive,
    "checkpoint": read_checkpoint,
    "ckpt": read_ckpt,
}


class HostileReader:
    """The child. A context manager."""

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Any = None

    def read(self, reader: str, place: Path) -> tuple[list[str], str | None, float]:
        """The sentences of a reader, the traceback of what it should not have raised, and its megabytes."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        self._connection.send((reader, place))
        try:
            if self._connection.poll(TIMEOUT_S):
                told: tuple[list[str], str | None, float] = self._connection.recv()
                return told
            problem = f"it hangs for {TIMEOUT_S} s"
        except (EOFError, ConnectionError):
            problem = "the process died"
        self.__exit__()
        return [], problem, 0.0

    def __enter__(self) -> HostileReader:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None


def _serve(connection: Connection) -> None:
    from eyehand.errors import UserError

    is_limited = False
    while True:
        try:
            reader, place = connection.recv()
        except EOFError:
            return
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        before, sentences, problem = _status("VmRSS"), [], None
        try:
            sentences.extend(READERS[reader](place))
        except UserError as error:
            sentences.append(str(error))
        except BaseException:
            problem = traceback.format_exc()
        connection.send((sentences, problem, (_status("VmHWM") - before) / (1 << 20)))
        if not is_limited:  # the first, a sound one, loads what is loaded lazily
            limit = _status("VmSize") + _ROOM_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            is_limited = True


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return 1024 * int(found[1])
