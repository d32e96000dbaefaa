"""Recordings as one HTML page: video, action and timeline of the same frame, histograms, an index of a set.

The page is self-contained: the videos are inside it, copied from the recordings without being decoded. It is
bounded: where the captured videos are too large together, the network's small ones are shown, and then only as many as
fit. What happens in the browser is `recording_page.js`.
"""

from __future__ import annotations

import base64
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal, TextIO

import numpy as np

from eyehand.errors import UserError
from eyehand.pages.page import page
from eyehand.pages.recording_charts import recording_charts, recording_facts
from eyehand.recording.format import CAPTURED_FILE, SMALL_FILE
from eyehand.recording.inspect import RecordingReport
from eyehand.recording.reader import Recording
from eyehand.recording.timeline import Timeline, read_timeline
from eyehand.recording.video import CAPTURED, VideoReader, VideoWriter
from eyehand.replaced import replaced
from eyehand.terminal import counted

__all__ = ["MAX_RECORDINGS", "Picture", "write_page"]

Picture = Literal["captured", "network"]
"""Which video is shown: as it was captured, or as the network sees it."""

MAX_RECORDINGS = 2000
"""On one page: a table of more is of no use to anybody."""

_HERE = Path(__file__).parent
_END = "\0"
_NO_ROOM = "There was no room for its pictures: make a page of this recording alone."


@dataclass(frozen=True)
class _Shown:
    """One recording of the page: its report, its timeline, and its video (None: none is shown)."""

    number: int
    report: RecordingReport
    timeline: Timeline | None
    video: Path | None
    no_video: str


def write_page(
    reports: Sequence[RecordingReport],
    target: Path,
    picture: Picture = "captured",
    max_bytes: int = 100_000_000,
    tell: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Write the page of these recordings, at once or not at all.

    Args:
        reports: from `inspect`; damaged recordings get a line in the index.
        target: the file to write.
        picture: the video to show, if there is room.
        max_bytes: size limit of the page.
        tell: called with a sentence for everything that is left out.

    Raises:
        UserError: there are too many recordings, or the file cannot be written.
    """
    if len(reports) > MAX_RECORDINGS:
        raise UserError(f"A page holds at most {MAX_RECORDINGS} recordings, not {len(reports)}: give a part of them.")
    notes, shown = _plan(reports, picture, max_bytes)
    for note in notes:
        tell(note)
    with replaced(target) as partial, partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        _write(file, shown, notes)  # names of folders may be no UTF-8


def _plan(reports: Sequence[RecordingReport], picture: Picture, max_bytes: int) -> tuple[list[str], list[_Shown]]:
    """Sentences on what is left out, and every recording with the video that it gets."""
    timelines = [None if report.error else _timeline(Path(report.path)) for report in reports]
    room = max_bytes - sum(_size_of(timeline) for timeline in timelines if timeline)
    if room < 0:
        raise UserError(
            f"The timelines of {len(reports)} recordings alone take more than {max_bytes / 1e6:g} MB: give fewer "
            "recordings, or a higher --max-mb."
        )
    usable = [report for report in reports if report.error is None]
    captured = {report.path: _video(report, "captured") for report in usable}
    small = {report.path: Path(report.path) / SMALL_FILE for report in usable}
    videos, notes = captured if picture == "captured" else small, []
    if picture == "captured" and _bytes_in_page(list(captured.values())) > room:
        videos = small
        notes.append(f"The captured videos take more than {max_bytes / 1e6:g} MB: the network's pictures are shown.")
    shown = []
    for number, (report, timeline) in enumerate(zip(reports, timelines, strict=True)):
        video = videos.get(report.path)
        if video is not None:
            room -= _bytes_in_page([video])
        fits = video is not None and room >= 0
        shown.append(_Shown(number, report, timeline, video if fits else None, "" if fits else _NO_ROOM))
    num_without = sum(each.timeline is not None and each.video is None for each in shown)
    if num_without:
        notes.append(
            f"{num_without} of {len(usable)} recordings are shown without pictures, for the page may take at most "
            f"{max_bytes / 1e6:g} MB: give fewer recordings, or a higher --max-mb."
        )
    return notes, shown


def _timeline(path: Path) -> Timeline:
    with Recording.open(path) as recording:
        return read_timeline(recording)


def _video(report: RecordingReport, picture: Picture) -> Path:
    """The captured video, or the small one where that is missing or shorter."""
    with Recording.open(report.path) as recording:
        has_all = (recording.path / CAPTURED_FILE).is_file() and recording.num_captured == recording.num_frames
    return Path(report.path) / (CAPTURED_FILE if has_all else SMALL_FILE)


def _bytes_in_page(videos: Sequence[Path]) -> int:
    """Size of these videos in base64: four characters for three bytes."""
    return sum(video.stat().st_size * 4 // 3 for video in videos)


def _size_of(timeline: Timeline) -> int:
    return len(json.dumps(timeline.to_json())) + 20_000  # the charts


def _write(file: TextIO, shown: Sequence[_Shown], notes: Sequence[str]) -> None:
    usable = [each for each in shown if each.timeline is not None]
    seconds = sum(each.report.seconds for each in usable)
    title = _name(shown[0].report) if len(shown) == 1 else f"{len(shown)} recordings"
    heading = f"eyehand <small>{escape(title)}</small>"
    body = "".join(
        (
            f"<style>{_asset('css')}</style>",
            _index(shown, seconds) if len(shown) > 1 else "",
            _asset("html") if usable else "",
            _of_all([each.timeline for each in shown if each.timeline is not None]) if len(usable) > 1 else "",
        )
    )
    before, _, after = page(f"eyehand: {title}", heading, notes, body + _END).rpartition(_END)
    file.write(before)
    for each in usable:
        _write_recording(file, each)
    if usable:
        file.write(f"<script>{_asset('js')}</script>")
    file.write(after)


def _asset(ending: str) -> str:
    return (_HERE / f"recording_page.{ending}").read_text(encoding="utf-8")


def _write_recording(file: TextIO, shown: _Shown) -> None:
    assert shown.timeline is not None
    report = shown.report
    data = {
        "name": _name(report),
        "path": report.path,
        "lead": _lead(report),
        "problems": report.problems,
        "no_video": shown.no_video,
        **shown.timeline.to_json(),
    }
    if shown.video is not None:
        video, times_us = _video_bytes(shown.video, report.num_frames)
        data["steps_us"] = _steps(times_us)
        file.write(f'<script type="text/plain" id="video-{shown.number}">{base64.b64encode(video).decode()}</script>')
    # In a script element only "<" could end it.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    file.write(f'<script type="application/json" id="data-{shown.number}">{text}</script>')
    charts = recording_facts(report) + recording_charts([shown.timeline])
    file.write(f'<template id="figures-{shown.number}">{charts}</template>')


def _video_bytes(path: Path, num_frames: int) -> tuple[bytes, list[int]]:
    """The video's first frames as an mp4 that browsers play, and when each is shown, in microseconds."""
    reader = VideoReader(path)
    buffer = io.BytesIO()
    try:
        if reader.plays_in_browsers:
            times_us = reader.copy_to(buffer, num_frames)
            return buffer.getvalue(), times_us
        with tempfile.TemporaryDirectory() as folder:
            again = VideoReader(_encoded(reader, Path(folder) / "video.mp4", num_frames))
            times_us = again.copy_to(buffer, num_frames)
            again.close()
        return buffer.getvalue(), times_us
    finally:
        reader.close()


def _encoded(reader: VideoReader, target: Path, num_frames: int) -> Path:
    """The video's first frames encoded anew as H.264 with 4:2:0 chroma, which every browser plays."""
    height, width = reader.size
    fps = min(max(reader.fps, 1.0), 1000.0)  # it may state anything, and is shown by the recording's own times
    writer = VideoWriter(target, height // 2 * 2, width // 2 * 2, fps, CAPTURED)
    try:
        for index in range(num_frames):
            writer.write(reader.clip(index, 1)[0])
    finally:
        writer.close()
    return target


def _steps(times_us: Sequence[int]) -> list[list[int]]:
    """Frame times as differences, run-length encoded: [count, difference], from 0 on."""
    steps: list[list[int]] = []
    for step in np.diff([0, *times_us]).tolist():
        if steps and steps[-1][1] == step:
            steps[-1][0] += 1
        else:
            steps.append([1, step])
    return steps


def _name(report: RecordingReport) -> str:
    """Its title; of a damaged one, the name of its folder."""
    return report.title or Path(report.path).name


def _lead(report: RecordingReport) -> str:
    parts = [
        Path(report.path).name,
        f"played by {report.user}" if report.user else "",
        counted(report.num_frames, "frame"),
    ]
    parts += [f"{report.fps:g} per second", "cut off" if report.is_cut_off else ""]
    parts += [f"{name} {value:g}" for name, value in sorted(report.outcome.items())]
    return ", ".join(filter(None, parts))


def _index(shown: Sequence[_Shown], seconds: float) -> str:
    """The index: a table row for every recording, damaged ones too."""
    heads = ("recording", "played by", "user", "system", "instruction", "")
    rows = []
    for each in shown:
        report, name = each.report, escape(_name(each.report))
        if report.error is not None:
            rows.append(f'<tr><td>{name}</td><td class="wrong" colspan="5">{escape(report.error)}</td></tr>')
            continue
        texts = [text for text in report.instructions if text]
        instruction = texts[0] if len(texts) == 1 else f"{len(texts)} instructions" if texts else ""
        cells = [report.user, f"{report.user_share:.0%}", f"{report.system_share:.0%}", instruction[:60]]
        wrong = f'<td class="wrong">{escape(" ".join(report.problems))}</td>'
        rows.append(
            f'<tr data-index="{each.number}"><td><a href="#{each.number}">{name}</a></td>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + f"{wrong}</tr>"
        )
    head = "".join(f"<th>{name}</th>" for name in heads)
    title = f"{counted(len(shown), 'recording')}, {seconds / 60:.1f} minutes"
    return (
        f'<section class="card" id="index"><div class="head"><h2>{title}</h2>'
        '<input id="filter" type="search" placeholder="only rows with these words" aria-label="filter"></div>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</section>"
    )


def _of_all(timelines: Sequence[Timeline]) -> str:
    return f'<div class="titlebar"><h2>All recordings together</h2></div>{recording_charts(timelines)}'
