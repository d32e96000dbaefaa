"""How recordings of other formats become ours: an `Importer` reads, `import_recordings` writes.

    Importer.sources()        what can be imported on its own: a pair of files, a file, a data set
    Importer.takes(source)    what is in it: `Take`s, each of which becomes one recording
    Take.moments              the take tick by tick, 20 a second, as RecordingWriter.add wants it

A new format is one module with one Importer and one class of options in `import_formats`. An importer writes nothing.
It says in `losses` what does not survive, which is printed and kept in the recording (change log, `eyehand.imported`),
and raises UserError with one sentence where a source is damaged, or yields it in the place of one take of several;
whatever else it raises becomes such a sentence here, and the other takes and sources are imported.
A recording appears in the output folder whole or not at all: it is made in a hidden folder beside and renamed. Its id
depends on the content that it was made from alone, so importing again skips what is there: an import that was
interrupted is resumed by giving the same command.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from eyehand.clock import SECOND_NS
from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.foreign import problem_of
from eyehand.frame import Frame
from eyehand.input_event import InputEvent
from eyehand.jobs.engine import Engine
from eyehand.jobs.local import LocalEngine
from eyehand.player import Decision
from eyehand.progress import Progress, no_progress
from eyehand.recording.format import MAX_FRAMES, RecordingInfo
from eyehand.recording.labels import rate_problem
from eyehand.recording.reader import Recording
from eyehand.recording.writer import Embed, RecordingWriter
from eyehand.safe_path import SafeName

__all__ = ["IMPORTED", "ImportReport", "ImportedFrame", "Importer", "Take"]
__all__ += ["import_recordings", "laid_out", "recording_id"]

IMPORTED = "eyehand.imported"
"""Change id of the entry that says where a recording came from: JSON with `format`, `source`, `losses`, `notes`."""

_STAGING = ".importing-"
_MOST_SAID = 200  # characters of an exception, which may hold any amount of the file
_MOST_NOTE = 2000  # characters
_MIN_SIDE, _MAX_SIDE = 1, 8192
_MAX_GAP_NS = 3600 * SECOND_NS


@dataclass(frozen=True, slots=True)
class ImportedFrame:
    """One tick of a take.

    Attributes:
        frame: the picture, any size (all of a take have the same), and when it was seen.
        executed: what was done between the picture before and THIS one; ignored for the first.
        instruction: what is to be done at this picture; None: nothing was said.
        events: the raw input events between the picture before and this one, on the clock of `frame.time_ns`; None: the
            source has none.
    """

    frame: Frame
    executed: Decision | None
    instruction: str | None = None
    events: Sequence[InputEvent] | None = None


@dataclass(frozen=True)
class Take:
    """What becomes one recording.

    Attributes:
        info: what it is of; its id from `recording_id`, or a SafeName from the data.
        moments: tick by tick, lazily; raises UserError where the source turns out damaged.
        outcome: facts of how it ended (`score`...); read after the last moment, so it may be filled in until then.
        notes: sentences on what is odd or lost in this one, read after the last moment too.
    """

    info: RecordingInfo
    moments: Iterator[ImportedFrame]
    outcome: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Importer(Protocol):
    """Reads one format.

    Attributes:
        format: its name on the command line.
        losses: sentences on what the format has and a recording cannot hold, or the other way round.
    """

    @property
    def format(self) -> str: ...

    @property
    def losses(self) -> tuple[str, ...]: ...

    def sources(self) -> Sequence[str]:
        """What can be imported on its own, in a fixed order.

        Raises:
            UserError: nothing of this format is there.
        """
        ...

    def takes(self, source: str) -> Iterator[Take | UserError]:
        """The takes of one source, or why one of them cannot be imported. The moments of one are drawn before the next
        take is asked for.

        Raises:
            UserError: it is damaged, or no such thing.
        """
        ...


@dataclass
class ImportReport:
    """What came of an import.

    Attributes:
        written: folders of the new recordings.
        skipped: folders that were there already.
        problems: what could not be imported, a sentence each.
        notes: of each new recording that has any: its folder and its notes.
        num_frames: of the new recordings.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[tuple[Path, tuple[str, ...]]] = field(default_factory=list)
    num_frames: int = 0


def recording_id(format_name: str, *parts: str) -> str:
    """The id of a recording that was made from this: the same on every machine and at every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "eyehand-import:" + "\n".join((format_name, *parts))))


@contextmanager
def laid_out(where: str, whose: str) -> Iterator[None]:
    """What an importer raises in here, other than a sentence, is because its source is not laid out as it should be.

    Raises:
        UserError: it raised.
    """
    try:
        yield
    except (UserError, _CannotWriteError):
        raise
    except (OSError, MemoryError) as error:
        raise problem_of(where, error) from error
    except Exception as error:
        what = repr(error)[:_MOST_SAID]
        raise UserError(
            f"{where} is not laid out as {whose} recordings are ({what}): fetch it again or leave it out."
        ) from error


def import_recordings(
    importer: Importer,
    out: Path,
    embed: Embed | None = None,
    progress: Callable[[str, str | None], None] = lambda source, problem: None,
    shown: Progress = no_progress,
    engine: Engine | None = None,
) -> ImportReport:
    """Import everything into the folder `out`, one folder per take.

    A damaged source is reported and passed over. Where `out` cannot be written the import stops.

    Args:
        importer: reads the sources; picklable.
        out: made if missing.
        embed: gives the text embeddings to store with every instruction; picklable.
        progress: is told of every source that is done, and why it could not be imported, if so.
        shown: see `progress.py`.
        engine: who does it, source by source; the recordings do not depend on it. None: this process.

    Raises:
        UserError: there is nothing of this format, or `out` cannot be written (disk full, no permission), or another
            import is busy with it.
    """
    items = [_Item(importer, source, out, embed) for source in importer.sources()]
    reports: dict[int, ImportReport] = {}
    with alone_in(out, f"import {importer.format}"):
        for staging in out.glob(f"{_STAGING}*"):  # of an import that was killed
            shutil.rmtree(staging, ignore_errors=True)
        shown("importing", 0, len(items))
        for done in (engine or LocalEngine()).run(_import_source, items):
            report = done.result or ImportReport(problems=[str(done.problem)])
            reports[done.number] = report
            for problem in report.problems:
                progress(done.item.source, problem)
            if not report.problems:
                progress(done.item.source, None)
            shown("importing", len(reports), len(items))
    return _joined([reports[number] for number in range(len(items))])


@dataclass(frozen=True)
class _Item:
    importer: Importer
    source: str
    out: Path
    embed: Embed | None

    def __str__(self) -> str:
        return self.source


def _import_source(item: _Item) -> ImportReport:
    """Import one source.

    Raises:
        UserError: the output folder cannot be written.
    """
    report = ImportReport()
    takes: Iterator[Take | UserError] | None = None
    while True:
        try:
            with laid_out(item.source, f"{item.importer.format}'s"):
                takes = takes or item.importer.takes(item.source)
                take = next(takes, None)
                if take is None:
                    return report
                if isinstance(take, UserError):
                    raise take
                _import_take(item.importer, item.source, take, item.out, item.embed, report)
        except _CannotWriteError as error:
            raise _cannot_write(item.out, error) from error
        except UserError as error:
            if str(error) not in report.problems:  # a file that is missing is missing for many takes
                report.problems.append(str(error))
            if takes is None:
                return report


def _joined(reports: Sequence[ImportReport]) -> ImportReport:
    return ImportReport(
        [path for report in reports for path in report.written],
        [path for report in reports for path in report.skipped],
        [problem for report in reports for problem in report.problems],
        [note for report in reports for note in report.notes],
        sum(report.num_frames for report in reports),
    )


def _cannot_write(out: Path, what: object) -> UserError:
    return UserError(
        f"Cannot write to {out} ({what}): make space or choose another folder, and run the command again; it goes on "
        "after the recordings that are complete."
    )


class _CannotWriteError(Exception):
    """The output folder's fault, not the source's: it would hit every source after this one too."""


def _import_take(
    importer: Importer, source: str, take: Take, out: Path, embed: Embed | None, report: ImportReport
) -> None:
    final = out / SafeName(take.info.id, source)
    problem = rate_problem(take.info.fps)
    if problem is not None:
        raise UserError(f"{source}: {problem}")
    if final.exists():
        report.skipped.append(final)
        return
    try:
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=out))
    except OSError as error:
        raise _CannotWriteError(error.strerror or str(error)) from error
    try:
        num_frames = _write(importer, source, take, staging, embed)
        try:
            Recording.open(staging / take.info.id).close()
        except UserError as error:
            what = str(error).rstrip(".")
            raise UserError(f"{source} makes a recording that cannot be read back ({what}): leave it out.") from error
        try:
            (staging / take.info.id).rename(final)
        except OSError as error:
            if not final.exists():
                raise _CannotWriteError(error.strerror or str(error)) from error
            report.skipped.append(final)  # the same source is there twice, and another worker was quicker
            return
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    report.written.append(final)
    report.num_frames += num_frames
    if take.notes:
        report.notes.append((final, _notes(take)))


def _write(importer: Importer, source: str, take: Take, root: Path, embed: Embed | None) -> int:
    """Write a take into root/<id>; returns its number of frames."""
    with _writing():
        writer = RecordingWriter(root, take.info, embed)
    with writer:
        before_ns: int | None = None
        for moment in take.moments:
            if writer.num_frames == MAX_FRAMES:
                raise UserError(f"{source} is longer than {MAX_FRAMES:,} frames: cut it into shorter ones.")
            _check(moment.frame, before_ns, source)
            before_ns = moment.frame.time_ns
            with _writing():
                writer.add(moment.frame, moment.executed, moment.instruction, moment.events)
        if writer.num_frames == 0:
            raise UserError(f"{source} holds no frames: leave it out.")
        odd = next((name for name, value in take.outcome.items() if not math.isfinite(value)), None)
        if odd is not None:
            raise UserError(
                f"{source} ended with {str(odd)[:40]!r} {take.outcome[odd]}, which is no number: leave it out."
            )
        facts = {"format": importer.format, "source": source, "losses": importer.losses, "notes": _notes(take)}
        with _writing():
            writer.note(IMPORTED, facts)
            writer.close(take.outcome)
    return writer.num_frames


def _notes(take: Take) -> tuple[str, ...]:
    """Its notes, none longer than can be read: a source may have a million names that nobody knows."""
    return tuple(note if len(note) <= _MOST_NOTE else f"{note[:_MOST_NOTE]}..." for note in take.notes)


def _check(frame: Frame, before_ns: int | None, source: str) -> None:
    """A frame has a picture of a size that can be encoded, and comes after the one before.

    Raises:
        UserError: it has not, or does not.
    """
    shape = frame.captured.shape
    if len(shape) != 3 or not all(_MIN_SIDE <= side <= _MAX_SIDE for side in shape[:2]):
        raise UserError(
            f"{source} has a picture of the shape {shape}, and sides of {_MIN_SIDE} to {_MAX_SIDE:,} pixels can be "
            "encoded: leave it out."
        )
    if before_ns is not None and not 0 < frame.time_ns - before_ns < _MAX_GAP_NS:
        raise UserError(
            f"{source} has a frame that comes {frame.time_ns - before_ns} ns after the one before: leave it out."
        )


@contextmanager
def _writing() -> Iterator[None]:
    """What a RecordingWriter raises in here is about the output folder."""
    try:
        yield
    except UserError as error:
        cause = error.__cause__
        raise _CannotWriteError((cause.strerror or str(cause)) if isinstance(cause, OSError) else str(error)) from error
