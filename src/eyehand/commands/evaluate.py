"""`eyehand evaluate`: scores from play, beside random and demonstrator; with --data, what predictions cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError


@dataclass(frozen=True)
class Options:
    """Options of `eyehand evaluate`.

    Attributes:
        checkpoint: the agent: a bundled checkpoint's name or a folder. Default: only random and demonstrator play.
        game: a family (doom), one game (doom/aim), or several with commas between.
        episodes: seeded episodes for each game and player.
        json: where the result goes; a page (.html) and a plot (.svg) are written beside it.
        workers: processes. Default: one per core.
        seed: the first seed; training data is recorded from seed 1,000,000 on, so that nothing here was seen before.
        instruction: what the agent is told in every game. Default: the game's own instructions in turn.
        baselines: a result of an earlier run, whose episodes of random and demonstrator are taken over.
        swap: two games on one map with a comma between (doom/aim,doom/approach): the agent also plays each of them
            with the other's instruction.
        data: folders of held-out recordings, or indexes. With them nothing is played: the agent predicts their actions,
            and its perplexity per head is shown beside that of two baselines.
        baseline_data: with --data: what the baselines may count in, which should be what the agent has learnt from.
        where: with --data: a condition on the rows of an index.
        device: with --data: auto, cpu or cuda.
    """

    checkpoint: str | None = None
    game: str = "doom"
    episodes: int = 30
    json: Path = Path("out/evaluation.json")
    workers: int = 0
    seed: int = 0
    instruction: str | None = None
    baselines: Path | None = None
    swap: str | None = None
    data: tuple[Path, ...] = ()
    baseline_data: tuple[Path, ...] = ()
    where: str | None = None
    device: str = "auto"


def run(options: Options) -> int:
    """Play all episodes, or predict all recordings; print the table, say where the files lie."""
    return _predict(options) if options.data else _play(options)


def _predict(options: Options) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from eyehand.evaluate.offline import evaluate_offline, print_offline, write_offline

    if options.checkpoint is None:
        raise UserError("Say whose predictions are to be measured: --checkpoint NAME_OR_FOLDER.")
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task("predicting", total=None)
        report = evaluate_offline(
            options.checkpoint,
            options.data,
            options.baseline_data,
            where=options.where,
            device=options.device,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    console = Console()
    print_offline(report, console)
    write_offline(report, options.json)
    console.print(str(options.json), highlight=False)
    return 0


def _play(options: Options) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from eyehand.evaluate.score import EvaluateOptions, evaluate
    from eyehand.evaluate.score_report import print_scores, write_scores

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task("playing", total=None)
        report = evaluate(
            EvaluateOptions(
                checkpoint=options.checkpoint,
                game=options.game,
                episodes=options.episodes,
                first_seed=options.seed,
                workers=options.workers,
                instruction=options.instruction,
                baselines=options.baselines,
                swap=options.swap,
            ),
            lambda done, total, what: progress.update(bar, completed=done, total=total, description=what),
        )
    console = Console()
    print_scores(report, console)
    for path in write_scores(report, options.json):
        console.print(str(path), highlight=False)
    return 0
