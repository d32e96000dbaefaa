"""Live play with a report: `play_live` runs a player in a real-time game and measures scores, latency and load.

Episodes follow one another until the time is over, Ctrl-C is pressed, or something fails; whatever it is, every key is
released, recordings and video are closed, and the report covers what was played and says what ended it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eyehand.clock import punctual
from eyehand.errors import UserError
from eyehand.folder_lock import alone_in
from eyehand.frame import resize
from eyehand.game import Game, TaskInfo
from eyehand.machine import MachineWindow, cpu_name, num_cores
from eyehand.play.latency import LatencyObserver, TimedGame, player_stages, summarise
from eyehand.play.overlay import OverlayObserver
from eyehand.play.play_options import LiveOptions, PlayOptions
from eyehand.play.report import TIME_IS_OVER, EpisodeReport, Machine, PlayReport, Second, write_report
from eyehand.play.shared import SharedPlay, check_takeover, share
from eyehand.play.told import PaceObserver, introduction, lateness
from eyehand.play.turns import TurnsObserver
from eyehand.player import Player
from eyehand.players.takeover import Takeover, Turn
from eyehand.session import EpisodeEnd, EpisodeStart, Observer, Session, Tick
from eyehand.terminal import announce, said_aside

if TYPE_CHECKING:
    from eyehand.recording.recorder import Recorder
    from eyehand.viewer.viewer import Viewer

__all__ = ["play_live", "play_with"]

_OUT = Path("out/play")


def play_live(options: PlayOptions, on_score: Callable[[float, float], None] | None = None) -> PlayReport:
    """Play in real time, write the report into `options.out`, and return it.

    Args:
        options: what to play.
        on_score: told after every tick of the seconds played and the score, for a progress display.

    Raises:
        UserError: an unknown game or player, a bad option, or a folder that cannot be written; or play could not go on
            (the window was closed). What was played until then is in the report.
    """
    from eyehand.games.families import open_game
    from eyehand.players.kinds import player_kind

    with _alone(options) as out:
        game = open_game(
            options.game_name,
            realtime=True,
            with_state=player_kind(options.agent.name).needs_state,
            screen=options.screen,
        )
        with contextlib.closing(game), options.agent.opened(game) as player:
            return _play(game, player, options, out, on_score)


def play_with(
    game: Game,
    player: Player,
    options: LiveOptions,
    on_score: Callable[[float, float], None] | None = None,
    has_ended: Callable[[], bool] | None = None,
) -> PlayReport:
    """`play_live` with a game and a player that are there already; the caller closes the game.

    No further episode begins once `has_ended` says so: the person has left.
    """
    with _alone(options) as out:
        return _play(game, player, options, out, on_score, has_ended)


def _play(
    game: Game,
    player: Player,
    options: LiveOptions,
    out: Path,
    on_score: Callable[[float, float], None] | None,
    has_ended: Callable[[], bool] | None = None,
) -> PlayReport:
    name: str = getattr(player, "name", Path(options.agent.name).name)
    facts = getattr(getattr(player, "checkpoint", None), "facts", {})
    with share(game, player, options.person) as shared, said_aside(announce) as tell:
        instruction = _instruction(options, game)
        seconds = None if has_ended is not None else options.seconds
        keys = None if shared.takeover is None else options.person
        if shared.viewer is not None:
            shared.viewer.seconds, shared.viewer.keys = seconds, getattr(getattr(game, "profile", None), "keys", ())
        for sentence in introduction(name, facts, game.task, seconds, instruction, keys, _how(options, shared)):
            tell(sentence)
        return _play_shared(shared, name, options, out, instruction, tell, on_score, has_ended or (lambda: False))


def _how(options: LiveOptions, shared: SharedPlay) -> str:
    """How the person takes over, in words."""
    if shared.takeover is None:
        can_watch = shared.viewer is None and options.person.takeover
        return "add --view on to watch it and take over in the browser" if can_watch else "nobody can take over"
    if shared.take_events is None:
        return "click into the picture on the page to play yourself"
    return "any key, click or motion of your mouse in the game takes over"


def _instruction(options: LiveOptions, game: Game) -> str | None:
    return (options.instruction if options.instruction is not None else game.task.instructions[0]) or None


def _play_shared(
    shared: SharedPlay,
    name: str,
    options: LiveOptions,
    out: Path,
    instruction: str | None,
    tell: Callable[[str], None],
    on_score: Callable[[float, float], None] | None,
    has_ended: Callable[[], bool],
) -> PlayReport:
    game, player, takeover = shared.game, shared.player, shared.takeover
    date = datetime.now().astimezone().isoformat(timespec="seconds")
    timed = TimedGame(game, player_stages(player))
    watchers = _Watchers(
        LatencyObserver(timed),
        _Scores(on_score, game.fps),
        OverlayObserver(out / "play.mp4", name, game.fps) if options.video else None,
        _open_recorder(options, shared, name),
        shared.viewer,
        PaceObserver(tell, with_video=options.video),
        None if takeover is None else TurnsObserver(),
    )
    failure: BaseException | None = None
    try:
        if watchers.overlay is not None:
            watchers.overlay.wait_ready()
        with punctual():
            session = Session(timed, player, watchers.observers, instruction=instruction, source=takeover)
            if shared.viewer is not None:
                shared.viewer.instruct = partial(_instruct, session, tell)
            _play_episodes(session, options, has_ended)
    except BaseException as error:  # raised again when the report is there
        failure = error
    finally:
        if watchers.overlay is not None:
            watchers.overlay.close()
    if failure is not None and _is_ended_by_person(failure, takeover) and watchers.latency.timings():
        failure, end = None, "you ended it"
    else:
        end = _end(failure, has_ended)
    if shared.viewer is not None:
        shared.viewer.ended = end
    is_interrupted = isinstance(failure, KeyboardInterrupt)
    report = replace(
        watchers.report(game.task, game.fps, name, instruction),
        end=end,
        is_interrupted=is_interrupted,
        date=date,
        folder=str(out),
    )
    if failure is not None and not report.ticks:
        raise failure
    try:
        write_report(report, out)
    except UserError as error:
        _print_lost(report)
        if failure is None or is_interrupted:
            raise
        announce(str(error))
        raise failure from error
    if failure is not None and not is_interrupted:
        announce(f"what was played until it ended is in {out / 'report.html'}")
        raise failure
    return report


def _instruct(session: Session, tell: Callable[[str], None], instruction: str) -> None:
    """What the person has told the agent to do from now on; "": nothing."""
    session.instruction = instruction or None
    tell(f"instruction: “{instruction}”." if instruction else "no instruction.")


def _print_lost(report: PlayReport) -> None:
    """A report that cannot be written is shown at least."""
    from eyehand.console import Console
    from eyehand.play.report import print_report

    print_report(report, Console(stderr=True))


def _is_ended_by_person(failure: BaseException, takeover: Takeover | None) -> bool:
    """Whether it is what the panic key and the page's button do: a normal end."""
    is_signal = isinstance(failure, KeyboardInterrupt | SystemExit)
    return is_signal and takeover is not None and takeover.turn is Turn.NOBODY


def _end(failure: BaseException | None, has_ended: Callable[[], bool]) -> str:
    """What ended play, in words."""
    if failure is None:
        return "the game was left" if has_ended() else TIME_IS_OVER
    if isinstance(failure, KeyboardInterrupt):
        return "Ctrl-C"
    if isinstance(failure, SystemExit):
        return f"a signal (status {failure.code})"
    return str(failure) if isinstance(failure, UserError) else f"{type(failure).__name__}: {failure}"


@contextlib.contextmanager
def _alone(options: LiveOptions) -> Iterator[Path]:
    """The folder of the report, with checked options, and nobody else writing there or where the recordings are."""
    if options.seconds <= 0:
        raise UserError(f"--seconds must be more than 0, not {options.seconds:g}.")
    check_takeover(options.person)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_numbered(_OUT)) if options.out is None else options.out
        for folder in {each.absolute(): each for each in (out, options.record) if each is not None}.values():
            stack.enter_context(alone_in(folder, "play"))
        yield out


@contextlib.contextmanager
def _numbered(folder: Path) -> Iterator[Path]:
    """A new folder in this one, whose name is the next number; removed at the end if nothing came of it."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=0)
        while True:
            number += 1
            with contextlib.suppress(FileExistsError):  # another play has just taken it
                (new := folder / str(number)).mkdir()
                break
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot write to {folder} ({reason}): make space or choose another folder, --out.") from error
    try:
        yield new
    finally:
        with contextlib.suppress(OSError):
            for each in (new, *made):
                each.rmdir()


def _open_recorder(options: LiveOptions, shared: SharedPlay, name: str) -> Recorder | None:
    if options.record is None:
        return None
    from eyehand.recording.recorder import Recorder

    resize(np.zeros((8, 8, 3), np.uint8))  # loads what the first picture would have to wait for
    return Recorder(options.record, user=name, take_events=shared.take_events)


def _play_episodes(session: Session, options: LiveOptions, has_ended: Callable[[], bool]) -> None:
    """Episodes one after another. Only time in episodes counts: a game may take a second to start the next one."""
    left_s, seed = options.seconds, options.seed
    while left_s > 0.5 / session.game.fps and not has_ended():
        end = session.run_episode(seed, max_seconds=left_s)
        # An episode that ends in its first tick must not be played for ever.
        left_s -= max(end.seconds, 1 / session.game.fps)
        seed += 1


class _Scores:
    """Keeps what came of every episode, also of the one that Ctrl-C ends."""

    def __init__(self, on_score: Callable[[float, float], None] | None, fps: float) -> None:
        self.episodes: list[EpisodeReport] = []
        self._on_score = on_score
        self._fps = fps
        self._seed = 0
        self._seconds = 0.0

    def on_start(self, start: EpisodeStart) -> None:
        self._seed = start.seed

    def on_tick(self, tick: Tick) -> None:
        if self._on_score is not None:
            self._on_score(self._seconds + (tick.index + 1) / self._fps, tick.outcome.score)

    def on_end(self, end: EpisodeEnd) -> None:
        self._seconds += end.seconds
        self.episodes.append(
            EpisodeReport(self._seed, end.outcome.score, end.seconds, end.outcome.done, dict(end.outcome.facts))
        )


@dataclass(frozen=True)
class _Watchers:
    """The observers of a live play."""

    latency: LatencyObserver
    scores: _Scores
    overlay: OverlayObserver | None
    recorder: Recorder | None
    viewer: Viewer | None = None
    pace: PaceObserver | None = None
    turns: TurnsObserver | None = None

    @property
    def observers(self) -> list[Observer]:
        """The latency first: it reads the machine's state before the others use it."""
        observers: list[Observer] = [self.latency, self.scores]
        others = (self.pace, self.turns, self.viewer, self.overlay, self.recorder)
        return observers + [observer for observer in others if observer is not None]

    def report(self, task: TaskInfo, fps: float, player: str, instruction: str | None) -> PlayReport:
        """Their measurements."""
        timings, windows = self.latency.timings(), self.latency.windows
        timing = summarise(timings, fps)
        overlay = self.overlay
        return PlayReport(
            game=task.name,
            player=player,
            instruction=instruction,
            score_name=task.score,
            fps=fps,
            episodes=tuple(self.scores.episodes),
            timing=timing,
            quiet=summarise(timings, fps, quiet_only=True),
            machine=_machine(windows),
            seconds=tuple(_second(window, self.latency.origin_ns) for window in windows),
            ticks=tuple(timings),
            video=overlay.path.name if overlay is not None and overlay.is_complete else None,
            frames_dropped=overlay.num_dropped if overlay is not None else 0,
            recordings=tuple(str(folder) for folder in self.recorder.recordings) if self.recorder else (),
            problem=self._problem(timing.on_time),
            turns=() if self.turns is None else tuple(self.turns.turns),
        )

    def _problem(self, on_time: float) -> str | None:
        """What went wrong beside the play, in words."""
        problems = []
        if self.overlay is not None and self.overlay.problem:
            problems.append(f"The video was not written: {self.overlay.problem}.")
        late = None if self.pace is None else lateness(on_time, self.pace.width_px, with_video=self.overlay is not None)
        if late is not None and self.latency.timings():
            problems.append(late[0].upper() + late[1:])
        return " ".join(problems) or None


def _second(window: MachineWindow, origin_ns: int) -> Second:
    start_s, end_s = (window.start_ns - origin_ns) / 1e9, (window.end_ns - origin_ns) / 1e9
    return Second(start_s, end_s, window.steal, window.busy, window.own_cores, window.memory_bytes / 1e6)


def _machine(windows: Sequence[MachineWindow]) -> Machine:
    total_ns = sum(window.end_ns - window.start_ns for window in windows) or 1

    def mean(values: list[float]) -> float:
        return sum(v * (w.end_ns - w.start_ns) for v, w in zip(values, windows, strict=True)) / total_ns

    return Machine(
        cpu=cpu_name(),
        num_cores=num_cores(),
        mean_steal=mean([window.steal for window in windows]),
        max_steal=max((window.steal for window in windows), default=0.0),
        own_cores=mean([window.own_cores for window in windows]),
        peak_memory_mb=max((window.memory_bytes for window in windows), default=0) / 1e6,
    )
