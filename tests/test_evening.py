"""An evening of a new user: record, check, train, play, watch, measure, each by its command as a user types it, in a
terminal of 80 columns; then every page that came of it in a real browser, wide, on a phone, and in the dark.

`EVENING_SHOTS=FOLDER` keeps the pictures of the pages and what the terminal showed, to be looked at.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from chromium import browser
from patience import wait_until
from programs import need

pytestmark = pytest.mark.slow

EVENING = """
games
games show doom/aim
record doom/aim --out me --minutes 0.2 --player demonstrator
inspect me --html me.html
data index me --out me.parquet
data check me.parquet
train me --out run --minutes 0.2 --workers 1
checkpoint info run/policy
play doom/aim --checkpoint run/policy --seconds 5
evaluate run/policy --game doom/aim --episodes 2 --json scores.json
last --no-open
doctor
"""

SIZES = {"wide": (1280, 800, False), "low": (1280, 550, False), "phone": (390, 844, True)}


def run(words: str, folder: Path) -> str:
    """What a command prints where its output and its sentences go to one place of 80 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "eyehand", *words.split()],
        cwd=folder,
        env={**{name: value for name, value in os.environ.items() if name != "DISPLAY"}, "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"eyehand {words}: {done.stdout}"
    return done.stdout


def test_an_evening(tmp_path: Path) -> None:
    need("chromium", "chromium-browser", "google-chrome", "chrome")
    need("Xvfb")
    shots = Path(os.environ.get("EVENING_SHOTS", tmp_path / "shots"))
    shots.mkdir(parents=True, exist_ok=True)
    said = {words: run(words, tmp_path) for words in EVENING.strip().splitlines()}
    (shots / "terminal.txt").write_text("\n".join(f"$ eyehand {words}\n{text}" for words, text in said.items()))
    for words, text in said.items():
        assert "Traceback" not in text, words
        assert not re.search(r"\b1 (recordings|frames|episodes|games|files)\b", text), f"{words}: {text}"
        tables = [line for line in text.splitlines() if re.match(r"[┏┃┡│└]", line) or line.rstrip() != line]
        assert all(len(line) <= 80 for line in tables), f"{words}: {text}"
    pages = sorted({*tmp_path.rglob("*.html")})
    assert {"me.html", "scores.html", "report.html"} <= {page.name for page in pages}
    assert tmp_path / "run" / "report.html" in pages
    assert (
        "watch it play: eyehand play doom/aim --checkpoint run" in said["train me --out run --minutes 0.2 --workers 1"]
    )
    problems = []
    with browser() as tab:
        for page in pages:
            for scheme, (size, dimensions) in [("light", each) for each in SIZES.items()] + [
                ("dark", ("wide", SIZES["wide"]))
            ]:
                tab.resize(*dimensions)
                tab.scheme(scheme)
                tab.open(page)
                name = f"{page.relative_to(tmp_path).with_suffix('')}-{size}-{scheme}".replace("/", "-")
                tab.screenshot(shots / f"{name}.png")
                wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                text = tab.evaluate("document.body.innerText")
                if wide > 0:
                    problems.append(f"{name} is {wide} pixels too wide")
                if len(text) < 50 or re.search(r"\b(nan|None|undefined|1 recordings)\b", text):
                    problems.append(f"{name} says {text[:2000]!r}")
        problems += tab.errors
        problems += [
            address for address in tab.requests if not address.startswith(("file:", "data:", "blob:", "about:"))
        ]
    assert not problems, "\n".join(problems)


def test_play_is_watched_and_ends_well(tmp_path: Path) -> None:
    need("chromium", "chromium-browser", "google-chrome", "chrome")
    shots = Path(os.environ.get("EVENING_SHOTS", tmp_path / "shots"))
    shots.mkdir(parents=True, exist_ok=True)
    words = ["play", "doom/center", "--seconds", "120", "--view", "on", "--no-video", "--out", "out"]
    with subprocess.Popen(
        [sys.executable, "-m", "eyehand", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as play:
        assert play.stderr is not None
        try:
            lines: list[str] = []
            while not (found := re.search(r"http://127\S+", "".join(lines))):
                lines.append(play.stderr.readline())
                assert lines[-1], lines
            with browser() as tab:
                for name, (width, height, is_phone) in SIZES.items():
                    tab.resize(width, height, is_phone)
                    tab.call("Page.navigate", url=found.group())
                    wait_until(
                        lambda: len(tab.evaluate("document.body ? document.body.innerText : ''")) > 50, "it plays"
                    )
                    tab.evaluate("new Promise(done => setTimeout(done, 1500))")  # a picture or two
                    tab.screenshot(shots / f"view-{name}.png")
                    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
                assert not tab.errors
            play.terminate()
            assert play.wait(60) in (0, 143)
        finally:
            play.kill()
    assert (tmp_path / "out" / "report.html").is_file()
    with pytest.raises(OSError, match=r"refused|timed out"):
        urllib.request.urlopen(found.group(), timeout=5)
