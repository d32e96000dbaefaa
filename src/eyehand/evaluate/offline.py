"""Offline evaluation: perplexity per head of a policy on recordings that it was not trained on, and two baselines.

Teacher-forced, with the true history, over every step of the recordings, in clips of the policy's history length that
begin with an empty one. `marginal` predicts token frequencies, `copy_last` the last executed action (see
`train.validation`, which training uses on its held-out part). None of it measures how well the policy plays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eyehand.checkpoint import load_checkpoint
from eyehand.data.dataset import load_dataset
from eyehand.data.split import Selection
from eyehand.errors import UserError
from eyehand.model.text import text_encoder
from eyehand.progress import Progress, no_progress
from eyehand.replaced import replaced
from eyehand.terminal import counted
from eyehand.train.device import choose_device, has_bfloat16
from eyehand.train.validation import HeldOut, Scores, copy_last_scores, marginal_scores

if TYPE_CHECKING:
    from eyehand.console import Console

__all__ = ["OfflineReport", "evaluate_offline", "print_offline", "write_offline"]

_BATCH_CLIPS = 4


@dataclass(frozen=True)
class OfflineReport:
    """The result of `evaluate_offline`.

    Attributes:
        checkpoint: the policy's.
        data: the evaluated recordings.
        baseline_data: the recordings that the baselines' statistics are from; `data` where none were named, which
            favours the baselines.
        num_recordings, num_steps: evaluated; steps with a known user action.
        scores: of `policy`, `marginal` and `copy_last`.
    """

    checkpoint: str
    data: tuple[str, ...]
    baseline_data: tuple[str, ...]
    num_recordings: int
    num_steps: int
    scores: dict[str, Scores]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values, with the perplexity of every head."""
        return {
            "checkpoint": self.checkpoint,
            "data": self.data,
            "baseline_data": self.baseline_data,
            "num_recordings": self.num_recordings,
            "num_steps": self.num_steps,
            **{
                name: {"perplexity": scores.perplexity, "cross_entropy": scores.cross_entropy, "loss": scores.loss}
                for name, scores in self.scores.items()
            },
        }


def evaluate_offline(
    checkpoint: str,
    data: Sequence[Path],
    baseline_data: Sequence[Path] = (),
    *,
    where: str | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> OfflineReport:
    """Evaluate a checkpoint's predictions on recordings.

    Args:
        checkpoint: a bundled checkpoint's name or a folder.
        data: folders of recordings, or indexes, that the policy was not trained on.
        baseline_data: the policy's training data, for the baselines' statistics. Empty: `data`.
        where: a condition on the rows of the indexes in `data`.
        device: `auto`, `cpu`, `cuda`.
        progress: see `progress.py`.

    Raises:
        UserError: the checkpoint or the recordings cannot be used.
    """
    loaded = load_checkpoint(checkpoint)
    config = loaded.config
    on = choose_device(device)
    held_out_data = load_dataset(data, config.space, selection=Selection(where=where))
    counted_in = load_dataset(baseline_data, config.space) if baseline_data else held_out_data
    shared = {episode.id for episode in held_out_data.episodes} & {episode.id for episode in counted_in.episodes}
    if baseline_data and shared:
        raise UserError(
            f"{len(shared)} of the recordings to be predicted are in the baseline's data too: they are not held out."
        )
    held_out = HeldOut(held_out_data, config.history_steps, _BATCH_CLIPS, held_out_data.num_steps, is_kept=False)
    encoder = text_encoder(config.text_encoder)
    text_table_MND = torch.from_numpy(np.stack([encoder.embed(text) for text in held_out_data.instructions])).to(on)
    autocast = torch.autocast(on.type, torch.bfloat16, enabled=has_bfloat16(on))
    rows = held_out.rows()
    return OfflineReport(
        checkpoint=loaded.name,
        data=tuple(map(str, data)),
        baseline_data=tuple(map(str, baseline_data or data)),
        num_recordings=len(held_out_data.episodes),
        num_steps=len(rows),
        scores={
            "policy": held_out.evaluate(loaded.policy.to(on), text_table_MND, autocast, progress),
            "marginal": marginal_scores(counted_in, held_out_data, rows),
            "copy_last": copy_last_scores(counted_in, held_out_data, rows),
        },
    )


def print_offline(report: OfflineReport, console: Console) -> None:
    """Print the perplexities as a table; lower is better, 1 is certainty."""
    from eyehand.console import Table

    heads = list(next(iter(report.scores.values())).cross_entropy)
    table = Table(
        title=f"perplexity of {counted(report.num_steps, 'action')} in {counted(report.num_recordings, 'recording')}"
    )
    for column in ("", *heads, "loss"):
        table.add_column(column, justify="left" if not column else "right")
    for name, scores in report.scores.items():
        values = (f"{scores.perplexity[head]:.3f}" for head in heads)
        table.add_row(report.checkpoint if name == "policy" else name, *values, f"{scores.loss:.4f}")
    console.print(table)
    if report.baseline_data == report.data:
        console.print("The baselines counted in the very recordings that they predict: see --baseline-data.")


def write_offline(report: OfflineReport, path: Path) -> None:
    """Write it as JSON.

    Raises:
        UserError: it cannot be written.
    """
    with replaced(path) as partial:
        partial.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
