"""`eyehand evaluate`: scores from play, beside random and demonstrator; with --data, what predictions cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from eyehand.errors import UserError
from eyehand.evaluate.score_options import EvaluateOptions
from eyehand.option_rules import OnlyWith
from eyehand.terminal import announce, counted


@dataclass(frozen=True, kw_only=True)
class Options(EvaluateOptions):
    """Options of `eyehand evaluate`.

    Attributes:
        json: where the result goes; a page (.html) and a plot (.svg) are written beside it.
        data: folders of held-out recordings, or indexes. With them nothing is played: the agent predicts their actions,
            and its perplexity per head is shown beside that of two baselines.
        baseline_data: with --data: what the baselines may count in, which should be what the agent has learnt from.
        where: with --data: a condition on the rows of an index.
        device: with --data: auto, cpu or cuda.
    """

    json: Path = Path("out/evaluation.json")
    data: tuple[Path, ...] = ()
    baseline_data: Annotated[tuple[Path, ...], OnlyWith("data")] = ()
    where: Annotated[str | None, OnlyWith("data")] = None
    device: Annotated[str, OnlyWith("data")] = "auto"


def run(options: Options) -> int:
    """Play all episodes, or predict all recordings; print the table, say where the files lie."""
    return _predict(options) if options.data else _play(options)


def _predict(options: Options) -> int:
    from eyehand.console import Console
    from eyehand.evaluate.offline import evaluate_offline, print_offline, write_offline
    from eyehand.progress import shown_progress

    if options.checkpoint is None:
        raise UserError("Say whose predictions are to be measured: --checkpoint NAME_OR_FOLDER.")
    with shown_progress() as progress:
        report = evaluate_offline(
            options.checkpoint,
            options.data,
            options.baseline_data,
            where=options.where,
            device=options.device,
            progress=progress,
        )
    console = Console()
    print_offline(report, console)
    write_offline(report, options.json)
    console.print(str(options.json))
    return 0


def _play(options: Options) -> int:
    from eyehand.console import Console
    from eyehand.evaluate.score import evaluate
    from eyehand.evaluate.score_report import print_scores, write_scores
    from eyehand.progress import shown_progress

    with shown_progress() as progress:
        report = evaluate(options, progress)
    console = Console()
    print_scores(report, console)
    for path in write_scores(report, options.json):
        console.print(str(path))
    if report.is_interrupted:
        announce(f"stopped after {counted(len(report.episodes), 'episode')}: what was played until then is above.")
        return 130
    return 0
