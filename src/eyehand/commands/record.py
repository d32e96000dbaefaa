"""`eyehand record`: a person plays a desktop game, or a player plays episodes of Doom, and it is kept as recordings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eyehand.clock import FPS

if TYPE_CHECKING:
    from eyehand.collect.person import PersonReport


@dataclass(frozen=True)
class Options:
    """Options of `eyehand record`.

    A desktop game (a profile, or --window) is played by you, and keyboard and mouse are recorded. Doom is played by
    --player.

    Attributes:
        out: folder that gets one folder per episode, or per stretch of play without a pause.
        game: what to play: a profile's name (chocolate-doom) or file; or for a player a family (doom), one game
            (doom/aim), or several with commas between.
        window: instead of a game: a window that is there, by a part of its title, class=CLASS, pid=PID, id=NUMBER, or ?
            for the one that you then click into.
        minutes: game time to record for each game. Default: 10 for a player, until Ctrl-C for a person.
        instruction: (person) what you are going to do, in words. Default: the profile's usual instruction. A line typed
            at the terminal while you play is another one.
        wait: (person) do not record yet: hold the last seconds, until a hotkey starts recording or keeps them.
        keep_seconds: (person) how many seconds are held.
        key_record: (person) the hotkey that starts and stops recording.
        key_pause: (person) the hotkey that pauses: nothing is recorded or held.
        key_keep: (person) the hotkey that keeps the last seconds.
        key_instruction: (person) the hotkey that goes to the profile's next instruction.
        player: who plays: demonstrator, random, or the name or folder of a checkpoint.
        dagger: the player is the learner of DAgger: the demonstrator, its expert, labels every tick and also acts.
        learner_share: with --dagger, the share of the time in which the learner acts.
        noise_injection: share of the demonstrator's episodes in which other actions than its own are done now and then.
        episodes: instead of --minutes, a number of episodes for each game.
        seed: of the first episode of every game.
        workers: processes; one core each.
        instructed: share of the episodes that carry one of the task's instructions.
    """

    out: Path
    game: str | None = None
    window: str | None = None
    minutes: float | None = None
    instruction: str | None = None
    wait: bool = False
    keep_seconds: float = 30.0
    key_record: str = "RightAlt+Home"
    key_pause: str = "RightAlt+End"
    key_keep: str = "RightAlt+Insert"
    key_instruction: str = "RightAlt+PageUp"
    player: str = "demonstrator"
    dagger: bool = False
    learner_share: float = 0.7
    noise_injection: float = 0.6
    episodes: int | None = None
    seed: int = 1_000_000
    workers: int = 1
    instructed: float = 1.0


def run(options: Options) -> int:
    """Record a person at a desktop game, or a player at others."""
    from eyehand.desktop.profile import profile_names
    from eyehand.errors import UserError

    if (options.game is None) == (options.window is None):
        raise UserError("Say what to record: either --game NAME (`eyehand games` lists them) or --window TITLE.")
    if options.minutes is not None and options.minutes <= 0:
        raise UserError("Option --minutes must be above 0.")
    if options.game is None:
        return _record_person(options, f"window:{options.window}")
    if options.game in profile_names() or options.game.endswith(".toml"):
        return _record_person(options, options.game)
    return _record_player(options, options.game)


def _record_person(options: Options, game: str) -> int:
    """Until the person, the time or the game is over."""
    import sys
    from contextlib import closing

    from eyehand.desktop import require_xcb
    from eyehand.errors import UserError

    if options.keep_seconds <= 0:
        raise UserError("Option --keep-seconds must be above 0.")
    require_xcb()
    from eyehand.collect.person import RecordKeys, RecordPersonOptions, record_person
    from eyehand.games.desktop.x11 import X11Game, open_desktop

    keys = RecordKeys(options.key_record, options.key_pause, options.key_keep, options.key_instruction)
    keys.hotkeys()
    wanted = RecordPersonOptions(
        out=options.out,
        instruction=options.instruction,
        seconds=None if options.minutes is None else options.minutes * 60,
        is_waiting=options.wait,
        keep_seconds=options.keep_seconds,
        keys=keys,
    )
    with closing(open_desktop(game)) as played:
        if not isinstance(played, X11Game):
            raise UserError("People are recorded under X11: log in to an X11 session.")
        report = record_person(played, wanted, typed=sys.stdin if sys.stdin.isatty() else None)
    _print_person(report)
    if report.failure is not None:
        raise report.failure
    return 0


def _print_person(report: PersonReport) -> None:
    """What was recorded, and how well."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
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
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table

    from eyehand.collect.episodes import CollectOptions, EpisodeRecord, collect
    from eyehand.errors import UserError
    from eyehand.games.families import game_names

    for name in ("dagger", "noise_injection", "learner_share", "instructed"):
        if not 0 <= getattr(options, name) <= 1:
            raise UserError(f"Option --{name.replace('_', '-')} must be between 0 and 1.")
    if (options.episodes is not None and options.episodes < 1) or options.workers < 1:
        raise UserError("Options --episodes and --workers must be above 0.")
    minutes = 10.0 if options.minutes is None else options.minutes
    games = tuple(game_names(game))
    done: dict[str, list[EpisodeRecord]] = defaultdict(list)
    wanted = minutes * 60 * FPS * len(games) if options.episodes is None else options.episodes * len(games)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("recording", total=wanted)
        for episode in collect(
            CollectOptions(
                games=games,
                out=options.out,
                player=options.player,
                dagger=options.dagger,
                learner_share=options.learner_share,
                noise_injection=options.noise_injection,
                minutes=minutes,
                episodes=options.episodes,
                first_seed=options.seed,
                workers=options.workers,
                instructed=options.instructed,
            )
        ):
            done[episode.game].append(episode)
            progress.advance(bar, episode.num_ticks if options.episodes is None else 1)
    table = Table("game", "episodes", "minutes", "mean score")
    for game in games:
        episodes = done[game]
        ticks, score = sum(e.num_ticks for e in episodes), sum(e.score for e in episodes) / max(1, len(episodes))
        table.add_row(game, str(len(episodes)), f"{ticks / (60 * FPS):.1f}", f"{score:.2f}")
    Console().print(table)
    return 0
