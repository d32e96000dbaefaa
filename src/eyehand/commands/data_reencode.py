"""`eyehand data reencode`: 192x192 videos made anew, so that clips of them decode fast."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from eyehand.commands.workers import Workers
from eyehand.terminal import counted, output, output_json

__all__ = ["Reencode"]


@dataclass(frozen=True)
class Reencode(Workers):
    """Make 192x192 videos anew in a new folder, so that they decode fast; annotations stay byte for byte what they are.

    For recordings made elsewhere, whose videos are slow to seek or to decode, and for those that have only video.mp4.
    A killed run goes on when it is given again.

    Attributes:
        source: an index, a folder of recordings at any depth, a .tar archive, or the URL of one.
        out: the folder to write; a new one.
        where: only recordings of the index for which this holds.
        crf: quality, from 0 (lossless) to 51 (worst); 18 is what recording uses.
        small_only: leave video.mp4 out; training does not need it.
        as_json: print JSON: what became of every recording.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    out: Path
    where: str | None = None
    crf: int = 18
    small_only: bool = False
    as_json: bool = False

    def run(self) -> int:
        """Do it. Ends with 2 if nothing could be re-encoded."""
        from eyehand.data.check_report import places_at
        from eyehand.data.reencode import Reencoded, Settings, reencode
        from eyehand.progress import shown_progress

        engine = self.make_engine()
        places, refused = places_at(self.source, self.where)
        settings = Settings(self.crf, self.small_only)
        with shown_progress() as progress:
            done = reencode(dict(places), Path(self.out).absolute(), settings, engine, progress)
        done += [Reencoded(each.source, " ".join(each.reasons)) for each in refused]
        made = [each for each in done if each.error is None]
        if self.as_json:
            output_json([asdict(each) for each in done])
            return 0 if made else 2
        for each in done:
            if each.error is not None:
                output(each.error if each.source in each.error else f"{each.source}: {each.error}")
        before, after = (sum(getattr(each, name) for each in made) / 1e6 for name in ("bytes_before", "bytes_after"))
        output(
            f"wrote {self.out}: {counted(len(made), 'recording')}, {after:.1f} MB of small video made from "
            f"{before:.1f} MB, and "
            f"{len(done) - len(made)} that could not be re-encoded"
        )
        return 0 if made else 2
