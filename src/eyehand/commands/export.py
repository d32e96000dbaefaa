"""`eyehand export`: recordings in other formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eyehand.errors import UserError
from eyehand.terminal import announce, counted, output


@dataclass(frozen=True)
class Options:
    """Options of `eyehand export`.

    Attributes:
        target_format: what to write; lerobot: a LeRobot data set, version 3.0, one episode per recording.
        source: an index, a folder of recordings at any depth, a .tar archive, or the URL of one.
        out: the folder to make.
        where: only recordings of the index for which this holds.
    """

    target_format: Annotated[Literal["lerobot"], tyro.conf.Positional, tyro.conf.arg(metavar="FORMAT")]
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    out: Path
    where: str | None = None


def run(options: Options) -> int:
    """Export. Ends with 2 if nothing could be exported."""
    try:
        from eyehand.data.index import INDEX_ENDING, read_index
        from eyehand.formats.lerobot_export import LOSSES, export_lerobot
    except ImportError as error:
        raise UserError("Exporting needs more packages: run `pip install 'eyehand[exchange]'`.") from error
    from eyehand.data.check_report import places_at
    from eyehand.progress import shown_progress

    problems: list[str] = []
    if options.source.endswith(INDEX_ENDING):
        rows = read_index(Path(options.source), options.where)
        places = [(row.source, row.files) for row in rows if row.error is None]
        problems = [f"{row.source}: {row.error}" for row in rows if row.error is not None]
    else:
        places, refused = places_at(options.source, options.where)
        problems = [f"{verdict.source}: {'; '.join(verdict.reasons)}" for verdict in refused]
    for problem in problems:
        _progress("", problem)
    output("What a recording has and LeRobot has not, or the other way round:")
    for loss in LOSSES:
        output(f"  - {loss}")
    with shown_progress() as shown:
        report = export_lerobot(places, options.out, _progress, shown)
    left_out = len(problems) + len(report.problems)
    output(
        f"wrote {counted(report.num_episodes, 'episode')} with {counted(report.num_frames, 'frame')} to {options.out}"
        + (f", and left {counted(left_out, 'recording')} out" if left_out else "")
    )
    return 0


def _progress(place: str, problem: str | None) -> None:
    if problem is None:
        output(f"{place}: done")
    else:
        announce(problem)
