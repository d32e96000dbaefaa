"""`eyehand record`: a person plays a desktop game, or a player plays episodes of Doom, and it is kept as recordings."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from eyehand.clock import FPS
from eyehand.collect.record_options import CollectOptions, RecordPersonOptions
from eyehand.collect.record_options import RecordOptions as Options
from eyehand.errors import GameEnded, UserError
from eyehand.option_rules import flag, given_options
from eyehand.terminal import clock_time, counted

if TYPE_CHECKING:
    from eyehand.collect.person import PersonReport

__all__ = ["Options", "run"]

_LEAST_BYTES = 100_000_000
_MOST_DROPPED = 0.02


def run(options: Options) -> int:
    """Record a person at a desktop game, or a player at others."""
    from eyehand.games.families import family_of

    if (options.game is None) == (options.window is None):
        raise UserError("Say what to record: either --game NAME (`eyehand games` lists them) or --window TITLE.")
    if options.minutes is not None and options.minutes <= 0:
        raise UserError("Option --minutes must be above 0.")
    game = f"window:{options.window}" if options.game is None else options.game
    if "," not in game and not family_of(game).can_step:
        return _record_person(options, game)
    return _record_player(options, game)


def _record_person(options: Options, game: str) -> int:
    """Until the person, the time or the game is over. Ends with 130 after Ctrl-C."""
    from contextlib import closing

    from eyehand.desktop import require_xcb

    if useless := given_options(options.episodes):
        raise UserError(
            f"{game} is played by you: option {flag(next(iter(useless)))} is for games that a player plays."
        )
    if options.person.keep_seconds <= 0:
        raise UserError("Option --keep-seconds must be above 0.")
    if options.person.lines < 2:
        raise UserError("Option --lines must be above 1.")
    require_xcb()
    if not os.environ.get("DISPLAY"):
        raise UserError("There is no display (DISPLAY is not set): log in to an X11 session to be recorded.")
    from eyehand.collect.person import record_person
    from eyehand.game import Screen
    from eyehand.games.desktop.x11 import X11Game
    from eyehand.games.families import open_game

    options.person.hotkeys()
    _check_space(options.out)
    seconds = None if options.minutes is None else options.minutes * 60
    wanted = RecordPersonOptions(out=options.out, seconds=seconds, **vars(options.person))
    screen = Screen(own_screen=options.person.own_screen, visible=options.person.own_screen is not None)
    with closing(open_game(game, realtime=True, screen=screen)) as played:
        if not isinstance(played, X11Game):
            raise UserError("People are recorded under X11: log in to an X11 session.")
        report = record_person(played, wanted)
    _print_person(report)
    if isinstance(report.failure, GameEnded):
        return 0
    if isinstance(report.failure, KeyboardInterrupt):
        return 130
    if report.failure is not None:
        raise report.failure
    return 0


def _check_space(out: Path) -> None:
    """Refuse a disk that is full already, before the game starts."""
    place = out.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < _LEAST_BYTES:
        raise UserError(f"Only {free / 1e6:.0f} MB of disk are free for {out}: make space or choose another place.")


def _print_person(report: PersonReport) -> None:
    """What was recorded, the newest first, and how well."""
    from eyehand.console import Console

    console = Console(soft_wrap=True)
    if isinstance(report.failure, GameEnded):
        console.print(f"the game is over: {report.failure}")
    for path, title in reversed([*zip(report.recordings, report.titles, strict=True)]):
        console.print(f"{title}  {path}")
    for path in report.set_aside:
        console.print(f"thrown away, until you delete it: {path}")
    if report.num_short:
        console.print(f"{counted(report.num_short, 'piece')} of less than a second not kept")
    num_ticks = report.num_frames + report.num_dropped
    console.print(
        f"{counted(len(report.recordings), 'recording')}, {clock_time(report.seconds)}, "
        f"{counted(report.num_frames, 'frame')}; encoding took {report.encoder_share:.0%} of one core"
    )
    if report.num_dropped > _MOST_DROPPED * num_ticks:
        console.print(
            f"{report.num_dropped:,} of {num_ticks:,} frames were dropped, for this computer was too busy: end other "
            "programs, or make the game's window smaller, and record anew",
            style="yellow",
        )
    if report.num_frames:
        median_ms, late_ms, _ = report.deviation_ms
        console.print(f"half of the frames came within {median_ms:.1f} ms of their time, 99% within {late_ms:.1f} ms")


def _record_player(options: Options, game: str) -> int:
    """Record, with a line per game at the end."""

    from eyehand.collect.episodes import EpisodeRecord, collect
    from eyehand.console import Console, Table
    from eyehand.games.families import game_names
    from eyehand.progress import shown_progress

    if useless := given_options(options.person):
        raise UserError(
            f"{game} is played by {options.episodes.player}: option {flag(next(iter(useless)))} is for games that you "
            "play yourself."
        )
    for name in ("dagger", "noise_injection", "learner_share", "instructed"):
        if not 0 <= getattr(options.episodes, name) <= 1:
            raise UserError(f"Option --{name.replace('_', '-')} must be between 0 and 1.")
    num_episodes = options.episodes.episodes
    if (num_episodes is not None and num_episodes < 1) or options.episodes.workers < 1:
        raise UserError("Options --episodes and --workers must be above 0.")
    minutes = 10.0 if options.minutes is None else options.minutes
    games = tuple(game_names(game))
    done: dict[str, list[EpisodeRecord]] = defaultdict(list)
    wanted = minutes * 60 * FPS * len(games) if num_episodes is None else num_episodes * len(games)
    with shown_progress() as progress:
        num_done = 0
        progress("recording", num_done, wanted)
        for episode in collect(CollectOptions(games=games, out=options.out, minutes=minutes, **vars(options.episodes))):
            done[episode.game].append(episode)
            num_done += episode.num_ticks if num_episodes is None else 1
            progress("recording", num_done, wanted)
    table = Table("game", "episodes", "minutes", "mean score")
    for game in games:
        episodes = done[game]
        ticks, score = sum(e.num_ticks for e in episodes), sum(e.score for e in episodes) / max(1, len(episodes))
        table.add_row(game, str(len(episodes)), f"{ticks / (60 * FPS):.1f}", f"{score:.2f}")
    Console().print(table)
    return 0
