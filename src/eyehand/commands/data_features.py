"""`eyehand data features`: features of recorded pictures by a frozen image trunk, to train from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from eyehand.commands.workers import Workers
from eyehand.terminal import counted, output

__all__ = ["Features"]


@dataclass(frozen=True)
class Features(Workers):
    """Compute what a frozen image trunk sees in every picture, and keep it beside the recordings for `train --trunk`.

    `train --trunk` does the same by itself; this is for doing it beforehand, or on a cluster. A killed run goes on when
    it is given again.

    Attributes:
        data: folders of recordings, or indexes (.parquet) from `eyehand data index`, on this machine.
        trunk: a checkpoint, whose image trunk is taken; lite0; or p2p:FILE: see `eyehand train`.
        views: how often a picture's features are computed: once as it is, and augmented.
        where: only recordings of the index for which this holds.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATA [DATA ...]")]
    trunk: str
    views: int = 1
    where: str | None = None

    def run(self) -> None:
        from eyehand.data.dataset import load_dataset
        from eyehand.data.split import Selection
        from eyehand.progress import shown_progress
        from eyehand.train.features import make_features
        from eyehand.train.trunk import load_trunk

        engine = self.make_engine()
        trunk = load_trunk(self.trunk)
        dataset = load_dataset(self.data, trunk.space, engine.num_workers, Selection(where=self.where))
        with shown_progress() as progress:
            made = make_features(dataset, trunk, engine, views=self.views, progress=progress)
        assert made.features is not None
        size = 2e-9 * made.num_steps * made.features.size * self.views
        output(
            f"{counted(len(made.episodes), 'recording')}, {made.num_steps:,} pictures: "
            f"{size:.2f} GB of features beside them"
        )
