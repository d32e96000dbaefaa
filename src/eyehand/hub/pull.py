"""A data set from a hub or any file system: `pull`, resumable, checksummed, retried.

The manifest says what belongs to it. Files are fetched into a hidden folder beside the target, going on within a file
where a killed pull left off, and each is compared with its SHA-256 before it counts. Only when all of them are there do
they move to the target: nobody ever trains on half of a recording.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.foreign import read_at_most, read_regular
from eyehand.formats.found_files import file_digest
from eyehand.hub.manifest import MANIFEST_FILE, MOST_MANIFEST_BYTES, FileFacts, parse_manifest
from eyehand.hub.retry import Wait, retried
from eyehand.hub.store import Store, part_name
from eyehand.progress import Progress, no_progress
from eyehand.recording.reader import is_hidden
from eyehand.replaced import replaced
from eyehand.safe_path import SafePath, resolve_inside

__all__ = ["PullReport", "pull", "staging_beside"]

_BLOCK = 1 << 20
_NUM_FETCHES = 2  # of a file whose content was wrong the first time


@dataclass(frozen=True)
class PullReport:
    """What came of a pull: files and bytes of the data set, and how many of the files had to be fetched."""

    num_files: int
    num_bytes: int
    num_fetched: int


def staging_beside(target: Path) -> Path:
    """Where an unfinished pull into this folder keeps what it has."""
    return target.with_name(f".{target.name}.pulling")


def pull(
    store: Store,
    target: Path,
    without_manifest: bool = False,
    wait: Wait = time.sleep,
    progress: Progress = no_progress,
) -> PullReport:
    """Fetch a data set into a folder. What is in the folder already and right is not fetched again.

    Args:
        store: where it lies.
        target: the folder; made if missing. Other files in it are left alone: of those that are there, only what an
            earlier pull put there, unchanged, is replaced.
        without_manifest: fetch whatever is there, for data sets that were not pushed by us. Only their sizes are
            compared, and checksums where the store knows them (a hub does, of large files).
        wait: sleeps between tries.
        progress: see `progress.py`.

    Raises:
        UserError: no data set is there, it is damaged, it cannot be reached, there is no space for it, or a file is in
            its way.
    """
    target = Path(os.path.abspath(target))
    manifest: bytes | None = None
    if without_manifest:
        files = retried(lambda: _listed(store), f"{store.url} cannot be listed", wait)
    else:
        manifest = retried(lambda: _manifest(store), f"{store.url} cannot be read", wait)
        files = parse_manifest(manifest, store.url)
    with alone_in(target, "data pull", beside=True):
        return _pull(store, target, files, manifest, wait, progress)


def _pull(
    store: Store,
    target: Path,
    files: dict[str, FileFacts],
    manifest: bytes | None,
    wait: Wait,
    progress: Progress,
) -> PullReport:
    staging = staging_beside(target)
    try:
        wanted = {name: of for name, of in files.items() if not _is_right(resolve_inside(target, name), of)}
        _check_free(target, resolve_inside(target, MANIFEST_FILE), wanted)
        _check_space(target, staging, wanted)
        _make_private(staging)
        progress("fetching files", 0, len(wanted))
        with ThreadPoolExecutor(store.num_parallel) as pool:
            futures = [pool.submit(_fetch, store, name, of, staging / name, wait) for name, of in wanted.items()]
            try:
                for number, future in enumerate(futures, 1):
                    future.result()
                    progress("fetching files", number, len(wanted))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for name in sorted(wanted, key=lambda name: name.count("/"), reverse=True):
            _move(staging / name, target / name)
        target.mkdir(parents=True, exist_ok=True)
        if manifest is not None:
            with replaced(target / MANIFEST_FILE) as new:
                new.write_bytes(manifest)
        shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"Cannot write to {target} ({reason}): make space or choose another folder, and run the command again; it "
            "goes on where it was."
        ) from error
    return PullReport(len(files), sum(of.size for of in files.values()), len(wanted))


def _manifest(store: Store) -> bytes:
    try:
        with store.open(MANIFEST_FILE) as file:
            return read_at_most(file, MOST_MANIFEST_BYTES, f"{store.url}/{MANIFEST_FILE}")
    except FileNotFoundError as error:
        raise UserError(
            f"{store.url} holds no {MANIFEST_FILE}: nothing was pushed there, or a push is not finished; if others put "
            "it there, give --without-manifest."
        ) from error


def _listed(store: Store) -> dict[str, FileFacts]:
    """What a store lists, without hidden files."""
    files: dict[str, FileFacts] = {
        SafePath(name, store.url): FileFacts(of.size, of.sha256 or "")
        for name, of in store.files().items()
        if not is_hidden(name)
    }
    if not files:
        raise UserError(f"There is nothing at {store.url}: check the address.")
    return files


def _is_right(path: Path, facts: FileFacts) -> bool:
    if not path.is_file() or path.stat().st_size != facts.size:
        return False
    return not facts.sha256 or file_digest(path) == facts.sha256


def _check_free(target: Path, file: Path, wanted: dict[str, FileFacts]) -> None:
    """Refuse to replace what no pull put there, as the manifest in `file` says, or what was changed since."""
    there = [name for name in wanted if (target / name).exists()]
    if not there:
        return
    pulled: dict[str, FileFacts] = {}
    with contextlib.suppress(FileNotFoundError, UserError):  # missing or damaged: then nobody knows
        pulled = parse_manifest(read_regular(file, MOST_MANIFEST_BYTES), str(target))
    own = [name for name in there if name not in pulled or not _is_right(target / name, pulled[name])]
    if own:
        names = ", ".join(own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "")
        raise UserError(
            f"{target} has files of its own that this would replace ({names}): move them away, or pull elsewhere."
        )


def _make_private(staging: Path) -> None:
    """Make the staging folder, or see that nobody else can have put links into it."""
    try:
        staging.mkdir(mode=0o700)
    except FileExistsError:
        status = os.lstat(staging)
        is_ours = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
        if not stat.S_ISDIR(status.st_mode) or not is_ours:
            raise UserError(f"{staging} is no folder that you alone may write: remove it, or pull elsewhere.") from None


def _check_space(target: Path, staging: Path, wanted: dict[str, FileFacts]) -> None:
    """Say at once that there is no space, not after hours."""
    place = next(parent for parent in target.absolute().parents if parent.exists())
    there = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    needed, free = sum(of.size for of in wanted.values()) - there, shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"{target} needs {needed:,} more bytes and {free:,} are free: make space or choose another folder."
        )


def _fetch(store: Store, name: str, facts: FileFacts, path: Path, wait: Wait) -> None:
    """Fetch a file into the staging folder, going on where an earlier try ended."""
    if _is_right(path, facts):
        return
    part = path.with_name(part_name(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_NUM_FETCHES):
        retried(lambda: _read_on(store, name, facts.size, part), f"{store.url}/{name} cannot be read", wait)
        if _is_right(part, facts):
            os.replace(part, path)
            return
        part.unlink()  # what was there before, or what came, is wrong: from the beginning
    raise UserError(f"{store.url}/{name} is damaged: its size or SHA-256 is not what it should be; push it again.")


def _read_on(store: Store, name: str, size: int, part: Path) -> None:
    with open(part, "ab", buffering=0) as target, store.open(name) as source:
        if target.tell() > size:
            target.truncate(target.seek(0))
        source.seek(target.tell())
        while target.tell() < size:
            block = source.read(min(_BLOCK, size - target.tell()))
            if not block:
                return  # shorter than it should be: the hash will say so
            try:
                if target.write(block) != len(block):
                    raise OSError("no space left for all of it")
            except OSError as error:
                reason = error.strerror or str(error)
                raise UserError(f"Cannot write {part} ({reason}): make space and run the command again.") from error


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)
