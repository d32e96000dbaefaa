"""How much memory a piece of Python takes, measured in a process of its own with an upper limit."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
from pathlib import Path

_LIMIT_BYTES = 6 << 30  # of address space: beyond it the process gets a MemoryError, and not the machine

_PROGRAM = """
import resource, sys
{setup}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{code}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def peak_mb(setup: str, code: str, *arguments: str | Path, timeout_s: float = 120) -> tuple[float, str]:
    """Megabytes by which `code` makes the peak of a process grow, after `setup`, and what it prints.

    Args:
        setup: imports, and what is to be there already.
        code: sees the arguments in sys.argv[1:].
        arguments: of the process.
        timeout_s: ends one that hangs.
    """
    program = _PROGRAM.format(setup=textwrap.dedent(setup), code=textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_LIMIT_BYTES, _LIMIT_BYTES)),
    )
    *printed, grown = done.stdout.splitlines()
    return float(grown), "\n".join(printed)
