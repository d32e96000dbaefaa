"""What `eyehand import` can read: one class of options for each format, one line each in `FORMATS`.

The class gives the Importer (see `importing`), which is loaded then. Another package adds a format by an entry point
`eyehand.importers`, whose name is the sub-command's and whose object is such a class, derived from `Format`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from eyehand.errors import UserError
from eyehand.registry import Registry

if TYPE_CHECKING:
    from eyehand.formats.importing import Importer

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, kw_only=True)
class Format(ABC):
    """One format.

    Attributes:
        sources: what to import.
        out: the folder of recordings to write into; made if missing.
    """

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SRC [SRC ...]")]
    out: Path

    @abstractmethod
    def importer(self) -> Importer:
        """What reads it."""


@dataclass(frozen=True, kw_only=True)
class Vpt(Format):
    """OpenAI's VPT contractor data (Minecraft): pairs of NAME.mp4 and NAME.jsonl.

    Attributes:
        sources: folders that hold such pairs at any depth, or .mp4 files.
    """

    def importer(self) -> Importer:
        from eyehand.formats.vpt import VptImporter

        return VptImporter(self.sources)


@dataclass(frozen=True, kw_only=True)
class Owa(Format):
    """Desktop recordings of Open World Agents' ocap: NAME.mcap with the video that it refers to.

    Attributes:
        sources: folders that hold .mcap files at any depth, or .mcap files.
        game: what was played.
    """

    game: str = "desktop"

    def importer(self) -> Importer:
        from eyehand.formats.owa import OwaImporter

        return OwaImporter(self.sources, self.game)


@dataclass(frozen=True, kw_only=True)
class Csgo(Format):
    """The Counter-Strike behavioural cloning data set: .hdf5 files of 16 pictures a second.

    Attributes:
        sources: folders that hold .hdf5 files at any depth, or .hdf5 files.
        fps: pictures a second in the files.
    """

    fps: float = 16.0

    def importer(self) -> Importer:
        from eyehand.formats.csgo import CsgoImporter

        return CsgoImporter(self.sources, self.fps)


@dataclass(frozen=True, kw_only=True)
class DoomDemos(Format):
    """Doom demos (.lmp, or inside WADs): people's play with exact labels, drawn by dsda-doom, 20 pictures a second.

    Attributes:
        sources: WADs that hold demos (DEMO1, DEMO2, ...), or .lmp files.
        iwad: the game that .lmp files and additions to a game are played with.
        files: additions to the game (PWADs, .deh patches) that .lmp files were recorded with.
        part: all, test (the last demo of every WAD) or train (the others).
        instruction: what there was to do, stated in every recording. Default: as the kind of game has it; '': nothing.
        anyway: import demos that seem to be recorded with other files all the same.
    """

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


@dataclass(frozen=True, kw_only=True)
class Lerobot(Format):
    """LeRobot data sets, version 3.0, of keyboard and mouse, such as `eyehand export lerobot` makes.

    Attributes:
        sources: folders of data sets.
    """

    def importer(self) -> Importer:
        try:
            from eyehand.formats.lerobot_import import LerobotImporter
        except ImportError as error:
            raise UserError("Importing LeRobot needs pyarrow: run `pip install 'eyehand[exchange]'`.") from error
        return LerobotImporter(self.sources)


_OURS = {"vpt": Vpt, "owa": Owa, "csgo": Csgo, "lerobot": Lerobot, "doom-demos": DoomDemos}

FORMATS: Registry[type[Format]] = Registry(
    type, "eyehand.importers", {name: f"{__name__}:{kind.__name__}" for name, kind in _OURS.items()}
)
