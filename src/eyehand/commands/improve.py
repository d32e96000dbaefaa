"""`eyehand improve`: a policy learns from the better episodes of its own play."""

from __future__ import annotations

from eyehand.improve.options import ImproveOptions as Options
from eyehand.terminal import output

__all__ = ["Options", "run"]


def run(options: Options) -> int:
    """Improve, print a line per round, say where the policy and the page lie."""
    from eyehand.machine import wait_without_spinning

    wait_without_spinning()
    from eyehand.console import Console, Table
    from eyehand.improve.loop import improve
    from eyehand.improve.report import round_rows

    rounds = improve(options)
    table = Table("round", "kept", *rounds[0].scores, "gain", "")
    for row in round_rows(rounds):
        table.add_row(*row)
    Console().print(table)
    output(f"{options.out / 'policy'} is the best policy; {options.out / 'report.html'} shows the rounds")
    return 0
