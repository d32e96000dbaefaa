"""Reads recordings, ours and P2P's: `Recording` gives labels and clips, `find_recordings` finds them.

Opening parses the annotation and counts the frames of the video; where the two disagree the smaller number counts and
`problems` says so. Damage raises, it never shortens a finished recording in silence. A Recording can be pickled (each
process opens the video for itself) and is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.action_space import ActionSpace
from eyehand.errors import UserError, unreadable
from eyehand.foreign import problem_of
from eyehand.frame import MODEL_SIZE
from eyehand.input_event import InputEvent
from eyehand.recording.annotation import Annotation, FrameAnnotations, read_annotation
from eyehand.recording.file_range import FileRange, open_file
from eyehand.recording.format import ANNOTATION_FILE, CAPTURED_FILE, SMALL_FILE, RecordingInfo
from eyehand.recording.labels import (
    FrameActions,
    Labels,
    events_of,
    frame_actions,
    frame_instructions,
    make_labels,
)
from eyehand.recording.mp4_index import read_layout
from eyehand.recording.title import title_of
from eyehand.recording.video import VideoReader

__all__ = ["Recording", "RecordingFiles", "find_recordings", "is_hidden"]


@dataclass(frozen=True)
class RecordingFiles:
    """The files of one recording: three in a folder, or ranges of an archive.

    Attributes:
        path: its folder, or the archive and its folder inside; messages call it so.
        annotation, small: `annotation.proto` and `192x192.mp4`.
        captured: `video.mp4`; None: it was left out, for training does not need it.
    """

    path: Path
    annotation: Path | FileRange
    small: Path | FileRange
    captured: Path | FileRange | None

    @staticmethod
    def in_folder(path: Path) -> RecordingFiles:
        return RecordingFiles(path, path / ANNOTATION_FILE, path / SMALL_FILE, path / CAPTURED_FILE)


class Recording:
    """A recording on disk. Make it with `Recording.open`.

    Attributes:
        path: its folder (see `RecordingFiles`).
        info: its metadata.
        num_frames: frames that have a picture and an annotation.
        is_cut_off: writing it ended before its end (crash, full disk); what is there is good.
        outcome: facts of how the episode ended (`score`...), where the recorder knew them.
        problems: sentences on what looks wrong although it can be used.
        annotations: the messages as in the file, one per frame, parsed whenever one is asked for. Not shifted: number i
            describes what came BEFORE i.
    """

    def __init__(
        self,
        files: RecordingFiles,
        info: RecordingInfo,
        num_frames: int,
        annotations: FrameAnnotations,
        is_cut_off: bool,
        outcome: dict[str, float],
        problems: tuple[str, ...],
    ) -> None:
        self.path = files.path
        self.info = info
        self.num_frames = num_frames
        self.is_cut_off = is_cut_off
        self.outcome = outcome
        self.problems = problems
        self.annotations = annotations[:num_frames]
        self._actions: list[FrameActions] | None = None
        self._small = VideoReader(files.small)
        self._captured = VideoReader(files.captured or files.path / CAPTURED_FILE)

    @staticmethod
    def open(where: Path | str | RecordingFiles) -> Recording:
        """Open the recording in this folder, or that these files make up.

        Raises:
            UserError: no such folder, a missing file, or a damaged one.
        """
        if isinstance(where, RecordingFiles):
            files = where
        else:
            files = RecordingFiles.in_folder(Path(where))
            if not files.path.is_dir():
                raise UserError(f"{files.path} is no folder: give the folder of a recording.")
        path = files.path
        annotation = read_annotation(files.annotation)
        num_annotations = len(annotation.frames)
        num_pictures = _count_pictures(files.small, annotation)
        promised = annotation.num_frames_promised
        if promised is not None and min(num_pictures, num_annotations) < promised:
            what = f"{num_annotations} annotations and {num_pictures} pictures are left of {promised} frames"
            raise UserError(f"{path} is damaged ({what}): remove this recording or restore its files.")
        if min(num_pictures, num_annotations) == 0:
            raise UserError(f"{path} holds no frames (it was cut off within the first second): remove it.")
        problems = [*annotation.problems]
        if annotation.is_cut_off:
            problems.append("It was cut off while recording; it is good up to there.")
        elif num_pictures != num_annotations:
            problems.append(
                f"It has {num_pictures} pictures and {num_annotations} annotations: the smaller number is used."
            )
        return Recording(
            files,
            RecordingInfo.from_message(annotation.metadata, annotation.seed, annotation.note),
            min(num_pictures, num_annotations),
            annotation.frames,
            annotation.is_cut_off,
            annotation.outcome,
            tuple(problems),
        )

    @property
    def title(self) -> str:
        """What it is called in tables and pages."""
        return title_of(self.info, self.num_frames / self.fps)

    @property
    def fps(self) -> float:
        """Frames per second of game time."""
        return self.info.fps

    @property
    def instructions(self) -> tuple[str | None, ...]:
        """The instruction of each frame; None: none."""
        try:
            return tuple(frame_instructions(self.annotations, self.fps))
        except ValueError as error:
            raise problem_of(self.path, error) from error

    @property
    def times_ns(self) -> tuple[int, ...]:
        """Capture time of each frame since the start of the recording."""
        return tuple(annotation.frame_time for annotation in self.annotations)

    def executed(self, frame: int) -> Action | None:
        """The action executed on this frame, a user's or a system's; None: unknown (always on the last frame)."""
        return self._frame_actions()[frame].executed

    def user_action(self, frame: int) -> Action | None:
        """The user's action on this frame, or the label where a system acted; None: unknown."""
        return self._frame_actions()[frame].user

    def events_before(self, frame: int) -> list[InputEvent]:
        """The raw input events between the frame before and this one."""
        return events_of(self.annotations[frame])

    def load_labels(self, space: ActionSpace) -> Labels:
        """The actions of all frames as tokens; row i belongs to frame i."""
        return make_labels(self._frame_actions(), self.instructions, space)

    def text_embedding(self, instruction: str, encoder: str) -> NDArray[np.float32] | None:
        """The encoder's embedding (n, dim) float32 stored with an instruction by any annotator; None: none stored."""
        for annotation in self.annotations:
            for text in annotation.frame_text_annotation:
                if text.instruction != instruction:
                    continue
                for by_encoder in text.text_embedding_dict.values():
                    if encoder in by_encoder.text_embeddings:
                        embedding = by_encoder.text_embeddings[encoder]
                        return np.array(embedding.values, np.float32).reshape(tuple(embedding.shape))
        return None

    def decode_clip(self, start: int, length: int) -> NDArray[np.uint8]:
        """Frames as the network sees them, uint8 RGB (length, 192, 192, 3), from frame `start` on.

        Raises:
            IndexError: the recording has not so many frames.
            UserError: the video is damaged.
        """
        self._check(start, length)
        return self._small.clip(start, length)

    def decode_captured(self, start: int, length: int) -> NDArray[np.uint8]:
        """Frames as they were captured, uint8 RGB (length, H, W, 3); errors as of `decode_clip`.

        Of a recording that was cut off there may be fewer than `num_frames` (see `num_captured`).
        """
        self._check(start, length)
        return self._captured.clip(start, length)

    def clips(self, *, captured: bool = False) -> Iterator[NDArray[np.uint8]]:
        """All frames in clips of at most 32 MiB or one frame, as `decode_clip` or `decode_captured` give them."""
        video = self._captured if captured else self._small
        yield from video.clips(self.num_captured if captured else self.num_frames)

    @property
    def num_captured(self) -> int:
        """Frames of `num_frames` that the captured video has too: all, unless the recording was cut off."""
        return min(self.num_frames, self._captured.num_frames)

    def close(self) -> None:
        """Close the videos; they are opened again when needed."""
        self._small.close()
        self._captured.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _frame_actions(self) -> list[FrameActions]:
        if self._actions is None:
            try:
                self._actions = frame_actions(self.annotations)
            except ValueError as error:
                raise problem_of(self.path, error) from error
        return self._actions

    def _check(self, start: int, length: int) -> None:
        if start < 0 or length < 0 or start + length > self.num_frames:
            raise IndexError(f"{self.path} has {self.num_frames} frames, not {start} to {start + length - 1}")


def _count_pictures(path: Path | FileRange, annotation: Annotation) -> int:
    """Frames of the small video; 0 where a recording was cut off before the first of them were on disk."""
    if annotation.is_cut_off and (not path.is_file() or not _has_index(path)):
        return 0
    video = VideoReader(path)
    try:
        height, width = video.size
        if (height, width) != (MODEL_SIZE, MODEL_SIZE):
            raise UserError(
                f"{path} is {width}x{height} pixels and should be {MODEL_SIZE}x{MODEL_SIZE}: "
                "make it anew from video.mp4."
            )
        return video.num_frames
    finally:
        video.close()


def _has_index(path: Path | FileRange) -> bool:
    """Whether the encoder came to describe the video: it does so with the first fragment, half a second of play."""
    try:
        with open_file(path) as file:
            return any(box.kind == b"moov" for box in read_layout(file).boxes)
    except OSError as error:
        raise unreadable(path, error) from error


def is_hidden(name: str) -> bool:
    """Whether a folder of this name, relative to where one looks, or one that it lies in, begins with a dot."""
    return any(part.startswith(".") and part != "." for part in name.split("/"))


def find_recordings(root: Path | str) -> list[Path]:
    """The folders of all recordings in a folder, at any depth, sorted. Incomplete ones too: opening them raises.

    Folders whose names begin with a dot are passed over: what is still being made lies there.

    Raises:
        UserError: no such folder, or no recording in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is no folder: give a folder of recordings.")
    files = (ANNOTATION_FILE, CAPTURED_FILE, SMALL_FILE)
    folders = {path.parent for name in files for path in root.rglob(name)}
    folders = {path for path in folders if not is_hidden(path.relative_to(root).as_posix())}
    if not folders:
        raise UserError(f"{root} holds no recordings: make some with `eyehand record`, or give another folder.")
    return sorted(folders)
