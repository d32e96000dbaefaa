"""A data set to a hub or any file system: `push`, resumable, checksummed, retried.

Every file is hashed, those that the store lacks are uploaded, then the card (README.md) and last the manifest, by
which those who pull see the new state at once. What is up is noted in a journal beside the source: a push that was
killed goes on when the same command is given again, and hashes nothing twice that did not change.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError
from eyehand.foreign import read_at_most
from eyehand.formats.found_files import file_digest
from eyehand.hub.manifest import MANIFEST_FILE, MOST_MANIFEST_BYTES, FileFacts, parse_manifest, serialise_manifest
from eyehand.hub.retry import Wait, retried
from eyehand.hub.store import Store, StoredFile
from eyehand.jobs.journal import Journal
from eyehand.progress import Progress, no_progress
from eyehand.recording.reader import is_hidden
from eyehand.safe_path import resolve_inside

__all__ = ["CARD_FILE", "PushReport", "journal_beside", "push"]

CARD_FILE = "README.md"


@dataclass(frozen=True)
class PushReport:
    """What came of a push: files and bytes of the data set, and how many of the files had to be uploaded."""

    num_files: int
    num_bytes: int
    num_uploaded: int


def journal_beside(source: Path) -> Path:
    """Where a push of this folder notes what is up, until it is done."""
    source = Path(os.path.abspath(source))  # "." has no name
    return source.with_name(source.name + ".push-journal")


def push(
    source: Path,
    store: Store,
    card: str,
    verify: bool = False,
    wait: Wait = time.sleep,
    progress: Progress = no_progress,
) -> PushReport:
    """Upload a folder.

    Args:
        source: the folder; hidden files and folders in it stay here, and links that lead out of it are refused.
        store: where to.
        card: README.md of the data set; not uploaded where the folder has one of its own.
        verify: read every uploaded file back and compare it.
        wait: sleeps between tries.
        progress: see `progress.py`.

    Raises:
        UserError: the folder holds no files or changes meanwhile, or the store cannot be reached or written.
    """
    names = _names(source)
    if not names:
        raise UserError(f"{source} holds no files: give a folder of recordings.")
    journal = _Journal(journal_beside(source), store.url)
    with journal:
        facts = {name: journal.facts_of(name, source / name) for name in names}
        stored = retried(store.files, f"{store.url} cannot be listed", wait)
        known = _known(store, stored, journal, wait)
        missing = [name for name in names if not _is_there(name, facts[name], stored, known)]
        batches = [missing[first : first + store.batch_size] for first in range(0, len(missing), store.batch_size)]

        def upload(batch: Sequence[str]) -> Sequence[str]:
            files = [(name, source / name) for name in batch]
            retried(lambda: store.put(files), f"{store.url} cannot be written", wait)
            for name in batch:
                if journal.is_changed(name, source / name):
                    raise UserError(
                        f"{source / name} changed while it was uploaded: push again when nobody writes to it."
                    )
                if verify:
                    _verify(store, name, facts[name], wait)
            return batch

        progress("uploading", 0, len(batches))
        with ThreadPoolExecutor(store.num_parallel) as pool:
            futures = [pool.submit(upload, batch) for batch in batches]
            try:
                for number, future in enumerate(futures, 1):
                    for name in future.result():
                        journal.note_uploaded(name, facts[name])
                    progress("uploading", number, len(batches))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        _finish(store, facts, card, wait)
        journal.remove()
    return PushReport(len(names), sum(of.size for of in facts.values()), len(missing))


def _names(source: Path) -> list[str]:
    """Paths of all files, with slashes, sorted; nothing hidden, and not the manifest of an earlier pull."""
    if not source.is_dir():
        raise UserError(f"{source} is no folder: give a folder of recordings or a data set.")
    paths = (path.relative_to(source) for path in source.rglob("*") if path.is_symlink() or not path.is_dir())
    names = sorted({path.as_posix() for path in paths} - {MANIFEST_FILE})
    names = [name for name in names if not is_hidden(name)]
    for name in names:
        resolve_inside(source, name)  # nothing that a link leads to elsewhere is uploaded
        if name.startswith((f"{CARD_FILE}/", f"{MANIFEST_FILE}/")):
            raise UserError(f"{source}/{name} cannot be pushed: its folder has the name of a file that push adds.")
    return names


def _known(store: Store, stored: dict[str, StoredFile], journal: _Journal, wait: Wait) -> dict[str, str]:
    """The SHA-256 of what is in the store, from its manifest and from what this journal saw going up since."""
    known: dict[str, str] = {}
    if MANIFEST_FILE in stored:
        data = retried(lambda: _read(store, MANIFEST_FILE), f"{store.url} cannot be read", wait)
        known = {name: of.sha256 for name, of in parse_manifest(data, store.url).items()}
    return {**known, **journal.uploaded}


def _is_there(name: str, facts: FileFacts, stored: dict[str, StoredFile], known: dict[str, str]) -> bool:
    there = stored.get(name)
    return there is not None and there.size == facts.size and (there.sha256 or known.get(name)) == facts.sha256


def _verify(store: Store, name: str, facts: FileFacts, wait: Wait) -> None:
    def digest() -> str:
        with store.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

    if retried(digest, f"{store.url}/{name} cannot be read", wait) != facts.sha256:
        raise UserError(f"{store.url}/{name} came out differently: the store is not to be trusted, push elsewhere.")


def _finish(store: Store, facts: dict[str, FileFacts], card: str, wait: Wait) -> None:
    """Upload card and manifest, the manifest last and alone."""
    with tempfile.TemporaryDirectory() as folder:
        complete = dict(facts)
        if CARD_FILE not in facts:
            path = Path(folder) / CARD_FILE
            path.write_text(card, encoding="utf-8")
            complete[CARD_FILE] = FileFacts(path.stat().st_size, file_digest(path))
            retried(lambda: store.put([(CARD_FILE, path)]), f"{store.url} cannot be written", wait)
        manifest = Path(folder) / MANIFEST_FILE
        manifest.write_bytes(serialise_manifest(complete))
        retried(lambda: store.put([(MANIFEST_FILE, manifest)]), f"{store.url} cannot be written", wait)


def _read(store: Store, name: str) -> bytes:
    with store.open(name) as file:
        return read_at_most(file, MOST_MANIFEST_BYTES, f"{store.url}/{name}")


class _Journal(Journal):
    """Hashes of the files (`hashed NAME`: size, mtime in ns, SHA-256) and what is up (`uploaded URL NAME`: SHA-256)."""

    def __init__(self, path: Path, url: str) -> None:
        super().__init__(path, {})
        self._up = f"uploaded {url} "

    @property
    def uploaded(self) -> dict[str, str]:
        """The SHA-256 of what went up to this store, by name."""
        return {key.removeprefix(self._up): of for key, of in self.results.items() if key.startswith(self._up)}

    def facts_of(self, name: str, path: Path) -> FileFacts:
        """Size and hash of a file, from the journal if the file did not change since."""
        if f"hashed {name}" not in self.results or self.is_changed(name, path):
            status = path.stat()
            self.add(f"hashed {name}", [status.st_size, status.st_mtime_ns, file_digest(path)])
        size, _, sha256 = self.results[f"hashed {name}"]
        return FileFacts(size, sha256)

    def is_changed(self, name: str, path: Path) -> bool:
        """Whether somebody wrote to a file since it was hashed."""
        status = path.stat()
        return bool(self.results[f"hashed {name}"][:2] != [status.st_size, status.st_mtime_ns])

    def note_uploaded(self, name: str, facts: FileFacts) -> None:
        self.add(self._up + name, facts.sha256)
