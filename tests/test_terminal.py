"""What is said to the person never stops what says it."""

from __future__ import annotations

import os

import pytest

from eyehand.terminal import announce


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_terminal_that_is_gone_stops_nothing(is_closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    if is_closed:
        stream.close()
    monkeypatch.setattr("sys.stderr", stream)
    announce("you play")
    monkeypatch.undo()
    if not is_closed:
        with pytest.raises(BrokenPipeError):
            stream.close()
