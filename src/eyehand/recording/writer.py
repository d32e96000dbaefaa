"""Writes one recording so that a crash costs at most the last second: `RecordingWriter`.

Nothing is kept back until the end. The annotation file grows by one message per frame in one write (serialized
messages concatenate to their merge), both videos by a fragment every half second. A full disk or a killed process
leaves a readable recording; the closing message tells a finished one from one that was cut off.

An instruction is stated again every second with a duration of one second: how long it will hold is not known while
recording, and the reading rule "holds for duration x fps frames" is right for every prefix of the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.errors import UserError
from eyehand.frame import MODEL_SIZE, Frame
from eyehand.input_event import InputEvent
from eyehand.player import Decision
from eyehand.recording import annotation_pb2 as pb
from eyehand.recording.events import events_between
from eyehand.recording.format import (
    ANNOTATION_FILE,
    CAPTURED_FILE,
    FINISHED,
    SMALL_FILE,
    STARTED,
    RecordingInfo,
    annotate,
    event_to_message,
)
from eyehand.recording.title import new_id, title_of
from eyehand.recording.video import CAPTURED, SMALL, VideoWriter, fit_lines
from eyehand.safe_path import SafeName
from eyehand.terminal import counted
from eyehand.version import __version__

__all__ = ["ANNOTATOR_VERSION", "Embed", "RecordingWriter", "new_info"]

Embed = Callable[[str], Mapping[str, NDArray[np.float32]]]
"""From an instruction to its embeddings, (n, dim) each, by name of the encoder."""

ANNOTATOR_VERSION = "eyehand"
"""Under which text embeddings are stored (P2P keeps them by version of what wrote the instruction)."""


def new_info(env: str, env_subtype: str, fps: float, **more: object) -> RecordingInfo:
    """A RecordingInfo with a fresh id, made now on this computer; `more` are further fields of it."""
    now_s = int(time.time())
    key = new_id(env, env_subtype, now_s)
    info = RecordingInfo(key, env, env_subtype, fps, created_s=now_s, os=platform.system())
    return replace(info, **more)  # type: ignore[arg-type]


class RecordingWriter:
    """Writes a recording into a new folder `root`/`info.id`, frame by frame.

    Args:
        root: the folder of recordings; made if missing.
        info: the recording's metadata (see `new_info`).
        embed: gives the text embeddings to store with every instruction; None: none.
        lines: height of the captured video at most.

    Raises:
        UserError: from any method, when the folder cannot be written (disk full, no permission). What was written
            before stays readable; the writer is closed. At once, when the id is not a SafeName.
    """

    def __init__(self, root: Path, info: RecordingInfo, embed: Embed | None = None, lines: int = 480) -> None:
        self.path = Path(root) / SafeName(info.id, "the metadata of a recording")
        self.info = info
        self.num_frames = 0
        self._embed = embed
        self._lines = lines
        self._videos: tuple[VideoWriter, VideoWriter] | None = None
        self._start_ns = 0
        self._held = NOTHING
        self._before_ns = 0
        self._instruction: str | None = None
        self._stated_at = 0
        self._frames_per_text = max(1, round(info.fps))
        try:
            self.path.mkdir(parents=True)
            self._annotation = open(self.path / ANNOTATION_FILE, "xb", buffering=0)  # noqa: SIM115  # closed in close
        except OSError as error:
            with contextlib.suppress(OSError):
                self.path.rmdir()
            raise self._unwritable(error) from error
        self._is_open = True
        facts = {"seed": info.seed, **({"note": info.note} if info.note else {}), "writer": f"eyehand {__version__}"}
        self._guarded(lambda: self._append(self._note(STARTED, facts, metadata=info.to_message())))

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish the recording; one that a failure ends is left unfinished, one that Ctrl-C ends is marked aborted."""
        if isinstance(error, Exception):
            self._abandon()
        else:
            self.close(None if error is None else {"aborted": 1.0})

    def add(
        self,
        frame: Frame,
        executed: Decision | None,
        instruction: str | None = None,
        events: Sequence[InputEvent] | None = None,
    ) -> None:
        """Add the next frame.

        Args:
            frame: the picture; all of a recording have one size, and times count from the first one's.
            executed: the action executed between the previous frame and THIS one; ignored for the first frame.
            instruction: of this frame; None: none.
            events: the raw input events since the previous frame, on the clock of `frame.time_ns`; None: the source
                has none, and simulated ones are made from the action.
        """
        if not self._is_open:
            raise ValueError(f"the recording {self.path} is closed")
        if self.num_frames == 0:
            self._start_ns = self._before_ns = frame.time_ns
        message = self._annotate(frame, executed if self.num_frames else None, instruction, events)
        self._guarded(lambda: self._write(frame, message))
        self.num_frames += 1
        self._before_ns = frame.time_ns

    @property
    def title(self) -> str:
        """What it is called, as far as it goes."""
        return title_of(self.info, self.num_frames / self.info.fps)

    def note(self, change_id: str, facts: Mapping[str, object]) -> None:
        """Add an entry to the change log: facts (as JSON) about the whole recording, such as its origin."""
        if not self._is_open:
            raise ValueError(f"the recording {self.path} is closed")
        self._guarded(lambda: self._append(self._note(change_id, facts)))

    def close(self, outcome: Mapping[str, float] | None = None) -> None:
        """Finish the recording; one that was ended in its first frame is removed. May be called twice.

        Args:
            outcome: facts at the end of the episode (`score`...), stored with the closing message.
        """
        if not self._is_open:
            return

        def finish() -> None:
            for video in self._videos or ():
                video.close()
            facts = {"num_frames": self.num_frames, "outcome": dict(outcome or {})}
            self._append(self._note(FINISHED, facts))

        if self.num_frames:
            self._guarded(finish)
        self._abandon()

    def _write(self, frame: Frame, message: pb.FrameAnnotation) -> None:
        if self._videos is None:
            height, width = frame.captured.shape[:2]
            height, width = fit_lines(height, width, self._lines)
            captured = VideoWriter(self.path / CAPTURED_FILE, height, width, self.info.fps, CAPTURED)
            small = VideoWriter(self.path / SMALL_FILE, MODEL_SIZE, MODEL_SIZE, self.info.fps, SMALL)
            self._videos = captured, small
        captured, small = self._videos
        captured.write(frame.pixels)
        small.write(frame.small())
        self._append(pb.VideoAnnotation(frame_annotations=[message]))

    def _annotate(
        self, frame: Frame, executed: Decision | None, instruction: str | None, events: Sequence[InputEvent] | None
    ) -> pb.FrameAnnotation:
        message = pb.FrameAnnotation(frame_time=max(0, frame.time_ns - self._start_ns))
        if executed is not None:
            annotate(message, executed)
        if events is None:
            after = Action() if executed is None else executed.action
            events = events_between(self._held, after, self._before_ns)
            self._held = after.held()
        message.input_events.extend(event_to_message(event, self._start_ns) for event in events)
        self._state(message, instruction)
        return message

    def _state(self, message: pb.FrameAnnotation, instruction: str | None) -> None:
        """State the instruction where it begins and then every second; an empty one ends the one before."""
        is_changed = instruction != self._instruction
        is_due = instruction is not None and self.num_frames - self._stated_at >= self._frames_per_text
        if not (is_changed or is_due):
            return
        self._instruction, self._stated_at = instruction, self.num_frames
        text = message.frame_text_annotation.add()
        text.instruction = instruction or ""
        text.duration = self._frames_per_text / self.info.fps
        text.frame_text_annotator.provider = text.frame_text_annotator.version = ANNOTATOR_VERSION
        if instruction is not None and self._embed is not None:
            by_encoder = text.text_embedding_dict[ANNOTATOR_VERSION].text_embeddings
            for encoder, embedding in self._embed(instruction).items():
                by_encoder[encoder].shape.extend(embedding.shape)
                by_encoder[encoder].values.extend(embedding.ravel().tolist())

    def _note(
        self, change_id: str, facts: Mapping[str, object], metadata: pb.Metadata | None = None
    ) -> pb.VideoAnnotation:
        change = pb.Change(change_id=change_id, change_description=json.dumps(facts), timestamp=int(time.time()))
        return pb.VideoAnnotation(metadata=metadata, changelog=[change])

    def _append(self, message: pb.VideoAnnotation) -> None:
        """Append a message to the annotation file in one write; a partial write is truncated away."""
        data = message.SerializeToString()
        before = self._annotation.tell()
        if self._annotation.write(data) != len(data):
            os.ftruncate(self._annotation.fileno(), before)
            raise OSError("no space left for the whole message")

    def _guarded(self, write: Callable[[], None]) -> None:
        """Run `write`; if it fails close all files, and raise UserError if one of them cannot be written."""
        try:
            write()
        except Exception as error:
            self._abandon()
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise

    def _abandon(self) -> None:
        """Close the files without a closing message, so that the recording reads as one that was cut off. One without a
        whole frame is removed."""
        self._is_open = False
        for video in self._videos or ():
            try:
                video.close()
            except Exception:  # the first failure has been reported, or is about to be
                continue
        self._annotation.close()
        if not self.num_frames:
            shutil.rmtree(self.path, ignore_errors=True)

    def _unwritable(self, error: OSError) -> UserError:
        reason = error.strerror or str(error)
        return UserError(
            f"Cannot write the recording {self.path} ({reason}): make space or choose another folder"
            + (
                f"; what was recorded until now ({counted(self.num_frames, 'frame')}) stays readable."
                if self.num_frames
                else "."
            )
        )
