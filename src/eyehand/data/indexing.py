"""Makes an index: `build_index` reads every recording of some sources once and resumes a killed run.

    sources --find--> where each recording lies --read--> rows --> INDEX.parquet

    INDEX.parquet           the rows; written last
    INDEX.parquet.kept/     packs of what training needs, for sources that are not read in place (see `archives.py`)
    INDEX.parquet.journal   results so far

Both steps are jobs (`jobs/job.py`): `find` walks an archive, or copies folders into a pack; `read` makes the row of one
recording. Recordings in folders and in plain tars are read in place; .tar.gz is kept, and with `keep` everything is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from eyehand.consent import remember
from eyehand.data.archives import Pack, read_archive
from eyehand.data.index import INDEX_ENDING, IndexRow, places_of, write_index
from eyehand.data.sources import Archive, Located, Source, find_recordings_at, place_of
from eyehand.errors import UserError
from eyehand.foreign import problem_of
from eyehand.jobs.engine import Engine
from eyehand.jobs.job import Job, run_job
from eyehand.jobs.journal import Journal
from eyehand.jobs.local import LocalEngine
from eyehand.progress import Progress, no_progress
from eyehand.recording.file_range import FileRange
from eyehand.recording.format import action_from_message
from eyehand.recording.labels import rate_problem
from eyehand.recording.reader import Recording, RecordingFiles

__all__ = ["build_index"]

_CHUNK = 1 << 20

_PER_PACK = 200
"""Recordings of folders that are copied into one pack: so many as an archive of the reference has."""


@dataclass(frozen=True)
class _Found:
    """A recording, as the journal can hold it.

    Attributes:
        key: its name in the index.
        name, path: its folder in its source, for people, and in full.
        annotation, small: where its files are; None where it cannot be used.
        problem: one sentence on why not.
    """

    key: str
    name: str
    path: str
    annotation: FileRange | None = None
    small: FileRange | None = None
    problem: str | None = None

    @staticmethod
    def of(key: str, located: Located) -> _Found:
        if located.files is None:
            return _Found(key, located.name, "", problem=located.problem or "")
        annotation, small = located.files.annotation, located.files.small
        assert isinstance(annotation, FileRange)
        assert isinstance(small, FileRange)
        return _Found(key, located.name, str(located.files.path), annotation, small)

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True)
class _Place:
    """The work of one process at a time in the `find` step: an archive, or folders to be copied.

    Attributes:
        name: unique among all places.
        archive: None: it is `folders`.
        pack: where annotations and small videos are copied; None: they are read in place.
    """

    name: str
    archive: Archive | None
    folders: tuple[_Found, ...]
    pack: Path | None

    def __str__(self) -> str:
        return self.name


def build_index(
    sources: Sequence[str],
    out: Path,
    *,
    keep: bool = False,
    replace: bool = False,
    engine: Engine | None = None,
    say: Callable[[str], None] = print,
    progress: Progress = no_progress,
) -> list[IndexRow]:
    """Index the recordings of these sources, or resume doing so, and return the rows.

    Args:
        sources: paths and URLs (see `find_recordings_at`).
        out: the Parquet file to write.
        keep: copy what training needs into packs also from plain archives and folders (remote ones, say).
        replace: replace an existing index.
        engine: runs the jobs; the rows do not depend on it. None: this process.
        say: called with one sentence per unusable recording.
        progress: see `progress.py`.

    Raises:
        UserError: nothing to index, nothing usable in it, `out` exists or cannot be written, or it was begun with
            other options.
    """
    if out.suffix != INDEX_ENDING:
        raise UserError(f"The index is a Parquet file: give --out a name that ends in {INDEX_ENDING}.")
    if out.exists() and not replace:
        raise UserError(f"{out} exists: give --replace to make it anew, or another --out.")
    out = Path(os.path.abspath(out))  # the rows name what is kept beside it, and are read from other folders
    engine = engine or LocalEngine()
    found = [find_recordings_at(source) for source in sources]
    kept = out.with_name(out.name + ".kept")

    def begin() -> None:  # whatever an older index kept is not this one's
        out.unlink(missing_ok=True)
        shutil.rmtree(kept, ignore_errors=True)

    with Journal(out.with_name(out.name + ".journal"), {"sources": list(sources), "keep": keep}, begin) as journal:
        places = {place.name: place for source in found for place in _places(source, kept, keep)}
        located = run_job(_FIND, places, engine, journal, progress)
        everything = [each for several in located.values() for each in several]
        everything += [] if keep else [each for source in found for each in _folders(source)]
        usable = {each.key: each for each in everything if each.problem is None}
        rows = list(run_job(_READ, usable, engine, journal, progress).values())
        rows += [_refused(each, each.problem) for each in everything if each.problem is not None]
        rows = sorted(_without_twins(rows), key=lambda row: (row.id, row.source))
        for row in rows:
            if row.error is not None:
                say(row.error if row.source in row.error else f"{row.source}: {row.error}")
        is_usable = any(row.error is None for row in rows)
        if is_usable:
            write_index(rows, out)
            for place in places_of(rows):  # the user has named them
                remember(f"contact {place}")
        else:
            shutil.rmtree(kept, ignore_errors=True)
        journal.remove()
    if not is_usable:
        raise UserError(f"None of the {len(rows)} recordings can be used: see the reasons above.")
    return rows


def _folders(source: Source) -> list[_Found]:
    return [_Found.of(place_of(located, source.url), located) for located in source.recordings]


def _places(source: Source, kept: Path, keep: bool) -> Iterator[_Place]:
    """The archives and folders of a source for the `find` step."""
    for archive in source.archives:
        pack = kept / _pack_name(archive.url) if keep or archive.is_compressed else None
        yield _Place(archive.url, archive, (), pack)
    folders = _folders(source) if keep else []
    for start in range(0, len(folders), _PER_PACK):
        name = source.url if start == 0 else f"{source.url} from {start}"
        yield _Place(name, None, tuple(folders[start : start + _PER_PACK]), kept / _pack_name(name))


def _find(place: _Place) -> list[_Found]:
    """The recordings at a place, and the ranges of their files.

    Raises:
        UserError: the pack cannot be written.
    """
    if place.pack is None:
        return list(_recordings(place, None))
    with Pack(place.pack) as pack:
        found = list(_recordings(place, pack))
        pack.finish()
    return found


def _recordings(place: _Place, pack: Pack | None) -> Iterator[_Found]:
    if place.archive is None:
        assert pack is not None
        yield from (_copied(each, pack) for each in place.folders)
        return
    for located in read_archive(place.archive, pack):
        yield _Found.of(f"{place.archive.url}!{located.name}", located)


def _copied(found: _Found, pack: Pack) -> _Found:
    """The same recording, its files copied into the pack."""
    kept: list[FileRange] = []
    for file in filter(None, (found.annotation, found.small)):
        try:
            with file.open() as content:
                size = content.seek(0, os.SEEK_END)
                content.seek(0)
                kept.append(pack.add(f"{found.name}/{Path(file.url).name}", content, size))
        except FileNotFoundError:
            problem = f"Its {Path(file.url).name} is missing: the recording is incomplete."
            return _Found(found.key, found.name, "", problem=problem)
        except UserError:  # the pack cannot be written
            raise
        except Exception as error:
            return _Found(found.key, found.name, "", problem=str(problem_of(file, error)))
    return replace(found, annotation=kept[0], small=kept[1]) if kept else found


def _pack_name(url: str) -> str:
    """A readable name that is unique to the place."""
    stem = Path(url).name.split(".")[0] or "root"
    return f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.tar"


def _read(found: _Found) -> IndexRow:
    """The row of one recording."""
    assert found.annotation is not None
    assert found.small is not None
    try:
        return _row(RecordingFiles(Path(found.path), found.annotation, found.small, None), found.key)
    except Exception as error:
        return _refused(found, str(problem_of(found.path, error)))


def _refused(found: _Found, problem: str) -> IndexRow:
    return IndexRow(found.name, found.key, problem)


def _row(files: RecordingFiles, source: str) -> IndexRow:
    """Read one recording.

    Raises:
        UserError: it cannot be used.
    """
    with Recording.open(files) as recording:
        info, num_frames = recording.info, recording.num_frames
        problem = rate_problem(info.fps)
        if problem is not None:
            raise UserError(problem)
        instructions = {text for text in recording.instructions if text}
        annotators: set[str] = set()
        num_user = num_system = 0
        for annotation in recording.annotations:  # every action, as training will read it, or it is not indexed
            num_user += action_from_message(annotation.user_action) is not None
            num_system += action_from_message(annotation.system_action) is not None
            annotators.update(text.frame_text_annotator.version for text in annotation.frame_text_annotation)
        problems = recording.problems
    assert isinstance(files.annotation, FileRange)
    assert isinstance(files.small, FileRange)
    annotation_sha256, annotation_size = _checksum(files.annotation)
    video_sha256, video_size = _checksum(files.small)
    row = IndexRow(
        id=info.id or files.path.name,
        source=source,
        env=info.env,
        env_subtype=info.env_subtype,
        env_version=info.env_version,
        user=info.user,
        fps=info.fps,
        num_frames=num_frames,
        seconds=num_frames / info.fps,
        user_share=num_user / num_frames,
        system_share=num_system / num_frames,
        texts=tuple(sorted(instructions)),
        annotators=tuple(sorted(annotators)),
        problems=problems,
        is_cut_off=recording.is_cut_off,
        annotation_url=files.annotation.url,
        annotation_offset=files.annotation.offset,
        annotation_size=annotation_size,
        annotation_sha256=annotation_sha256,
        video_url=files.small.url,
        video_offset=files.small.offset,
        video_size=video_size,
        video_sha256=video_sha256,
    )
    _check_text(row)
    return row


def _check_text(row: IndexRow) -> None:
    for name, value in asdict(row).items():
        if isinstance(value, str) and len(value) > 100_000:
            raise UserError(f"Its {name} is {len(value):,} characters long: the annotation is damaged.")


def _checksum(file: FileRange) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with file.open() as content:
        while data := content.read(_CHUNK):
            digest.update(data)
            size += len(data)
    return digest.hexdigest(), size


def _without_twins(rows: Sequence[IndexRow]) -> Iterator[IndexRow]:
    """The rows, with an error for usable recordings whose id an earlier one has."""
    first: dict[str, IndexRow] = {}
    for row in rows:
        if row.error is not None:
            yield row
        elif row.id in first:
            yield IndexRow(row.id, row.source, f"It has the same id as {first[row.id].source}, which is used instead.")
        else:
            first[row.id] = row
            yield row


_FIND: Job[_Place, list[_Found]] = Job(
    name="find",
    function=_find,
    given_up=lambda place, problem: [_Found(place.name, place.name, "", problem=problem)],
    is_final=lambda several: all(each.problem is None for each in several),
    kind=list[_Found],
)

_READ: Job[_Found, IndexRow] = Job(
    name="read",
    function=_read,
    given_up=_refused,
    is_final=lambda row: row.error is None,
    kind=IndexRow,
)
