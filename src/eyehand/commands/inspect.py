"""`eyehand inspect`: are these recordings sound, and what is in them?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Options:
    """Options of `eyehand inspect`.

    Attributes:
        folder: one recording, or a folder that holds recordings at any depth.
        as_json: print JSON instead of tables.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    as_json: bool = False


def run(options: Options) -> int:
    """Print what was found. Ends with 2 if a recording is corrupt."""
    from rich.console import Console

    from eyehand.recording.inspect import inspect, print_inspection

    inspection = inspect(options.folder)
    if options.as_json:
        print(json.dumps(inspection.to_json(), indent=1))
    else:
        print_inspection(inspection, Console())
    return 2 if inspection.is_corrupt else 0
