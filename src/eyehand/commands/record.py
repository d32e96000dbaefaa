"""`eyehand record`: play episodes and keep them as recordings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Options of `eyehand record`.

    Attributes:
        game: what to play: a family (doom), one game (doom/aim), or several with commas between.
        out: folder that gets one folder per episode.
        player: who plays: demonstrator, random, or the name or folder of a checkpoint.
        taught: let the demonstrator label what the player does, and take turns with it (DAgger).
        pupil_share: with --taught, the share of the time that the player has the hands.
        perturb: share of the demonstrator's episodes in which its hands are disturbed now and then.
        minutes: game time to record for each game.
        episodes: instead of --minutes, a number of episodes for each game.
        seed: of the first episode of every game.
        workers: processes; one core each.
        instructed: share of the episodes that carry one of the task's instructions.
    """

    game: str
    out: Path
    player: str = "demonstrator"
    taught: bool = False
    pupil_share: float = 0.7
    perturb: float = 0.6
    minutes: float = 10.0
    episodes: int | None = None
    seed: int = 1_000_000
    workers: int = 1
    instructed: float = 1.0


def run(options: Options) -> int:
    """Record, with a line per game at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table

    from eyehand.collect import CollectOptions, EpisodeRecord, collect
    from eyehand.errors import UserError
    from eyehand.games.registry import game_names

    for name in ("taught", "perturb", "pupil_share", "instructed"):
        if not 0 <= getattr(options, name) <= 1:
            raise UserError(f"Option --{name.replace('_', '-')} must be between 0 and 1.")
    if options.minutes <= 0 or (options.episodes is not None and options.episodes < 1) or options.workers < 1:
        raise UserError("Options --minutes, --episodes and --workers must be above 0.")
    games = tuple(game_names(options.game))
    done: dict[str, list[EpisodeRecord]] = defaultdict(list)
    wanted = options.minutes * 60 * 20 * len(games) if options.episodes is None else options.episodes * len(games)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("recording", total=wanted)
        for episode in collect(
            CollectOptions(
                games=games,
                out=options.out,
                player=options.player,
                taught=options.taught,
                pupil_share=options.pupil_share,
                perturb=options.perturb,
                minutes=options.minutes,
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
        table.add_row(game, str(len(episodes)), f"{ticks / 1200:.1f}", f"{score:.2f}")
    Console().print(table)
    return 0
