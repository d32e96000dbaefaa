"""`eyehand import`: recordings of other formats become ours. Each of `formats.import_formats` is a sub-command."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

import tyro

from eyehand.commands.workers import Workers
from eyehand.errors import UserError
from eyehand.formats.import_formats import FORMATS, Format
from eyehand.terminal import announce, counted, output


def _sub_commands() -> Any:
    """All formats, each with the options of who does the work, as the type of an option. Those of packages that are
    broken are told and left out."""
    found = []
    for name in FORMATS.names:
        try:
            with FORMATS.blame(name):
                kind = FORMATS.load(name)
                bases, documented = (kind, Workers), {"__doc__": kind.__doc__}
                options = make_dataclass(kind.__name__, (), bases=bases, namespace=documented, frozen=True)
        except UserError as error:
            announce(str(error))
        else:
            found.append(Annotated[options, tyro.conf.subcommand(name, prefix_name=False)])
    return Union[tuple(found)]  # noqa: UP007 - their number is known now


if TYPE_CHECKING:
    from eyehand.formats.importing import ImportReport

    class AnyFormat(Format, Workers):
        """Each of them."""

else:
    AnyFormat = _sub_commands()


@dataclass(frozen=True)
class Options:
    """Options of `eyehand import`.

    Attributes:
        source_format: what to import.
    """

    source_format: AnyFormat


def run(options: Options) -> int:
    """Import. Ends with 2 if anything could not be imported."""
    from eyehand.formats.importing import import_recordings
    from eyehand.progress import shown_progress

    chosen = options.source_format
    importer = chosen.importer()
    with shown_progress() as shown:
        report = import_recordings(
            *(importer, chosen.out), progress=_progress, shown=shown, engine=chosen.make_engine()
        )
    output(f"What {importer.format} has and a recording has not, or the other way round:")
    for loss in importer.losses:
        output(f"  - {loss}")
    return _show(report, chosen.out)


def _progress(source: str, problem: str | None) -> None:
    if problem is None:
        output(f"{source}: done")
    else:
        announce(problem)


def _show(report: ImportReport, out: Path) -> int:
    for folder, notes in report.notes:
        for note in notes:
            output(f"{folder}: {note}")
    there = f", {len(report.skipped)} were there already" if report.skipped else ""
    failed = f"; {len(report.problems)} could not be imported, see above" if report.problems else ""
    output(
        f"wrote {counted(len(report.written), 'recording')} with {counted(report.num_frames, 'frame')} to {out}"
        f"{there}{failed}"
    )
    return 2 if report.problems else 0
