"""`eyehand last`: open the newest report in the browser."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from eyehand.errors import UserError
from eyehand.terminal import output

_DEPTH = 4


@dataclass(frozen=True)
class Options:
    """Options of `eyehand last`.

    Attributes:
        folder: where reports are looked for, in it and in its folders.
        open: open it in the browser; otherwise only its place is printed.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = Path("out")
    open: bool = True


def run(options: Options) -> int:
    """Say where the newest report lies, and open it."""
    found = [path for depth in range(_DEPTH) for path in options.folder.glob("*/" * depth + "report.html")]
    if not found:
        raise UserError(
            f"There is no report in {options.folder}: `eyehand play` writes one, or name the folder that was its --out."
        )
    newest = max(found, key=lambda path: path.stat().st_mtime)
    output(newest)
    if options.open and not webbrowser.open(newest.absolute().as_uri()):
        output("There is no browser here: open this file in yours.")
    return 0
