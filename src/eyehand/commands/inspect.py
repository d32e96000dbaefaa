"""`eyehand inspect`: are these recordings sound, and what is in them?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eyehand.option_rules import OnlyWith
from eyehand.terminal import output_json, print_line


@dataclass(frozen=True)
class Options:
    """Options of `eyehand inspect`.

    Attributes:
        folder: one recording, or a folder that holds recordings at any depth.
        as_json: print JSON instead of tables.
        html: write a page to look at: every recording's video with its actions, frame by frame. It is one file
            that needs nothing else.
        picture: the video in the page: as it was captured, or as the network sees it.
        max_mb: how large the page may become.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    as_json: bool = False
    html: Path | None = None
    picture: Annotated[Literal["captured", "network"], OnlyWith("html")] = "captured"
    max_mb: Annotated[float, OnlyWith("html")] = 100.0


def run(options: Options) -> int:
    """Print what was found. Ends with 2 if a recording is corrupt."""
    from eyehand.console import Console
    from eyehand.progress import shown_progress
    from eyehand.recording.inspect import inspect, print_inspection

    with shown_progress() as progress:
        inspection = inspect(options.folder, progress)
    if options.as_json:
        output_json(inspection.to_json())
    else:
        print_inspection(inspection, Console())
    if options.html is not None:
        from eyehand.pages.recording_page import write_page

        write_page(inspection.reports, options.html, options.picture, round(options.max_mb * 1e6), print_line)
        print_line(f"wrote {options.html}: open it in a browser")
    return 2 if inspection.is_corrupt else 0
