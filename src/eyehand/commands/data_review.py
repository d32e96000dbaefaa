"""`eyehand data review`: a person decides about what the check left out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from eyehand.option_rules import NotWith, OnlyWith
from eyehand.terminal import counted, output, print_line

__all__ = ["Review"]


@dataclass(frozen=True)
class Review:
    """Go through what `data check` left out, and decide. Decisions lie beside the index, and training heeds them.

    Without other options it asks about one recording after the other.

    Attributes:
        index: a Parquet file that was checked.
        where: only recordings for which this holds, such as "likelihood < 0.1".
        html: write a page with these recordings and the reasons, to look at before deciding; nothing is asked.
        use: ids of recordings to use whatever the check says.
        leave_out: ids of recordings to leave out.
        note: why; kept with the decision.
        again: also ask about what a person has decided already.
        max_mb: how large the page may become.
    """

    index: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="INDEX")]
    where: Annotated[str | None, NotWith("use", "leave_out")] = None
    html: Annotated[Path | None, NotWith("use", "leave_out")] = None
    use: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    note: Annotated[str, OnlyWith("use", "leave_out")] = ""
    again: Annotated[bool, NotWith("use", "leave_out")] = False
    max_mb: Annotated[float, OnlyWith("html")] = 100.0

    def run(self) -> None:
        """Decide, or ask, or write the page."""
        from eyehand.console import Console
        from eyehand.data.review import ask, choose, queue_reports, review_queue

        if self.use or self.leave_out:
            num_used = choose(self.index, self.use, "use", self.note) if self.use else 0
            num_left = choose(self.index, self.leave_out, "leave out", self.note) if self.leave_out else 0
            output(f"{num_used} to be used, {num_left} left out")
            return
        queue = review_queue(self.index, self.where, with_decided=self.again)
        if not queue:
            output("Nothing is left to decide.")
            return
        if self.html is not None:
            from eyehand.pages.recording_page import write_page

            reports = queue_reports(queue, print_line)
            write_page(reports, self.html, max_bytes=round(self.max_mb * 1e6), tell=print_line)
            print_line(
                f"wrote {self.html} with {counted(len(reports), 'recording')}: open it in a browser, then decide"
            )
            return
        num_decided = ask(self.index, queue, lambda: sys.stdin.readline() or None, Console())
        output("")
        output(f"{num_decided} decided, {len(queue) - num_decided} left")
