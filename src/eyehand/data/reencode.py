"""Makes the 192x192 videos of recordings anew, so that clips of them decode fast: `reencode`, a job per recording.

    OUT/NAME/annotation.proto   an exact copy
    OUT/NAME/192x192.mp4        encoded as our recorder does, at a quality of your choice; made from video.mp4, through
                                `frame.resize`, where a recording has no small video of the right size
    OUT/NAME/video.mp4          an exact copy, or left out
    OUT/.reencode.journal       results so far; removed at the end

A recording is made in OUT/.partial and moved to its place when it is whole, so that nothing in OUT is ever half.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from eyehand.errors import UserError, unreadable, unwritable
from eyehand.foreign import problem_of
from eyehand.frame import MODEL_SIZE, resize
from eyehand.jobs.engine import Engine
from eyehand.jobs.job import Job, run_job
from eyehand.jobs.journal import Journal
from eyehand.progress import Progress, no_progress
from eyehand.recording.annotation import read_annotation
from eyehand.recording.file_range import FileRange, open_file
from eyehand.recording.format import ANNOTATION_FILE, CAPTURED_FILE, SMALL_FILE, RecordingInfo
from eyehand.recording.reader import Recording, RecordingFiles
from eyehand.recording.video import SMALL, VideoReader, VideoWriter

__all__ = ["Reencoded", "Settings", "reencode", "target_names"]

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Settings:
    """The options of re-encoding.

    Attributes:
        crf: quality of the small video, x264's constant rate factor: 0 is lossless, 18 our recorder's, 51 worst.
        small_only: leave `video.mp4` out; training does not need it.
    """

    crf: int = 18
    small_only: bool = False


@dataclass(frozen=True)
class Reencoded:
    """The result of re-encoding one recording.

    Attributes:
        source: as in the input.
        error: one sentence on why it is not in OUT; None: it is, and the other fields are filled in.
        is_resized: its small video was made from `video.mp4`.
        num_frames: with a picture and an annotation.
        bytes_before, bytes_after: of the video that was read, and of the small one that was written.
    """

    source: str
    error: str | None = None
    is_resized: bool = False
    num_frames: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


@dataclass(frozen=True)
class _Item:
    source: str
    files: RecordingFiles
    out: Path
    name: str
    settings: Settings

    def __str__(self) -> str:
        return self.source


def reencode(
    found: Mapping[str, RecordingFiles],
    out: Path,
    settings: Settings,
    engine: Engine,
    progress: Progress = no_progress,
) -> list[Reencoded]:
    """Re-encode recordings into a new folder, or resume doing so; returns a result for each.

    Args:
        found: the recordings by their source; `target_names` gives the names in `out`.
        out: the folder; empty, missing, or of a killed run.
        settings: of the encoder.
        engine: runs the job; the files do not depend on it.
        progress: see `progress.py`.

    Raises:
        UserError: `out` cannot be written, or holds something else.
    """
    if not 0 <= settings.crf <= 51:
        raise UserError(f"--crf goes from 0 (lossless) to 51 (worst), not {settings.crf}.")
    journal_path = out / ".reencode.journal"

    def begin() -> None:
        if any(path != journal_path for path in out.iterdir()):
            journal_path.unlink()
            raise UserError(f"{out} is not empty: give a new folder as --out.")

    names = target_names(found)
    items = {key: _Item(key, files, out, names[key], settings) for key, files in found.items()}
    with Journal(journal_path, {"sources": sorted(found), "settings": asdict(settings)}, begin) as journal:
        shutil.rmtree(out / ".partial", ignore_errors=True)  # of a run that was killed
        done = run_job(_REENCODE, items, engine, journal, progress)
        shutil.rmtree(out / ".partial", ignore_errors=True)
        journal.remove()
    return list(done.values())


def target_names(sources: Sequence[str] | Mapping[str, object]) -> dict[str, str]:
    """A unique name in OUT for every source: its last part, with a hash where two are equal."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for source in sorted(sources):
        name = posixpath.basename(source.rstrip("/").replace("!", "/")) or "recording"
        if name in taken or name.startswith("."):
            name = f"{name.lstrip('.')}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"
        names[source] = name
        taken.add(name)
    return names


def _reencode(item: _Item) -> Reencoded:
    """Re-encode one recording.

    Raises:
        UserError: `out` cannot be written.
    """
    target = item.out / item.name
    try:
        if not target.exists():  # else a run was killed between making it and noting it
            _make(item, target)
        return _facts(item, target)
    except OSError as error:  # reading raises UserErrors
        raise unwritable(target, error) from error
    except Exception as error:
        return _failed(item, str(problem_of(item.source, error)))


def _failed(item: _Item, problem: str) -> Reencoded:
    return Reencoded(item.source, problem)


def _facts(item: _Item, target: Path) -> Reencoded:
    with Recording.open(target) as recording:
        num_frames = recording.num_frames
    video, is_resized = _picture_source(item.files)
    size = _size(video)
    return Reencoded(item.source, None, is_resized, num_frames, size, (target / SMALL_FILE).stat().st_size)


def _make(item: _Item, target: Path) -> None:
    """Re-encode a recording in a temporary folder, verify it, and move it to its place."""
    annotation = read_annotation(item.files.annotation)
    fps = RecordingInfo.from_message(annotation.metadata).fps
    video, is_resized = _picture_source(item.files)
    (item.out / ".partial").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=item.out / ".partial"))
    try:
        with (folder / ANNOTATION_FILE).open("xb") as copy:
            copy.writelines(_pieces(item.files.annotation))
        num_pictures = _encode(video, folder / SMALL_FILE, fps, item.settings, is_resized)
        if not item.settings.small_only and item.files.captured is not None and item.files.captured.is_file():
            with (folder / CAPTURED_FILE).open("xb") as copy:
                copy.writelines(_pieces(item.files.captured))
        with Recording.open(folder) as made:  # what is damaged in the source is not made to look whole
            num_annotations = len(annotation.frames)
            if made.num_frames != min(num_pictures, num_annotations):
                raise UserError(
                    f"{item.source} lost frames when it was re-encoded: look for a full disk, and try again."
                )
        folder.chmod(0o755)
        folder.rename(target)
    except UserError as error:
        raise UserError(str(error).replace(str(folder), item.source)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _picture_source(files: RecordingFiles) -> tuple[Path | FileRange, bool]:
    """The source of the small video, and whether that is the captured video."""
    if files.small.is_file() and _size(files.small):
        reader = VideoReader(files.small)
        try:
            if reader.size == (MODEL_SIZE, MODEL_SIZE) or files.captured is None:
                return files.small, reader.size != (MODEL_SIZE, MODEL_SIZE)
        finally:
            reader.close()
    if files.captured is None or not files.captured.is_file():
        raise UserError(
            f"{files.small} is missing or empty, and there is no {CAPTURED_FILE} to make it from: restore it."
        )
    return files.captured, True


def _encode(video: Path | FileRange, path: Path, fps: float, settings: Settings, is_resized: bool) -> int:
    """Write the small video and return the number of its pictures.

    Raises:
        UserError: the source is damaged.
        OSError: `path` cannot be written.
    """
    reader = VideoReader(video)
    writer = VideoWriter(path, MODEL_SIZE, MODEL_SIZE, fps, {**SMALL, "crf": str(settings.crf)})
    try:
        for clip_THWC in reader.clips():
            for picture_HWC in clip_THWC:
                writer.write(resize(picture_HWC) if is_resized else picture_HWC)
        writer.close()
        return reader.num_frames
    finally:
        reader.close()
        writer.close()


def _pieces(file: Path | FileRange) -> Iterator[bytes]:
    """The bytes of a file, a piece at a time.

    Raises:
        UserError: it cannot be read; what goes wrong where they are written is an OSError.
    """
    try:
        with open_file(file) as source:
            yield from iter(lambda: source.read(_CHUNK), b"")
    except OSError as error:
        raise unreadable(file, error) from error


def _size(file: Path | FileRange) -> int:
    try:
        with open_file(file) as source:
            return source.seek(0, 2)
    except OSError as error:
        raise unreadable(file, error) from error


_REENCODE: Job[_Item, Reencoded] = Job(
    name="re-encode",
    function=_reencode,
    given_up=_failed,
    is_final=lambda done: done.error is None,
    kind=Reencoded,
)
