"""The data filter: `check` measures every recording, and a `Verdict` says which are left out, and why.

The reference's filter (arXiv 2601.04575): one key held most of the time, too many keys at once, too little done,
actions that are unlikely under a given policy. And other silent faults: a frame rate that drifts, frozen or black
video, duplicates, a lag between labels and pictures. Decisions are kept beside the data (`decisions.py`); no recording
is changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eyehand.action import Action
from eyehand.clock import SECOND_NS
from eyehand.foreign import problem_of
from eyehand.jobs.engine import Engine
from eyehand.jobs.job import Job, run_job
from eyehand.jobs.journal import Journal
from eyehand.jobs.local import LocalEngine
from eyehand.progress import Progress, no_progress
from eyehand.recording.labels import rate_problem
from eyehand.recording.lag import estimate_lag
from eyehand.recording.reader import Recording, RecordingFiles

__all__ = ["CheckLimits", "Scorer", "Verdict", "check", "check_recording"]

_CHUNK_FRAMES = 64
_SAME_PICTURE = 0.05  # mean difference of brightness, 0 to 255: what stands still is coded as nothing
_BLACK = 10.0  # brightness, 0 to 255, that no pixel of a black picture exceeds


@dataclass(frozen=True)
class CheckLimits:
    """The limits within which a recording is used. Shares are of its frames.

    Attributes:
        max_key_share: share with the same key held.
        max_keys: keys held at once, at any time.
        min_interaction: least share with anything held or moved.
        max_rate_drift: relative difference between the stated frame rate and that of the frame times.
        max_frozen: share of pictures that equal the one before.
        max_black: share of pictures that are black.
        max_answer_ticks: ticks that a game played live may take to show an action, which looks like labels that come
            too early and cannot be told from them. A stepped game takes none.
        least_likelihood: of the user's actions under a policy; see `Scorer`.
    """

    max_key_share: float = 0.6
    max_keys: int = 6
    min_interaction: float = 0.05
    max_rate_drift: float = 0.05
    max_frozen: float = 0.5
    max_black: float = 0.2
    max_answer_ticks: int = 1
    least_likelihood: float = 0.0


_ROUNDING_NS = 1000

Scorer = Callable[[Recording], float | None]
"""From a recording to how likely its actions are, between 0 and 1; None: it cannot tell. `evaluate.likelihood` is one.

Picklable, and its repr contains all that its result depends on.
"""


@dataclass(frozen=True)
class Verdict:
    """The measurements of one recording and the reasons to leave it out. Shares are of its frames.

    Attributes:
        id, source: as in the index.
        title: of the recording; empty where it cannot be read.
        reasons: sentences on why it is left out; empty: it is used.
        num_frames: with picture and annotation.
        held_most, held_share: the key that was held most, and its share; empty if none was.
        most_keys: largest number of keys held at once.
        interaction: share with anything held or moved, of the frames whose action is known.
        measured_fps: from the frame times; 0 without them.
        frozen_share, black_share: pictures that equal the one before, and black ones.
        lag_ticks, lag_correlation: see `Lag`.
        is_live: the frame times are not those of a stepped game.
        likelihood: of the user's actions under a policy; None: not computed, or no action is known.
    """

    id: str
    source: str
    reasons: tuple[str, ...] = ()
    title: str = ""
    num_frames: int = 0
    held_most: str = ""
    held_share: float = 0.0
    most_keys: int = 0
    interaction: float = 0.0
    measured_fps: float = 0.0
    frozen_share: float = 0.0
    black_share: float = 0.0
    lag_ticks: int | None = None
    lag_correlation: float = 0.0
    is_live: bool = False
    likelihood: float | None = None

    @property
    def is_used(self) -> bool:
        return not self.reasons


def check(
    found: Iterable[tuple[str, RecordingFiles]],
    limits: CheckLimits,
    engine: Engine | None = None,
    journal: Journal | None = None,
    progress: Progress = no_progress,
    scorer: Scorer | None = None,
) -> list[Verdict]:
    """The verdicts on recordings, given with their `source`; of duplicates the first is used.

    Args:
        found: the recordings.
        limits: see `CheckLimits`.
        engine: runs the checks; the verdicts do not depend on it. None: this process.
        journal: of finished verdicts, to resume from; None: none is kept.
        progress: see `progress.py`.
        scorer: gives the likelihood of the actions; None: not computed.
    """
    items = {source: _Unchecked(source, files, limits, scorer) for source, files in found}
    first: dict[str, str] = {}
    verdicts = []
    for source, (verdict, content) in run_job(_CHECK, items, engine or LocalEngine(), journal, progress).items():
        twin = first.setdefault(content, source) if content else source
        if twin != source:
            verdict = replace(verdict, reasons=(*verdict.reasons, f"It has the same pictures and actions as {twin}."))
        verdicts.append(verdict)
    return verdicts


@dataclass(frozen=True)
class _Unchecked:
    source: str
    files: RecordingFiles
    limits: CheckLimits
    scorer: Scorer | None = None

    def __str__(self) -> str:
        return self.source


def _check(item: _Unchecked) -> tuple[Verdict, str]:
    """The verdict on one recording and its fingerprint, which is empty for an unusable one."""
    try:
        verdict, content = check_recording(item.files, item.source, item.limits, item.scorer)
    except Exception as error:
        return _unfit(item, str(problem_of(item.source, error)))
    return verdict, content.hex()


def _unfit(item: _Unchecked, reason: str) -> tuple[Verdict, str]:
    return Verdict(item.files.path.name, item.source, (reason,)), ""


_CHECK: Job[_Unchecked, tuple[Verdict, str]] = Job(
    name="check",
    function=_check,
    given_up=_unfit,
    is_final=lambda checked: bool(checked[1]),
    kind=tuple[Verdict, str],
)


def check_recording(
    files: RecordingFiles, source: str, limits: CheckLimits, scorer: Scorer | None = None
) -> tuple[Verdict, bytes]:
    """The verdict on one recording, and a fingerprint of its pictures and actions.

    Raises:
        UserError: it cannot be read.
    """
    with Recording.open(files) as recording:
        num_frames = recording.num_frames
        actions = [recording.executed(index) for index in range(num_frames)]
        known = [action for action in actions if action is not None]
        key, most_keys, interaction = _held(known)
        pictures = _Pictures(num_frames, recording.decode_clip)
        mouse_N2 = np.array([(a.dx, a.dy) if a is not None else (0, 0) for a in actions], np.float64)
        lag = estimate_lag(recording.decode_clip, mouse_N2, num_frames)
        verdict = Verdict(
            id=recording.info.id or files.path.name,
            source=source,
            title=recording.title,
            num_frames=num_frames,
            held_most=key[0],
            held_share=key[1],
            most_keys=most_keys,
            interaction=interaction,
            measured_fps=_measured_fps(recording.times_ns),
            frozen_share=pictures.frozen_share,
            black_share=pictures.black_share,
            lag_ticks=lag.ticks,
            lag_correlation=lag.correlation,
            is_live=_is_live(recording.times_ns, recording.fps),
            likelihood=None if scorer is None else scorer(recording),
        )
        fps = recording.fps
        content = hashlib.sha256(pictures.brightness)
        content.update(repr([_plain(action) for action in actions]).encode())
    return replace(verdict, reasons=tuple(_reasons(verdict, limits, fps, len(known)))), content.digest()


def _reasons(verdict: Verdict, limits: CheckLimits, fps: float, num_known: int) -> Iterator[str]:
    if not num_known:
        yield "No action in it is known."
        return
    if verdict.held_share > limits.max_key_share:
        yield f"The key {verdict.held_most} is held on {verdict.held_share:.0%} of its frames."
    if verdict.most_keys > limits.max_keys:
        yield f"Up to {verdict.most_keys} keys are held at once."
    if verdict.interaction < limits.min_interaction:
        yield f"Something is done on only {verdict.interaction:.1%} of its frames."
    wrong_rate = rate_problem(fps)
    if wrong_rate is not None:
        yield wrong_rate
    elif verdict.measured_fps and abs(verdict.measured_fps / fps - 1) > limits.max_rate_drift:
        yield f"Its frames came at {verdict.measured_fps:.1f} per second, not {fps:g}."
    if verdict.frozen_share > limits.max_frozen:
        yield f"The picture stands still on {verdict.frozen_share:.0%} of its frames."
    if verdict.black_share > limits.max_black:
        yield f"The picture is black on {verdict.black_share:.0%} of its frames."
    if verdict.likelihood is not None and verdict.likelihood < limits.least_likelihood:
        yield f"Its actions have a likelihood of only {verdict.likelihood:.2g} under the policy."
    if verdict.lag_ticks and not (verdict.is_live and -limits.max_answer_ticks <= verdict.lag_ticks < 0):
        late = "late" if verdict.lag_ticks > 0 else "early"
        yield f"Its labels come {abs(verdict.lag_ticks)} ticks too {late} for its pictures."


def _held(known: Sequence[Action]) -> tuple[tuple[str, float], int, float]:
    """The key held most and its share, the most keys at once, and the share of frames with any input."""
    if not known:
        return ("", 0.0), 0, 0.0
    counts = Counter(name for action in known for name in action.keys)
    key, count = min(counts.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
    busy = sum(bool(a.keys or a.buttons or a.dx or a.dy or a.scroll_dx or a.scroll_dy or a.gamepad) for a in known)
    return (key, count / len(known)), max(len(action.keys) for action in known), busy / len(known)


def _measured_fps(times_ns: Sequence[int]) -> float:
    seconds = (times_ns[-1] - times_ns[0]) / 1e9
    return (len(times_ns) - 1) / seconds if seconds > 0 else 0.0


def _is_live(times_ns: Sequence[int], fps: float) -> bool:
    """Whether the frame times differ from the even ones that the recorder gives a stepped game."""
    first_ns = times_ns[0] if times_ns else 0
    return any(
        abs(time_ns - first_ns - index * SECOND_NS / fps) > _ROUNDING_NS for index, time_ns in enumerate(times_ns)
    )


def _plain(action: Action | None) -> object:
    return None if action is None else (sorted(action.keys), sorted(action.buttons), action.dx, action.dy)


class _Pictures:
    """Statistics of all pictures of a recording, decoded once.

    Attributes:
        frozen_share: of the pictures that equal the one before.
        black_share: of the black pictures.
        brightness: mean of each picture, uint8: equal for the same video, however it is stored.
    """

    def __init__(self, num_frames: int, frames: Callable[[int, int], NDArray[np.uint8]]) -> None:
        num_frozen = num_black = 0
        before_1HW: NDArray[np.float32] | None = None
        marks = []
        for start in range(0, num_frames, _CHUNK_FRAMES):
            frames_THWC = frames(start, min(_CHUNK_FRAMES, num_frames - start))
            num_black += int(np.count_nonzero(frames_THWC.max(axis=(1, 2, 3)) <= _BLACK))
            grey_THW = frames_THWC.mean(axis=3, dtype=np.float32)
            row_THW = grey_THW if before_1HW is None else np.concatenate([before_1HW, grey_THW])
            num_frozen += int(np.count_nonzero(np.abs(np.diff(row_THW, axis=0)).mean(axis=(1, 2)) < _SAME_PICTURE))
            before_1HW = grey_THW[-1:]
            marks.append(grey_THW.mean(axis=(1, 2)).round().astype(np.uint8))
        self.frozen_share = num_frozen / max(1, num_frames - 1)
        self.black_share = num_black / num_frames
        self.brightness = np.concatenate(marks).tobytes()
