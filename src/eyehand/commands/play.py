"""`eyehand play`: live play in real time, with a report and a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eyehand.play.play_options import PlayOptions as Options

if TYPE_CHECKING:
    from eyehand.play.report import PlayReport

__all__ = ["Options", "run", "say_what_came_of_it"]


def run(options: Options) -> int:
    """Play, print the report, say where it lies. Ends with 130 if Ctrl-C cut it short."""
    from eyehand.play.play import play_live

    return say_what_came_of_it(play_live(options))


def say_what_came_of_it(report: PlayReport) -> int:
    """Print a report, and where it lies; returns the exit status."""
    from eyehand.console import Console
    from eyehand.play.report import print_report

    console = Console()
    print_report(report, console)
    console.print(f"report {Path(report.folder, 'report.html')} (`eyehand last` opens the newest)")
    if report.video is not None:
        console.print(f"video  {Path(report.folder, report.video)}")
    return 130 if report.is_interrupted else 0
