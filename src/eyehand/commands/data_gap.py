"""`eyehand data gap`: what does compression change for a policy?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from eyehand.errors import UserError
from eyehand.option_rules import OnlyWith
from eyehand.terminal import output_json

__all__ = ["GapCommand"]


@dataclass(frozen=True)
class GapCommand:
    """Measure how far recorded pictures are from live ones for a policy: KL of its outputs, per head.

    Attributes:
        folder: recordings: their pictures, coded once more, are compared with what they are now.
        policy: whose outputs are compared.
        game: instead of a folder: a game that waits for its player, such as doom/center. It is played and recorded, and
            the recorded pictures are compared with the game's own.
        player: who plays that game.
        clips: stretches of the policy's whole memory that are compared.
        crf: qualities of x264 to compare; lower is better.
        chroma: colour codings to compare.
        seed: of the clips and the play.
        as_json: print JSON instead of a table.
    """

    folder: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[DIR]")] = None
    policy: str = "pocket-doom"
    game: str | None = None
    player: Annotated[str, OnlyWith("game")] = "demonstrator"
    clips: int = 16
    crf: tuple[int, ...] = (6, 12, 18)
    chroma: tuple[Literal["420", "444", "rgb"], ...] = ("420", "444", "rgb")
    seed: int = 0
    as_json: bool = False

    def run(self) -> None:
        """Measure and print."""
        from eyehand.checkpoint import load_checkpoint
        from eyehand.console import Console
        from eyehand.evaluate.gap import late_pictures, measure_gap, print_gaps, recompressed
        from eyehand.evaluate.gap_play import play_and_record, recorded_clips
        from eyehand.progress import shown_progress
        from eyehand.recording.reader import find_recordings
        from eyehand.recording.recompress import Coding

        if (self.folder is None) == (self.game is None):
            raise UserError("There is nothing to compare, or too much: give either a folder of recordings or --game.")
        if self.clips < 1 or not all(0 <= crf <= 51 for crf in self.crf):
            raise UserError("Option --clips must be at least 1, and every --crf between 0 and 51.")
        policy = load_checkpoint(self.policy).policy
        codings = [Coding(crf, chroma) for chroma in self.chroma for crf in sorted(set(self.crf))]
        variants = {str(coding): recompressed(coding) for coding in codings} | {"one tick late": late_pictures}
        if self.game is not None:
            played = play_and_record(self.game, self.player, policy.config, self.clips, self.seed)
            live, what = list(played.live), f"{self.game}: recorded pictures against the game's own"
            variants = {**played.variants(), **variants}
        else:
            assert self.folder is not None
            live = recorded_clips(find_recordings(self.folder), policy.config, self.clips, self.seed)
            what = "recorded pictures, coded once more, against themselves"
        with shown_progress() as progress:
            gaps = measure_gap(policy, live, variants, progress)
        if self.as_json:
            output_json({"compared": what, "policy": self.policy, "gaps": [asdict(gap) for gap in gaps]})
        else:
            print_gaps(gaps, what, Console())
