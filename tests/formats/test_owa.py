"""OWA's .mcap with its .mkv, written by the mcap package as mcap-owa-support does, message for message."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from numbered_video import number_of, write_video

from eyehand.action import PIXELS_PER_NOTCH, Action
from eyehand.cli import main
from eyehand.formats.importing import ImportReport, import_recordings
from eyehand.formats.owa import OwaImporter
from eyehand.formats.owa_input import OwaInput
from eyehand.recording.reader import Recording

mcap_writer = pytest.importorskip("mcap.writer", reason="mcap is not installed")

BEGIN_NS = 1_751_017_792_000_000_000
MS = 1_000_000

Message = tuple[float, str, str, dict[str, Any]]
"""Time in ms, topic, schema and content."""


def key(time_ms: float, vk: int, event_type: str) -> Message:
    return time_ms, "keyboard", "desktop/KeyboardEvent", {"event_type": event_type, "vk": vk}


def mouse(time_ms: float, event_type: str, x: int, y: int, **more: Any) -> Message:
    return time_ms, "mouse", "desktop/MouseEvent", {"event_type": event_type, "x": x, "y": y, **more}


def raw(time_ms: float, x: int, y: int, **more: Any) -> Message:
    return time_ms, "mouse/raw", "desktop/RawMouseEvent", {"last_x": x, "last_y": y, "us_flags": 0, **more}


def screens(num: int, interval_ms: float = 50 / 3, layout: str = "0.5.1", video: str = "play.mkv") -> list[Message]:
    """Pictures 0, 1, 2, ... taken at this interval, noted 3 ms after each was taken."""
    messages: list[Message] = []
    for number in range(num):
        taken_ms, pts_ns = number * interval_ms, round(number * interval_ms * MS)
        data: dict[str, Any] = {"utc_ns": BEGIN_NS + round(taken_ms * MS)}
        schema = "desktop/ScreenCaptured"
        match layout:
            case "0.5.1":
                data |= {"shape": [160, 96], "media_ref": {"uri": video, "pts_ns": pts_ns}}
            case "0.5.0":
                data |= {"shape": [160, 96], "media_ref": {"type": "external_video", "path": video, "pts_ns": pts_ns}}
            case "0.4.2":
                data |= {"original_shape": [160, 96], "path": video, "pts": pts_ns}
            case "0.3.2":
                schema = "owa.env.gst.msg.ScreenEmitted"
                data |= {"path": video, "pts": pts_ns}
        messages.append((taken_ms + 3, "screen", schema, data))
    return messages


def write_owa(path: Path, messages: list[Message], *, in_order: bool = True) -> Path:
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as file:
        writer = mcap_writer.Writer(file, compression=mcap_writer.CompressionType.ZSTD)
        writer.start(profile="owa", library="mcap-owa-support 0.6.0; mcap 1.3.0")
        channels: dict[str, int] = {}
        for time_ms, topic, schema, data in sorted(messages, key=lambda message: message[0] if in_order else 0):
            if topic not in channels:
                schema_id = writer.register_schema(schema, "jsonschema", b"{}")
                channels[topic] = writer.register_channel(topic, "json", schema_id)
            time_ns = BEGIN_NS + round(time_ms * MS)
            writer.add_message(channels[topic], time_ns, json.dumps(data).encode(), time_ns)
        writer.finish()
    return path


@cache
def pictures(num: int, interval_ms: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "play.mkv"
        write_video(path, [round(number * interval_ms) for number in range(num)], fps=60)  # Matroska has whole ms
        return path.read_bytes()


def write_pictures(folder: Path, num: int, interval_ms: float = 50 / 3) -> None:
    (folder / "play.mkv").write_bytes(pictures(num, interval_ms))


def run(
    tmp_path: Path, messages: list[Message], num_pictures: int = 31, interval_ms: float = 50 / 3
) -> tuple[ImportReport, list[Action | None]]:
    write_owa(tmp_path / "in" / "play.mcap", messages)
    write_pictures(tmp_path / "in", num_pictures, interval_ms)
    report = import_recordings(OwaImporter([tmp_path / "in"]), tmp_path / "out")
    assert report.problems == []
    with Recording.open(report.written[0]) as recording:
        return report, [recording.executed(frame) for frame in range(recording.num_frames - 1)]


@pytest.mark.parametrize("layout", ["0.3.2", "0.4.2", "0.5.0", "0.5.1"])
def test_ticks_show_the_newest_picture_and_hold_what_was_done(tmp_path: Path, layout: str) -> None:
    messages = [
        *screens(31, layout=layout),  # 60 a second: tick i shows picture 3 i
        key(60, 0x57, "press"),
        key(120, 0x57, "press"),  # the keyboard repeats it
        key(160, 0xA0, "press"),
        key(170, 0xA0, "release"),  # within one tick
        key(210, 0x57, "release"),
        mouse(10, "move", 100, 100),
        mouse(205, "click", 110, 95, button="left", pressed=True),
        mouse(255, "click", 110, 95, button="left", pressed=False),
        mouse(305, "scroll", 110, 95, dx=0, dy=-1),
        key(320, 0xB3, "press"),  # a media key
    ]
    report, actions = run(tmp_path, messages)
    assert actions == [
        Action(),
        Action.of(["w"]),
        Action.of(["w"]),
        Action.of(["w", "LeftShift"]),
        Action.of(buttons=["0"], dx=10, dy=-5),
        Action(),
        Action(scroll_dy=-PIXELS_PER_NOTCH),
        Action(),
        Action(),
    ]
    with Recording.open(report.written[0]) as recording:
        assert [number_of(picture) for picture in recording.decode_clip(0, 10)] == [3 * tick for tick in range(10)]
        events = [event for frame in range(10) for event in recording.events_before(frame)]
    keys = [(event.time_ns // MS, event.name, event.is_pressed) for event in events if event.kind == "key"]
    assert keys == [(60, "w", True), (160, "LeftShift", True), (170, "LeftShift", False), (210, "w", False)]
    assert not any(event.is_simulated for event in events)
    assert report.notes[0][1] == ("Keys and buttons without a name here: key 0xb3 (1).",)


def test_raw_motion_goes_before_the_way_of_the_pointer(tmp_path: Path) -> None:
    messages = [
        *screens(31),
        raw(10, 7, -3),
        raw(40, 5, 1),
        raw(60, -2, 0, button_flags=0x0001),  # the click below says the same
        mouse(60, "click", 50, 50, button="left", pressed=True),
        mouse(110, "move", 400, 400),
        raw(120, 30000, 30000, us_flags=1),
        mouse(130, "click", 400, 400, button="left", pressed=False),
    ]
    report, actions = run(tmp_path, messages)
    assert actions[:4] == [
        Action(dx=12, dy=-2),
        Action.of(buttons=["0"], dx=-2),
        Action(),
        Action(),
    ]
    assert report.notes[0][1] == (
        "1 raw mouse events with absolute positions (remote desktop, virtual machine, tablet) are left out.",
    )


def test_the_way_of_the_pointer_counts_where_all_raw_events_are_absolute(tmp_path: Path) -> None:
    messages = [message for n in range(1, 190) for message in (
        mouse(10 * n, "move", 100 + 2 * n, 100),
        raw(10 * n + 0.2, 3414 + 68 * n, 6068, us_flags=3, button_flags=1 if n == 7 else 0),
    )]  # fmt: skip
    report, actions = run(tmp_path, [*screens(41, interval_ms=50), *messages], num_pictures=41, interval_ms=50)
    assert sum(action.dx for action in actions if action) in range(376, 379)
    assert report.notes[0][1][0].endswith("are left out; motion is the way of the pointer.")


def test_raw_buttons_and_wheels_count_where_there_is_nothing_else(tmp_path: Path) -> None:
    messages = [
        *screens(31),
        raw(10, 0, 0, button_flags=0x0004),
        raw(60, 0, 0, button_flags=0x0008 | 0x0010),
        raw(110, 0, 0, button_flags=0x0020 | 0x0400, button_data=0xFF88),  # -120: one notch down
        raw(160, 0, 0, button_flags=0x0100),
    ]
    _, actions = run(tmp_path, messages)
    assert actions[:5] == [
        Action.of(buttons=["1"]),
        Action.of(buttons=["2"]),
        Action(scroll_dy=-PIXELS_PER_NOTCH),
        Action.of(buttons=["4"]),
        Action.of(buttons=["4"]),
    ]


def test_a_release_that_nobody_saw_ends_with_the_next_state(tmp_path: Path) -> None:
    state = (160, "keyboard/state", "desktop/KeyboardState", {"buttons": [0x41]})
    _, actions = run(tmp_path, [*screens(31), key(10, 0x57, "press"), key(20, 0x41, "press"), state])
    assert [sorted(action.keys) for action in actions if action] == [["a", "w"]] * 3 + [["a"]] * 6


def held_state(time_ms: float, *codes: int) -> Message:
    return time_ms, "keyboard/state", "desktop/KeyboardState", {"buttons": list(codes)}


def mouse_state(time_ms: float, *buttons: str) -> Message:
    return time_ms, "mouse/state", "desktop/MouseState", {"x": 100, "y": 100, "buttons": list(buttons)}


def test_states_know_of_releases_of_the_mouse_too(tmp_path: Path) -> None:
    messages = [
        *screens(60, interval_ms=50),
        mouse(420, "click", 100, 100, button="left", pressed=True),
        *(mouse_state(time_ms, *(["left"] if time_ms == 500 else [])) for time_ms in range(0, 3000, 500)),
    ]
    report, actions = run(tmp_path, messages, num_pictures=60, interval_ms=50)
    assert [frame for frame, action in enumerate(actions) if action and action.buttons] == list(range(8, 19))
    assert report.notes[0][1] == (
        "1 keys and buttons were released unseen: they end with the next state of keyboard or mouse.",
    )


def test_the_state_of_the_mouse_says_nothing_of_its_side_buttons(tmp_path: Path) -> None:
    messages = [
        *screens(31),
        mouse(20, "click", 100, 100, button="x1", pressed=True),
        mouse_state(200),
        mouse(330, "click", 100, 100, button="x1", pressed=False),
    ]
    report, actions = run(tmp_path, messages)
    assert [frame for frame, action in enumerate(actions) if action and action.buttons] == list(range(6))
    assert report.notes == []


def test_states_know_what_was_held_when_recording_began(tmp_path: Path) -> None:
    """RightShift is listed with and without its side; the right button is in the keyboard's state as well."""
    messages = [
        *screens(31),
        held_state(0, 0x57, 0x10, 0xA1, 0x02),
        mouse_state(0, "right"),
        key(60, 0x57, "release"),
        mouse(110, "click", 100, 100, button="right", pressed=False),
    ]
    report, actions = run(tmp_path, messages)
    assert actions[:3] == [
        Action.of(["w", "RightShift"], ["1"]),
        Action.of(["RightShift"], ["1"]),
        Action.of(["RightShift"]),
    ]
    assert report.notes[0][1][0].startswith("3 keys and buttons were pressed unseen: they begin with")


def test_a_state_that_was_read_just_before_a_press_does_not_end_it(tmp_path: Path) -> None:
    messages = [
        *screens(31),
        key(100, 0x57, "press"),
        held_state(101),
        key(270, 0x57, "release"),
        held_state(272, 0x57),
    ]
    _, actions = run(tmp_path, messages)
    assert [frame for frame, action in enumerate(actions) if action and action.keys] == [1, 2, 3, 4]


def test_a_computer_that_slept_ends_a_recording(tmp_path: Path) -> None:
    """Ten minutes of silence with a key held: no frozen pictures, no key, but the next recording."""
    asleep_ms = 600_000
    before = [*screens(10, interval_ms=50), key(120, 0x57, "press"), held_state(400, 0x57)]
    after = [
        (time_ms + asleep_ms, topic, schema, data | {"utc_ns": data["utc_ns"] + asleep_ms * MS})
        for time_ms, topic, schema, data in screens(20, interval_ms=50)[10:]
    ]
    write_owa(tmp_path / "in" / "play.mcap", [*before, *after, held_state(asleep_ms + 500)])
    write_pictures(tmp_path / "in", 20, 50)
    importer = OwaImporter([tmp_path / "in"])
    report = import_recordings(importer, tmp_path / "out")
    assert report.problems == []
    shown = []
    for path in report.written:
        with Recording.open(path) as recording:
            pictures_shown = recording.decode_clip(0, recording.num_frames)
            held = [frame for frame in range(recording.num_frames - 1) if (recording.executed(frame) or Action()).keys]
            shown.append(([number_of(picture) for picture in pictures_shown], held))
    assert shown == [(list(range(9)), list(range(2, 8))), (list(range(10, 19)), [])]
    assert [notes[0].startswith(f"Part {number} of 2") for number, (_, notes) in enumerate(report.notes, 1)] == [
        True
    ] * 2
    assert len(import_recordings(importer, tmp_path / "out").skipped) == 2


def test_what_was_held_before_the_first_picture_is_held(tmp_path: Path) -> None:
    _, actions = run(tmp_path, [*screens(31), key(-500, 0x57, "press"), raw(-400, 99, 0), key(70, 0x57, "release")])
    assert actions[0] == Action.of(["w"])
    assert actions[1] == Action()


def test_the_video_may_be_named_in_capitals(tmp_path: Path) -> None:
    write_owa(tmp_path / "in" / "PLAY.MCAP", screens(31))
    write_pictures(tmp_path / "in", 31)
    (tmp_path / "in" / "play.mkv").rename(tmp_path / "in" / "PLAY.MKV")
    (tmp_path / "in" / "._PLAY.MCAP").write_bytes(b"nothing")
    report = import_recordings(OwaImporter([tmp_path / "in"]), tmp_path / "out")
    assert (len(report.written), report.problems) == (1, [])


def test_slow_pictures_are_repeated_and_said_so(tmp_path: Path) -> None:
    messages = screens(5, interval_ms=125.0)
    write_owa(tmp_path / "in" / "play.mcap", messages)
    write_pictures(tmp_path / "in", 5, interval_ms=125.0)
    report = import_recordings(OwaImporter([tmp_path / "in" / "play.mcap"], game="quake"), tmp_path / "out")
    with Recording.open(report.written[0]) as recording:
        shown = [number_of(picture) for picture in recording.decode_clip(0, recording.num_frames)]
        assert recording.info.env == "quake"
    assert shown == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert report.notes[0][1][0].startswith("6 of 10 ticks show the picture before once more")


def test_a_picture_that_was_noted_late_counts_from_when_it_was_taken(tmp_path: Path) -> None:
    messages = [(time_ms + 400 * (number > 10), *rest) for number, (time_ms, *rest) in enumerate(screens(31))] + [
        key(260, 0x57, "press")
    ]
    report, actions = run(tmp_path, messages)
    with Recording.open(report.written[0]) as recording:
        assert [number_of(picture) for picture in recording.decode_clip(0, 10)] == [3 * tick for tick in range(10)]
    assert [sorted(action.keys) for action in actions if action] == [[]] * 5 + [["w"]] * 4


@pytest.mark.parametrize("number", [0, 5])
@pytest.mark.parametrize("taken_ns", [1, BEGIN_NS - 3000 * MS, BEGIN_NS + 3_600_000 * MS, 10**30])
def test_a_picture_of_another_clock_counts_about_when_it_was_noted(tmp_path: Path, number: int, taken_ns: int) -> None:
    """No tick is made up for the time between the clocks, and none is lost."""
    messages = [*screens(181), key(2510, 0x57, "press")]
    messages[number][3]["utc_ns"] = taken_ns
    _, actions = run(tmp_path, messages, 181)
    assert 58 <= len(actions) <= 100
    assert sum("w" in action.keys for action in actions if action) in (9, 10)


def _truncate(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: _truncate(folder / "play.mcap"), "play.mcap is no .mcap file, or it is damaged"),
        (lambda folder: _flip(folder / "play.mcap"), "play.mcap is no .mcap file, or it is damaged"),
        (lambda folder: (folder / "play.mcap").write_bytes(b""), "play.mcap is no .mcap file, or it is damaged"),
        (lambda folder: (folder / "play.mcap").write_bytes(b"x" * 500), "play.mcap is no .mcap file"),
        (lambda folder: (folder / "play.mkv").unlink(), "play.mkv is missing: fetch it"),
        (lambda folder: _truncate(folder / "play.mkv", 0.3), "play.mkv ends before what"),
        (lambda folder: write_owa(folder / "play.mcap", [key(1, 65, "press")]), "refers to no pictures"),
        (lambda folder: write_owa(folder / "play.mcap", [*screens(9), key(5, 65, "hit")]), "not laid out as owa's"),
        (lambda folder: write_owa(folder / "play.mcap", [*screens(9), raw(5, 1 << 40, 0)]), "not laid out as owa's"),
        (
            lambda folder: write_owa(folder / "play.mcap", screens(9, video="https://example.com/play.mkv")),
            "fetch its video and put it beside",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil, sentence: str
) -> None:
    write_owa(tmp_path / "in" / "play.mcap", [*screens(150), key(5, 65, "press")])
    write_pictures(tmp_path / "in", 150)
    spoil(tmp_path / "in")
    assert main(["import", "owa", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*"))


def test_a_path_that_points_elsewhere_is_looked_for_beside(tmp_path: Path) -> None:
    write_owa(tmp_path / "in" / "play.mcap", screens(31, video="C:\\Users\\me\\play.mkv"))
    write_owa(tmp_path / "in" / "other.mcap", screens(31, video="../../play.mkv"))
    write_pictures(tmp_path / "in", 31)
    report = import_recordings(OwaImporter([tmp_path / "in"]), tmp_path / "out")
    assert (len(report.written), report.problems) == (2, [])


def test_motion_counts_in_one_action_only() -> None:
    state = OwaInput(has_raw_motion=True, has_clicks=False)
    state.see(5, "RawMouseEvent", {"last_x": 3, "last_y": 4})
    assert state.take()[0] == Action(dx=3, dy=4)
    assert state.take() == (Action(), [])
