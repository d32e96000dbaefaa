"""Every long command says how long it will take: on a terminal of 80 columns, and in a log."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import textwrap

import pytest

from eyehand.progress import ProgressDisplay, shown_progress
from eyehand.terminal import clock_time, counted


def test_a_log_gets_a_line_now_and_then_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 100.0
    show = ProgressDisplay(None, lambda: now_s)
    show("read", 400, 1400)  # an earlier run has read 400
    now_s += 4.9
    show("read", 410, 1400)
    assert capsys.readouterr().err == ""  # what is quick needs no line
    now_s += 0.1
    show("read", 500, 1400)
    assert capsys.readouterr().err == "read: 500 of 1,400, 36%, 0:45 left\n"
    now_s += 29
    show("read", 1000, 1400)
    now_s += 2
    show("read", 1000, 1400, "from afar")
    assert capsys.readouterr().err == "read: 1,000 of 1,400, 71%, 0:24 left; from afar\n"
    now_s += 31
    show("training", 0.001, 1.0, "step 0", left_s=240)
    now_s += 31
    show("training", 0.25, 1.0, "step 3  loss 0.25", left_s=180)
    show("training", 0.25, 1.0, "step 4", left_s=180)
    now_s += 90
    show("listing", 0, 0)
    now_s += 31
    show("listing", 0, 0)
    assert capsys.readouterr().err.splitlines() == [
        "training: 0%, 4:00 left; step 0",
        "training: 25%, 3:00 left; step 3  loss 0.25",
        "listing: 0:00 so far",
        "listing: 0:31 so far",
    ]


def test_progress_is_silent_where_it_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as progress:
        progress("read", 1, 2)
    assert capsys.readouterr() == ("", "")


_WORK = r"""
from eyehand.progress import shown_progress
from eyehand.terminal import announce, output
with shown_progress() as progress:
    progress("[red]\x1b[31mreading \u017e", 0, 12000)
    progress("[red]\x1b[31mreading \u017e", 1200, 12000)
    progress("training", 0.5, 1.0, "step 1200  loss 0.3456  a note of more characters than there is room for", 7384)
    announce("a word to the user")
    output("a line of output")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of Unix")
def test_on_a_terminal_of_80_columns_there_is_a_line_for_each_work_and_messages_stay_whole() -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    command = [sys.executable, "-c", textwrap.dedent(_WORK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal ends with whoever writes to it
            while piece := os.read(master, 65536):
                shown += piece
        assert process.stdout is not None
        assert process.stdout.read() == b"a line of output\n"
        assert process.wait() == 0
    os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n")  # without movements and colours
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("[red]\\x1b[31mreading \u017e") and "1,200 of 12,000, 10%" in line for line in lines)
    assert any("50%, 2:03:04 left" in line and line.endswith("\u2026") for line in lines)
    assert "eyehand: a word to the user" in lines
    assert "a line of output" not in text


def test_words_for_numbers_and_durations() -> None:
    numbers = [counted(number, "recording") for number in (0, 1, 2000)]
    assert numbers == ["0 recordings", "1 recording", "2,000 recordings"]
    assert counted(2, "entry", "entries") == "2 entries"
    assert [clock_time(seconds) for seconds in (0, 7.4, 725, 3729)] == ["0:00", "0:07", "12:05", "1:02:09"]
