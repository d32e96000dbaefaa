"""`eyehand data`: recordings at any scale: indexed, listed, checked, edited, re-encoded, pushed and pulled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from eyehand.commands.data_edit import Edit
from eyehand.commands.data_features import Features
from eyehand.commands.data_gap import GapCommand
from eyehand.commands.data_reencode import Reencode
from eyehand.commands.data_review import Review
from eyehand.commands.data_transfer import Pull, Push
from eyehand.commands.workers import Workers
from eyehand.errors import UserError
from eyehand.option_rules import OnlyWith
from eyehand.terminal import counted, output, output_json

if TYPE_CHECKING:
    from eyehand.data.check import Scorer


@dataclass(frozen=True)
class Index(Workers):
    """Read every recording once and write a Parquet index to train from. A killed run goes on when it is given again.

    Attributes:
        sources: folders of recordings at any depth, .tar or .tar.gz archives, or URLs of these (s3://, hf://).
        out: the index to write, a name that ends in .parquet.
        keep: copy what training needs beside the index, as is always done with .tar.gz: for places that are slow or
            far away.
        replace: make an index that exists anew.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SRC [SRC ...]")]
    out: Path
    keep: bool = False
    replace: bool = False

    def run(self) -> None:
        from eyehand.console import Console
        from eyehand.data.indexing import build_index
        from eyehand.data.summary import print_summary, summarise
        from eyehand.progress import shown_progress

        engine = self.make_engine()
        with shown_progress() as progress:
            rows = build_index(
                *(self.sources, self.out),
                keep=self.keep,
                replace=self.replace,
                engine=engine,
                progress=progress,
            )
        usable = [row for row in rows if row.error is None]
        print_summary(summarise(usable), Console())
        output(
            f"wrote {self.out}: {counted(len(usable), 'recording')}, and {len(rows) - len(usable)} that cannot be used"
        )


@dataclass(frozen=True)
class List:
    """Sum up an index, or a part of it.

    Attributes:
        index: a Parquet file from `eyehand data index`.
        where: only recordings for which this holds, such as "env = 'quake' and num_frames > 2000".
        as_json: print JSON, with every row.
    """

    index: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="INDEX")]
    where: str | None = None
    as_json: bool = False

    def run(self) -> None:
        from eyehand.console import Console
        from eyehand.data.index import read_index
        from eyehand.data.summary import print_summary, summarise

        rows = read_index(self.index, self.where, opens=False)
        if not rows:
            raise UserError(f"No recording of {self.index} fits the condition {self.where!r}: ask for less.")
        if self.as_json:
            output_json({"summary": asdict(summarise(rows)), "recordings": [asdict(row) for row in rows]})
        else:
            print_summary(summarise(rows), Console())


@dataclass(frozen=True)
class Check(Workers):
    """Look into every recording: is it fit to learn from? Nothing is changed but the file of decisions.

    Attributes:
        source: an index, a folder of recordings at any depth, a .tar archive, or the URL of one.
        out: JSON of what was found and decided. Default: beside the index, where training and `data list` heed it;
            for other sources none is written.
        where: only recordings of the index for which this holds.
        max_key_share: leave out where one key is held on more than this share of the frames.
        max_keys: leave out where more keys are held at once.
        min_interaction: leave out where something is done on less than this share of the frames.
        policy: a checkpoint that says how likely the user's actions are, on clips of every recording.
        least_likelihood: with --policy, leave out where they are less likely: the geometric mean over frames of the
            probability of the whole action, between 0 and 1. Without it the likelihood is only shown.
        clips: with --policy, clips of each recording that it looks at.
        seed: of where these clips lie.
        as_json: print the JSON instead of a table.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    out: Path | None = None
    where: str | None = None
    max_key_share: float = 0.6
    max_keys: int = 6
    min_interaction: float = 0.05
    policy: str | None = None
    least_likelihood: Annotated[float | None, OnlyWith("policy")] = None
    clips: Annotated[int, OnlyWith("policy")] = 4
    seed: Annotated[int, OnlyWith("policy")] = 0
    as_json: bool = False

    def run(self) -> int:
        from eyehand.console import Console
        from eyehand.data.check import CheckLimits, check
        from eyehand.data.check_report import journal_beside, places_at, print_verdicts
        from eyehand.data.decisions import decisions_beside, write_decisions
        from eyehand.progress import shown_progress

        engine = self.make_engine()
        scorer = _scorer(self)
        limits = CheckLimits(
            *(self.max_key_share, self.max_keys, self.min_interaction),
            least_likelihood=self.least_likelihood or 0.0,
        )
        places, refused = places_at(self.source, self.where)
        out = self.out
        if out is None and self.source.endswith(".parquet"):
            out = decisions_beside(Path(self.source))
        with shown_progress() as progress, journal_beside(out, self.source, limits, scorer) as journal:
            verdicts = [*refused, *check(places, limits, engine, journal, progress, scorer)]
            if out is not None:
                write_decisions(verdicts, out)
            if journal is not None:
                journal.remove()
        if self.as_json:
            output_json([asdict(verdict) for verdict in verdicts])
        else:
            print_verdicts(verdicts, Console())
        return 0 if any(verdict.is_used for verdict in verdicts) else 2


@dataclass(frozen=True)
class Options:
    """Options of `eyehand data`.

    Attributes:
        action: what to do.
    """

    action: (
        Index
        | List
        | Check
        | Annotated[GapCommand, tyro.conf.subcommand("gap")]
        | Review
        | Edit
        | Features
        | Reencode
        | Push
        | Pull
    )


def run(options: Options) -> int:
    """Do it. Ends with 2 if nothing usable is found."""
    if isinstance(options.action, Edit):  # which needs nothing more
        options.action.run()
        return 0
    try:
        import pyarrow as pa  # noqa: F401  # asked for here, so that the sentence is one
    except ImportError as error:
        raise UserError("Data at scale needs more packages: run `pip install 'eyehand[data]'`.") from error
    return options.action.run() or 0


def _scorer(options: Check) -> Scorer | None:
    if options.policy is None:
        return None
    if options.clips < 1 or not 0 <= (options.least_likelihood or 0.0) <= 1:
        raise UserError("Option --clips must be at least 1 and --least-likelihood between 0 and 1.")
    from eyehand.evaluate.likelihood import Likelihood

    return Likelihood.of(options.policy, options.clips, options.seed)
