"""The page of a recording in a real browser: picture, frame number, keys and mouse are always of the same frame."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import moving_block
from chromium import Page, browser
from eyehand.action import Action
from eyehand.cli import main
from eyehand.errors import UserError
from eyehand.frame import Frame
from eyehand.pages.recording_page import MAX_RECORDINGS, write_page
from eyehand.player import Decision
from eyehand.recording.format import CAPTURED_FILE, SMALL_FILE, RecordingInfo
from eyehand.recording.inspect import inspect
from eyehand.recording.reader import Recording
from eyehand.recording.timeline import read_timeline
from eyehand.recording.video import VideoReader
from eyehand.recording.writer import RecordingWriter

NUM_FRAMES = 90
KEYS = ("w", "a", "s", "d", "LeftShift", "Space", "x")


def numbered(index: int) -> np.ndarray:
    """A picture that shows its number: eight squares in a row, bright where the bit is set."""
    bits = [index >> bit & 1 for bit in range(8)]
    row = np.kron(np.where(bits, 230, 25).astype(np.uint8), np.ones((192, 24), np.uint8))
    return np.repeat(row[:, :, None], 3, axis=2)


def action(index: int) -> Action:
    """What is done on a frame: other keys than on the frames beside it."""
    keys = [key for bit, key in enumerate(KEYS) if (index * 37 + 11) >> bit & 1]
    return Action.of(keys, ["0"] if index % 3 == 0 else [], index % 11 - 5, index % 7 - 3)


def decision(index: int) -> Decision:
    """A user's, a system's and a labelled system's in turn, thirty frames each."""
    if index < 30:
        return Decision(action(index), by_user=True)
    return Decision(action(index), label=Action.of(["q"], dx=9) if index >= 60 else None)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recordings")
    with RecordingWriter(root, RecordingInfo("numbered", "paper", "numbers", 20.0, user="</script><b>")) as writer:
        for index in range(NUM_FRAMES):
            said = "go <left> & </script>" if index < 40 else "go right"
            frame = Frame(numbered(index), index * 50_000_000, index)
            writer.add(frame, decision(index - 1) if index else None, said)
    moving_block.record(root, seed=3)
    moving_block.record(root, seed=4)
    (root / "block-004" / "annotation.proto").write_bytes(b"\xff" * 50)
    return root


@pytest.fixture(scope="module")
def page_file(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "page.html"
    assert main(["inspect", str(recordings), "--html", str(target)]) == 2  # one of them is damaged
    return target


@pytest.fixture(scope="module")
def chrome() -> Iterator[Page]:
    with browser() as page:
        yield page


WAIT = """new Promise((done, fail) => {
  const video = document.getElementById("video");
  const look = () => document.body.dataset.tick === "%d" && !video.seeking ? done() : requestAnimationFrame(look);
  setTimeout(() => fail("frame %d is not shown but " + document.body.dataset.tick), 60000);
  look();
})"""

PICTURE = """(() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 192;
  const context = canvas.getContext("2d");
  context.drawImage(document.getElementById("video"), 0, 0, 192, 192);
  return Array.from({length: 8}, (_, bit) => context.getImageData(24 * bit + 12, 96, 1, 1).data[1] > 128 ? 1 << bit : 0)
    .reduce((sum, bit) => sum + bit);
})()"""

SHOWN = """(() => ({
  picture: PICTURE, tick: Number(document.body.dataset.tick), number: Number(document.getElementById("tick").value),
  lit: [...document.querySelectorAll("kbd.lit")].map((cap) => cap.dataset.key).sort(),
  would: [...document.querySelectorAll("kbd.ghost")].map((cap) => cap.dataset.key).sort(),
  left: document.querySelector('.mouse .b[data-button="0"]').classList.contains("lit"),
  motion: document.getElementById("motion").textContent, who: document.getElementById("who").className,
  instruction: document.getElementById("instruction").textContent }))()""".replace("PICTURE", PICTURE)


def expect(chrome: Page, index: int) -> None:
    """Everything that the page shows is of this frame."""
    chrome.evaluate(WAIT % (index, index))
    shown, done = chrome.evaluate(SHOWN), action(index)
    who = "user" if index < 30 else "system" if index < 60 else "labelled"
    assert shown == {
        "picture": index, "tick": index, "number": index, "lit": sorted(done.keys),
        "would": ["q"] if who == "labelled" else [], "left": bool(done.buttons),
        "motion": f"dx {done.dx}\ndy {done.dy}",
        "who": f"badge {who}", "instruction": "“go <left> & </script>”" if index < 40 else "“go right”",
    }  # fmt: skip


def test_picture_and_hands_are_of_the_same_frame_however_it_is_reached(chrome: Page, page_file: Path) -> None:
    chrome.open(page_file, "#2@13")
    expect(chrome, 13)
    chrome.press("ArrowRight")
    expect(chrome, 14)
    chrome.press("ArrowRight", modifiers=8)  # with shift: a second
    expect(chrome, 34)
    chrome.press("ArrowLeft")
    expect(chrome, 33)
    chrome.evaluate("bar.value = 71; bar.dispatchEvent(new Event('input'))")
    expect(chrome, 71)
    chrome.evaluate("document.getElementById('back').click()")
    expect(chrome, 70)
    box = chrome.evaluate(
        "(() => { $('zoom').value = '0'; $('zoom').dispatchEvent(new Event('change')); canvas.scrollIntoView();"
        "const b = canvas.getBoundingClientRect(); return [b.left, b.top, b.width] })()"
    )
    x = box[0] + 86 + (box[2] - 86) * (22 + 0.5) / NUM_FRAMES
    for kind, buttons in (("mousePressed", 1), ("mouseReleased", 0)):
        chrome.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=box[1] + 30, button="left", buttons=buttons, clickCount=1
        )
    expect(chrome, 22)
    chrome.press("End")
    chrome.evaluate(WAIT % (NUM_FRAMES - 1, NUM_FRAMES - 1))
    shown = chrome.evaluate(SHOWN)
    assert (shown["picture"], shown["who"], shown["lit"]) == (NUM_FRAMES - 1, "badge unknown", [])
    chrome.press("Home")
    expect(chrome, 0)
    assert chrome.errors == []


PLAYED_ON = """new Promise((done, fail) => {
  const from = Number(document.body.dataset.tick);
  const look = () => Number(document.body.dataset.tick) >= from + 5 ? done() : requestAnimationFrame(look);
  setTimeout(() => fail("it does not play"), 60000);
  look();
})"""

SAME = """new Promise((done, fail) => {
  const video = document.getElementById("video");
  const look = () => video.paused && !video.seeking && PICTURE === Number(document.body.dataset.tick)
    ? done(Number(document.body.dataset.tick)) : requestAnimationFrame(look);
  setTimeout(() => fail("the picture is " + PICTURE + " and the page says " + document.body.dataset.tick), 60000);
  look();
})""".replace("PICTURE", PICTURE)


READY = """new Promise((done, fail) => {
  const look = () => $("play").textContent === "▶ play" ? done() : requestAnimationFrame(look);
  setTimeout(() => fail("the button says " + $("play").textContent), 60000);
  look();
})"""

UNTOLD = """new Promise((done, fail) => {
  const look = () => PICTURE > Number(document.body.dataset.tick) ? done() : requestAnimationFrame(look);
  setTimeout(() => fail("the page knows of every picture"), 60000);
  look();
})""".replace("PICTURE", PICTURE)


@pytest.mark.parametrize("speed", [0.5, 1, 4])
def test_playing_keeps_them_together_at_every_speed(chrome: Page, page_file: Path, speed: float) -> None:
    chrome.open(page_file, "#2@5")
    expect(chrome, 5)
    chrome.evaluate(f"$('speed').value = '{speed}'; $('speed').dispatchEvent(new Event('change'))")
    chrome.evaluate("document.getElementById('play').click()")
    assert chrome.evaluate("video.playbackRate") == speed
    chrome.evaluate(PLAYED_ON)
    chrome.press(" ", code="Space")
    shown = chrome.evaluate(SAME)
    assert shown >= 10
    if shown < NUM_FRAMES - 1:  # a busy machine may have come to the end meanwhile
        expect(chrome, shown)
    chrome.evaluate(READY)
    assert chrome.errors == []


def test_a_pause_keeps_them_together_when_the_browser_does_not_tell_of_a_frame(chrome: Page, page_file: Path) -> None:
    chrome.open(page_file, "#2@5")
    expect(chrome, 5)
    chrome.evaluate("document.getElementById('play').click()")
    chrome.evaluate(PLAYED_ON)
    chrome.evaluate("video.requestVideoFrameCallback = () => 0")  # from here on the page is told of one more at most
    chrome.evaluate(UNTOLD)
    chrome.press(" ", code="Space")
    expect(chrome, chrome.evaluate(SAME))


def test_the_end_is_the_last_frame_and_playing_again_begins_anew(chrome: Page, page_file: Path) -> None:
    chrome.open(page_file, f"#2@{NUM_FRAMES - 20}")
    expect(chrome, NUM_FRAMES - 20)
    chrome.evaluate(
        "new Promise(done => { video.addEventListener('ended', done, { once: true });"
        "document.getElementById('play').click() })"
    )
    chrome.evaluate(WAIT % (NUM_FRAMES - 1, NUM_FRAMES - 1))
    assert chrome.evaluate(SAME) == NUM_FRAMES - 1
    chrome.evaluate("$('speed').value = '0.1'; $('speed').dispatchEvent(new Event('change'))")
    chrome.evaluate("document.getElementById('play').click()")
    chrome.evaluate("new Promise(done => video.requestVideoFrameCallback(done))")
    chrome.press(" ", code="Space")
    assert chrome.evaluate(SAME) < NUM_FRAMES - 1


def test_the_index_chooses_filters_and_names_what_is_damaged(chrome: Page, page_file: Path) -> None:
    chrome.open(page_file, "#2")
    texts = chrome.evaluate("[...document.querySelectorAll('#index tbody tr')].map(row => row.textContent)")
    assert len(texts) == 3
    assert "annotation.proto is damaged" in texts[1]
    assert chrome.evaluate("document.getElementById('lead').textContent").startswith("numbered, played by </script><b>")
    chrome.evaluate("document.getElementById('previous').click()")  # over the damaged one
    chrome.evaluate(WAIT % (0, 0))
    assert chrome.evaluate("document.getElementById('name').textContent").startswith("block-003, ")
    chrome.evaluate("document.getElementById('filter').value = 'numbers'; filterIndex()")
    assert chrome.evaluate("[...document.querySelectorAll('#index tbody tr')].filter(row => !row.hidden).length") == 1
    chrome.evaluate("document.querySelector('#index tr[data-index=\"2\"] a').click()")
    expect(chrome, 0)
    assert chrome.evaluate("document.querySelector('#index tr.chosen').dataset.index") == "2"


def test_it_needs_nothing_from_outside_and_fits_a_phone_in_light_and_dark(chrome: Page, page_file: Path) -> None:
    chrome.requests.clear()
    chrome.open(page_file, "#2")
    expect(chrome, 0)
    backgrounds = set()
    for scheme in ("light", "dark"):
        chrome.scheme(scheme)
        backgrounds.add(chrome.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2
    chrome.resize(390, 844, is_phone=True)
    assert chrome.evaluate("document.documentElement.scrollWidth") <= 390
    chrome.resize(1200, 900)
    assert {url.split(":")[0] for url in chrome.requests} <= {"file", "blob", "data"}
    assert not re.search(r"""(?:src|href)=["']?(?:https?:|//)""", page_file.read_text())


def test_a_video_with_b_frames_and_odd_times_keeps_step(chrome: Page, recordings: Path, tmp_path: Path) -> None:
    """As another recorder may write it: frames out of order in the file, uneven times that do not begin at 0."""
    folder = shutil.copytree(recordings / "numbered", tmp_path / "set" / "numbered")
    with av.open(str(folder / CAPTURED_FILE), "w") as container:
        stream = container.add_stream("libx264", 20, options={"bf": "3", "preset": "medium", "g": "40"})
        stream.width = stream.height = 192
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for index in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            frame.pts, frame.time_base = 700 + 50 * index + 13 * (index % 3), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    target = tmp_path / "page.html"
    assert main(["inspect", str(folder), "--html", str(target)]) == 0
    chrome.open(target)
    for index in (0, 1, 41, 87, 3):
        chrome.evaluate(f"step({index} - tick)")
        expect(chrome, index)


def test_a_video_that_browsers_cannot_play_is_coded_again(recordings: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(recordings / "numbered", tmp_path / "numbered")
    with av.open(str(folder / CAPTURED_FILE), "w") as container:
        stream = container.add_stream("libx264rgb", 20, options={"qp": "0"})
        stream.width = stream.height = 192
        stream.pix_fmt = "rgb24"
        for index in range(NUM_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
        container.mux(stream.encode())
    reader = VideoReader(folder / CAPTURED_FILE)
    assert not reader.plays_in_browsers
    target = tmp_path / "page.html"
    write_page(inspect(folder).reports, target)
    with browser() as page:
        page.open(target, "#0@50")
        expect(page, 50)


def test_the_page_is_bounded(recordings: Path, tmp_path: Path) -> None:
    reports = inspect(recordings).reports
    small = sum(Path(report.path, SMALL_FILE).stat().st_size for report in reports if report.error is None) * 4 // 3
    sizes, told = [], []
    for max_bytes in (10_000_000, 70_000 + small, 48_000):
        told.append([])
        write_page(reports, tmp_path / "page.html", max_bytes=max_bytes, tell=told[-1].append)
        sizes.append((tmp_path / "page.html").read_text().count('"text/plain" id="video-'))
    assert told[0] == []
    assert sizes[0] == sizes[1] == 2
    assert told[1] == ["The captured videos take more than 0.1 MB: the network's pictures are shown."] or told[1] == []
    assert sizes[2] < 2
    assert "shown without pictures" in told[2][-1]
    with pytest.raises(UserError, match="timelines of 3 recordings alone take more than"):
        write_page(reports, tmp_path / "none.html", max_bytes=1000)
    with pytest.raises(UserError, match="A page holds at most"):
        write_page([replace(reports[0])] * (MAX_RECORDINGS + 1), tmp_path / "none.html")
    with pytest.raises(UserError, match="Cannot write"):
        write_page(reports, tmp_path / "page.html" / "page.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html"]


def test_the_timeline_says_what_the_recording_says(recordings: Path) -> None:
    with Recording.open(recordings / "numbered") as recording:
        timeline = read_timeline(recording)
        for index in range(NUM_FRAMES - 1):
            held = {name for name, runs in timeline.keys.items() if any(s <= index < s + n for s, n in runs)}
            assert held == action(index).keys
            assert (timeline.dx_N[index], timeline.dy_N[index]) == (action(index).dx, action(index).dy)
    assert [(run, who) for run, who in timeline.who] == [
        *(((0, 30), "user"), ((30, 30), "system"), ((60, 29), "labelled"), ((89, 1), "unknown")),
    ]
    assert timeline.label_keys == {"q": ((60, 29),)}
    assert timeline.instructions == (((0, 40), "go <left> & </script>"), ((40, 50), "go right"))
    assert sum(hold.num_frames for hold in timeline.holds if hold.name == "w") == sum(
        "w" in action(index).keys for index in range(NUM_FRAMES - 1)
    )
    json.dumps(timeline.to_json())


def test_it_makes_the_command_that_edits_the_recording(chrome: Page, page_file: Path, tmp_path: Path) -> None:
    chrome.open(page_file, "#2@0")
    chrome.evaluate(WAIT % (0, 0))
    command = "document.getElementById('edit-command').textContent"
    assert chrome.evaluate(command) == ""
    chrome.evaluate("$('edit').open = true; show(20); $('edit-from').click(); show(70); $('edit-to').click()")
    chrome.evaluate(
        "$('edit-mark').value = 'success'; $('edit-instruction').value = \"don't stop; $(reboot)\"; "
        "$('edit-note').dispatchEvent(new Event('input', {bubbles: true}))"
    )
    program, *words = shlex.split(chrome.evaluate(command))
    assert (program, words[:2]) == ("eyehand", ["data", "edit"])
    assert main([*words, "--out", str(tmp_path / "copies")]) == 0
    with Recording.open(tmp_path / "copies" / "numbered") as recording:
        assert recording.num_frames == 50
        assert recording.executed(0) == action(20)
        assert set(recording.instructions) == {"don't stop; $(reboot)"}
        assert recording.outcome["success"] == 1.0
    chrome.evaluate("$('edit-clear').click(); show(30); $('edit-split').click(); show(10); $('edit-split').click()")
    assert chrome.evaluate(command).endswith("numbered --split 0:00.50 0:01.50")
    chrome.evaluate("$('edit-delete').click()")
    assert chrome.evaluate(command).endswith("numbered --delete")
