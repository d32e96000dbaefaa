"""`eyehand data push` and `pull`: a data set to and from a hub or any file system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from eyehand.terminal import counted, output


@dataclass(frozen=True)
class Push:
    """Upload a folder of recordings or a LeRobot data set, with a card and checksums. A killed push goes on.

    Attributes:
        source: the folder; hidden files in it stay here.
        url: where to: hf://datasets/OWNER/NAME (made private if new), or a folder on any file system of fsspec.
        licence: of the data, as hubs name it, such as mit or cc-by-4.0.
        index: an index of these recordings, for the card; default: they are all read.
        verify: read every uploaded file back and compare it.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    url: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="URL")]
    licence: str = "unknown"
    index: Path | None = None
    verify: bool = False

    def run(self) -> None:
        """Upload and say so."""
        from eyehand.hub.card import card_of
        from eyehand.hub.push import push
        from eyehand.hub.store import open_store
        from eyehand.progress import shown_progress

        store = open_store(self.url)
        card = card_of(self.source, self.licence, self.index, output)
        with shown_progress() as progress:
            report = push(self.source, store, card, verify=self.verify, progress=progress)
        output(
            f"pushed {counted(report.num_files, 'file')}, {report.num_bytes:,} bytes, {report.num_uploaded} of them new"
        )


@dataclass(frozen=True)
class Pull:
    """Fetch what was pushed, and compare every file with its checksum. A killed pull goes on.

    Attributes:
        url: hf://datasets/OWNER/NAME, or a folder on any file system of fsspec.
        folder: where to; appears or changes when everything is there.
        without_manifest: fetch whatever is there, for data sets that `eyehand data push` did not put there; only sizes
            are compared, and checksums where the hub knows them.
    """

    url: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="URL")]
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    without_manifest: bool = False

    def run(self) -> None:
        """Fetch and say so."""
        from eyehand.hub.pull import pull
        from eyehand.hub.store import open_store
        from eyehand.progress import shown_progress

        with shown_progress() as progress:
            report = pull(open_store(self.url), self.folder, self.without_manifest, progress=progress)
        output(
            f"pulled {counted(report.num_files, 'file')}, {report.num_bytes:,} bytes, {report.num_fetched} of them new"
        )
