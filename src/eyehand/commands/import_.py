"""`eyehand import`: recordings of other formats become ours.

Each format is one sub-command: a dataclass with its options whose `importer()` gives the Importer (see
`formats/importing.py`, which does the writing).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

import tyro

from eyehand.announce import announce
from eyehand.commands.workers import Workers
from eyehand.errors import UserError
from eyehand.formats.importing import Importer, ImportReport
from eyehand.jobs.engine import Engine


class Format(Protocol):
    """What every sub-command has.

    Attributes:
        out: the folder of recordings to write into.
    """

    @property
    def out(self) -> Path: ...

    def make_engine(self) -> Engine: ...

    def importer(self) -> Importer: ...


@dataclass(frozen=True)
class Vpt(Workers):
    """OpenAI's VPT contractor data (Minecraft): pairs of NAME.mp4 and NAME.jsonl.

    Attributes:
        sources: folders that hold such pairs at any depth, or .mp4 files.
        out: the folder of recordings to write into; made if missing.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SRC [SRC ...]")]
    out: Path

    def importer(self) -> Importer:
        from eyehand.formats.vpt import VptImporter

        return VptImporter(self.sources)


@dataclass(frozen=True)
class Owa(Workers):
    """Desktop recordings of Open World Agents' ocap: NAME.mcap with the video that it refers to.

    Attributes:
        sources: folders that hold .mcap files at any depth, or .mcap files.
        out: the folder of recordings to write into; made if missing.
        game: what was played.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SRC [SRC ...]")]
    out: Path
    game: str = "desktop"

    def importer(self) -> Importer:
        from eyehand.formats.owa import OwaImporter

        return OwaImporter(self.sources, self.game)


@dataclass(frozen=True)
class Csgo(Workers):
    """The Counter-Strike behavioural cloning data set: .hdf5 files of 16 pictures a second.

    Attributes:
        sources: folders that hold .hdf5 files at any depth, or .hdf5 files.
        out: the folder of recordings to write into; made if missing.
        fps: pictures a second in the files.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SRC [SRC ...]")]
    out: Path
    fps: float = 16.0

    def importer(self) -> Importer:
        from eyehand.formats.csgo import CsgoImporter

        return CsgoImporter(self.sources, self.fps)


@dataclass(frozen=True)
class DoomDemos(Workers):
    """Doom demos (.lmp, or inside WADs): people's play with exact labels, drawn by dsda-doom, 20 pictures a second.

    Attributes:
        sources: WADs that hold demos (DEMO1, DEMO2, ...), or .lmp files.
        out: the folder of recordings to write into; made if missing.
        iwad: the game that .lmp files and additions to a game are played with.
        files: additions to the game (PWADs, .deh patches) that .lmp files were recorded with.
        part: all, test (the last demo of every WAD) or train (the others).
        instruction: what there was to do, stated in every recording. Default: as the kind of game has it; '': nothing.
        anyway: import demos that seem to be recorded with other files all the same.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="WAD_OR_LMP [WAD_OR_LMP ...]")]
    out: Path
    iwad: Path | None = None
    files: tuple[Path, ...] = ()
    part: Literal["all", "train", "test"] = "all"
    instruction: str | None = None
    anyway: bool = False

    def importer(self) -> Importer:
        from eyehand.formats.doom.demos import DoomDemoImporter

        return DoomDemoImporter(
            self.sources,
            iwad=self.iwad,
            files=self.files,
            part=self.part,
            instruction=self.instruction,
            anyway=self.anyway,
        )


@dataclass(frozen=True)
class Lerobot(Workers):
    """LeRobot data sets, version 3.0, of keyboard and mouse, such as `eyehand export lerobot` makes.

    Attributes:
        sources: folders of data sets.
        out: the folder of recordings to write into; made if missing.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SRC [SRC ...]")]
    out: Path

    def importer(self) -> Importer:
        try:
            from eyehand.formats.lerobot_import import LerobotImporter
        except ImportError as error:
            raise UserError("Importing LeRobot needs pyarrow: run `pip install 'eyehand[exchange]'`.") from error
        return LerobotImporter(self.sources)


@dataclass(frozen=True)
class Options:
    """Options of `eyehand import`.

    Attributes:
        source_format: what to import.
    """

    source_format: (
        Annotated[Vpt, tyro.conf.subcommand("vpt", prefix_name=False)]
        | Annotated[Owa, tyro.conf.subcommand("owa", prefix_name=False)]
        | Annotated[Csgo, tyro.conf.subcommand("csgo", prefix_name=False)]
        | Annotated[Lerobot, tyro.conf.subcommand("lerobot", prefix_name=False)]
        | Annotated[DoomDemos, tyro.conf.subcommand("doom-demos", prefix_name=False)]
    )


def run(options: Options) -> int:
    """Import. Ends with 2 if nothing could be imported."""
    from eyehand.formats.importing import import_recordings

    chosen: Format = options.source_format
    importer = chosen.importer()
    print(f"What {importer.format} has and a recording has not, or the other way round:")
    for loss in importer.losses:
        print(f"  - {loss}")
    engine = chosen.make_engine()
    return _show(import_recordings(importer, chosen.out, progress=_progress, engine=engine), chosen.out)


def _progress(source: str, problem: str | None) -> None:
    if problem is None:
        print(f"{source}: done", flush=True)
    else:
        announce(problem)


def _show(report: ImportReport, out: Path) -> int:
    for folder, notes in report.notes:
        for note in notes:
            print(f"{folder}: {note}")
    there = f", {len(report.skipped)} were there already" if report.skipped else ""
    failed = f", and {len(report.problems)} sources could not be imported" if report.problems else ""
    print(f"wrote {len(report.written)} recordings with {report.num_frames} frames to {out}{there}{failed}")
    return 0 if report.written or report.skipped else 2
