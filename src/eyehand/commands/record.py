"""`eyehand record`: a person plays a desktop game, or a player plays episodes of Doom, and it is kept as recordings."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from eyehand.clock import FPS
from eyehand.collect.record_options import CollectOptions, RecordPersonOptions
from eyehand.collect.record_options import RecordOptions as Options
from eyehand.errors import UserError
from eyehand.option_rules import flag, given_options

if TYPE_CHECKING:
    from eyehand.collect.person import PersonReport

__all__ = ["Options", "run"]


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
    import sys
    from contextlib import closing

    from eyehand.desktop import require_xcb

    if useless := given_options(options.episodes):
        raise UserError(
            f"{game} is played by you: option {flag(next(iter(useless)))} is for games that a player plays."
        )
    if options.person.keep_seconds <= 0:
        raise UserError("Option --keep-seconds must be above 0.")
    require_xcb()
    from eyehand.collect.person import record_person
    from eyehand.games.desktop.x11 import X11Game
    from eyehand.games.families import open_game

    options.person.hotkeys()
    seconds = None if options.minutes is None else options.minutes * 60
    wanted = RecordPersonOptions(out=options.out, seconds=seconds, **vars(options.person))
    with closing(open_game(game, realtime=True)) as played:
        if not isinstance(played, X11Game):
            raise UserError("People are recorded under X11: log in to an X11 session.")
        report = record_person(played, wanted, typed=sys.stdin if sys.stdin.isatty() else None)
    _print_person(report)
    if isinstance(report.failure, KeyboardInterrupt):
        return 130
    if report.failure is not None:
        raise report.failure
    return 0


def _print_person(report: PersonReport) -> None:
    """What was recorded, and how well."""
    from eyehand.console import Console

    console = Console(soft_wrap=True)
    for path in report.recordings:
        console.print(f"recording {path}")
    median_ms, late_ms, most_ms = report.deviation_ms
    console.print(
        f"{report.seconds / 60:.1f} minutes, {report.num_frames} frames, {report.num_dropped} dropped; "
        f"encoding took {report.encoder_share:.0%} of one core"
    )
    console.print(
        f"frames off their tick: p50 {median_ms:.1f} ms, p99 {late_ms:.1f}, max {most_ms:.1f}; "
        f"{report.near_share:.1%} within 2 ms"
    )


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
