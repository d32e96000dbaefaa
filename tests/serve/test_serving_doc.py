"""docs/serving.md: its client runs as it stands there, and what it says of limits is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from serving import Serve

from eyehand.commands.serve import Options
from eyehand.frame import Frame
from eyehand.player import Observation
from eyehand.players.policy import PolicyPlayer
from eyehand.serve.connection import ClientLimits
from eyehand.wire.framing import MAX_MESSAGE_BYTES
from eyehand.wire.messages import MAX_BESIDE_PICTURE, MAX_PICTURE_SIDE

DOC = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


def test_the_client_of_the_documentation_plays(serve: Serve, model: PolicyPlayer) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOC, flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 20
    running = serve(model.sibling)
    command = [sys.executable, "-c", code, str(running.address)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == [1, 2, 3, 4, 5]
    here = model.sibling()
    here.reset(0)
    action = here.act(Observation(Frame(np.full((192, 192, 3), 128, np.uint8), 0))).action
    assert lines[0] == f"1 {sorted(action.keys)} {sorted(action.buttons)} {action.dx} {action.dy}"


def test_the_limits_are_those_of_the_code() -> None:
    limits = ClientLimits()
    assert f"{limits.messages_per_s:g} messages a second" in DOC
    assert f"above {MAX_MESSAGE_BYTES // 2**20} MiB" in DOC
    assert f"When {limits.unread_bytes // 2**10} KiB" in DOC
    assert (limits.greeting_s, "has ten seconds" in DOC) == (10.0, True)
    assert f"{limits.silent} are kept" in DOC
    assert f"{MAX_BESIDE_PICTURE // 2**10} KiB beside the picture" in DOC
    assert f"{MAX_PICTURE_SIDE} pixels a side" in DOC
    assert f"its mode is {Options.socket_mode}" in DOC
