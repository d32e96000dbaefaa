"""How exactly a person is recorded: a scripted one plays Doom in ViZDoom's spectator mode, whose labels are the truth.

    python benchmarks/recording_people.py --seconds 600 --out recording_people.json

Everything happens on a virtual screen (Xvfb) of its own. Reported: events sent and recorded, frames dropped, how far
frames were from their tick (all of them, and in seconds of which the host took less than 12%), CPU share of the
encoder, and how often the engine's own labels agree with ours in a tick of 50 ms. Every disagreement is put down to a
press or release of the person's within two tics of the engine (1/35 s each) of the tick, to a stall in which tics of
the engine were not seen, or counted as unexplained.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import xcffib.xproto
import xcffib.xtest

from eyehand.cli import exit_status
from eyehand.collect.person import PersonReport, record_person
from eyehand.collect.record_options import RecordPersonOptions
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.keys import BUTTON_NUMBERS, key_codes
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.watchdog import end_process_group
from eyehand.desktop.x11.windows import WindowQuery, list_windows
from eyehand.games.desktop.x11 import WindowGame
from eyehand.input_event import InputEvent
from eyehand.machine import MachineWatch, cpu_name, num_cores
from eyehand.option_rules import amount
from eyehand.recording.reader import Recording
from eyehand.replaced import check_writable

TIC_NS = 1_000_000_000 // 35
TICK_NS = 50_000_000
KEYS = ("w", "s", "a", "d")
COLUMNS = ("0", *KEYS)
"""What the engine tells, in the order of its buttons: attack and the four ways to walk."""

Sent = tuple[int, str, str, bool, int]


def run_engine(log: Path) -> None:
    """Doom, played by whoever is at keyboard and mouse; a line per tic with its labels. Ends with its parent."""
    import vizdoom as vzd

    game = vzd.DoomGame()
    game.set_doom_scenario_path(os.path.join(vzd.scenarios_path, "basic.wad"))
    game.set_doom_map("map01")
    game.set_screen_resolution(vzd.ScreenResolution.RES_640X480)
    game.set_window_visible(True)
    game.set_mode(vzd.Mode.SPECTATOR)
    button = vzd.Button
    game.set_available_buttons(
        [
            *(button.ATTACK, button.MOVE_FORWARD, button.MOVE_BACKWARD, button.MOVE_LEFT, button.MOVE_RIGHT),
            button.TURN_LEFT_RIGHT_DELTA,
        ]
    )
    game.set_available_game_variables([vzd.GameVariable.ANGLE])
    game.set_episode_timeout(0)
    game.add_game_args("+snd_efx 0 +freelook 0 +use_mouse 1 +m_filter 0 -nomonsters")
    game.init()
    bindings = {"w": "+forward", "s": "+back", "a": "+moveleft", "d": "+moveright", "mouse1": "+attack"}
    for key, command in bindings.items():
        game.send_game_command(f"bind {key} {command}")
    game.new_episode()
    parent = os.getppid()
    with log.open("w", buffering=1) as file:
        while os.getppid() == parent and not game.is_episode_finished():
            game.advance_action()
            angle = game.get_game_variable(vzd.GameVariable.ANGLE)
            held = [int(value) for value in game.get_last_action()[: len(COLUMNS)]]
            file.write(json.dumps([game.get_episode_time(), time.monotonic_ns(), held, angle]) + "\n")


class Person:
    """Plays at the pace of a person, with the dice of a seed."""

    def __init__(self, screen: OwnScreen, seed: int) -> None:
        self.sent: list[Sent] = []
        self._display = XDisplay.open(screen.name, screen.authority)
        self._test = self._display.connection(xcffib.xtest.key)
        self._codes = key_codes(self._display)
        self._dice = random.Random(seed)

    def play(self, seconds: float) -> None:
        """Walk, fire and turn, then release everything."""
        end_s = time.monotonic() + seconds
        until_s: dict[str, float] = {}
        while (now_s := time.monotonic()) < end_s:
            for name, then_s in list(until_s.items()):
                if now_s >= then_s:
                    self._press(name, False)
                    del until_s[name]
            if self._dice.random() < 0.03 and (name := self._dice.choice(COLUMNS)) not in until_s:
                self._press(name, True)
                until_s[name] = now_s + self._dice.uniform(0.12, 0.6)
            if dx := self._dice.randint(-12, 12):
                self._send("mouse_delta", "", False, dx, 6, 1)
            time.sleep(self._dice.uniform(0.006, 0.014))
        for name in until_s:
            self._press(name, False)
        self._press("F1", True)
        self._press("F1", False)

    def close(self) -> None:
        self._display.close()

    def focus(self, title: str) -> None:
        """Give the window the focus, and put the pointer into it."""
        window = next(window for window in list_windows(self._display) if title in window.title)
        self._display.core.SetInputFocus(xcffib.xproto.InputFocus.PointerRoot, window.id, 0)
        self._test.FakeInput(6, 0, 0, self._display.root, window.width // 2, window.height // 2, 0)
        self._display.core.GetInputFocus().reply()

    def _press(self, name: str, is_pressed: bool) -> None:
        if name in BUTTON_NUMBERS:
            self._send("button", name, is_pressed, 0, 4 if is_pressed else 5, BUTTON_NUMBERS[name])
        else:
            self._send("key", name, is_pressed, 0, 2 if is_pressed else 3, self._codes[name])

    def _send(self, kind: str, name: str, is_pressed: bool, dx: int, request: int, detail: int) -> None:
        self._test.FakeInput(request, detail, 0, self._display.root, dx, 0, 0)
        self._display.core.GetInputFocus().reply()
        self.sent.append((time.monotonic_ns(), kind, name, is_pressed, dx))


def wait_until(condition: Any, what: str, patience_s: float = 120.0) -> None:
    end_s = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end_s:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.02)


def measure(seconds: float, folder: Path) -> dict[str, Any]:
    """Play and record, then compare."""
    guard = Guard()
    with closing(guard), closing(OwnScreen((640, 480), guard)) as screen:
        log = folder / "engine.jsonl"
        engine = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--engine", str(log)],
            env={**os.environ, **screen.environment},
            cwd=folder,  # it writes its settings there
            start_new_session=True,
        )
        try:
            with closing(Person(screen, seed=7)) as person:
                wait_until(lambda: log.exists() and log.stat().st_size > 0, "the first tic of the engine")
                person.focus("VIZDOOM")
                report, watch = record(screen, person, seconds, folder / "recordings")
                wait_until(lambda: last_tic_ns(log) > person.sent[-1][0] + 4 * TIC_NS, "the last tics")
        finally:
            end_process_group(engine.pid, patience_s=0.0)  # the game is a process of the engine's
            engine.wait()
    return compare(person.sent, report, watch, [json.loads(line) for line in log.read_text().splitlines()[:-1]])


def record(screen: OwnScreen, person: Person, seconds: float, out: Path) -> tuple[PersonReport, MachineWatch]:
    """Record what the person does."""
    game = WindowGame(WindowQuery(title="VIZDOOM"), screen.name, screen.authority)
    ended, started = threading.Event(), threading.Event()
    reports: list[PersonReport] = []

    def say(text: str) -> None:
        if "\arecording" in text:
            started.set()

    def run() -> None:
        with closing(game):
            reports.append(record_person(game, RecordPersonOptions(out=out, hears_injected=True), say, ended=ended))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: started.is_set() or not thread.is_alive(), "the recording")
    watch = MachineWatch()
    polling = threading.Thread(target=lambda: poll(watch, ended), daemon=True)
    polling.start()
    person.play(seconds)
    time.sleep(0.5)  # some ticks more, so that the last event is in the recording
    ended.set()
    thread.join()
    polling.join()
    return reports[0], watch


def poll(watch: MachineWatch, ended: threading.Event) -> None:
    while not ended.wait(0.2):
        watch.poll()


def last_tic_ns(log: Path) -> int:
    lines = log.read_text().splitlines()[:-1]
    return int(json.loads(lines[-1])[1]) if lines else 0


def compare(sent: list[Sent], report: PersonReport, watch: MachineWatch, tics: list[Any]) -> dict[str, Any]:
    """All the figures."""
    (path,) = report.recordings
    with Recording.open(path) as recording:
        heard = [event for frame in range(recording.num_frames) for event in recording.events_before(frame)]
        actions = [recording.user_action(frame) for frame in range(recording.num_frames - 1)]
    angles = [tic[3] for tic in tics]
    moved_px = sum(dx for *_, dx in sent)
    times_ns = report.times_ns[0]
    off_ms = np.abs(deviations_ms(times_ns))
    quiet_ms = off_ms[is_quiet(times_ns, watch)]
    near = float((quiet_ms <= 2).mean()) if len(quiet_ms) else None
    return {
        "machine": f"{cpu_name()}, {num_cores()} cores",
        "seconds": len(times_ns) / 20,
        "frames": report.num_frames,
        "dropped_frames": report.num_dropped,
        "frame_off_tick_ms": [round(float(value), 2) for value in np.percentile(off_ms, (50, 99, 100))],
        "quiet_seconds": sum(window.is_quiet for window in watch.windows),
        "quiet_frames_within_2_ms": near,
        "quiet_max_ms": float(quiet_ms.max()) if len(quiet_ms) else None,
        "encoder_share_of_a_core": round(report.encoder_share, 3),
        "events_sent": len(sent),
        "events_recorded_as_sent": [as_sent(event) for event in heard] == [(*event[1:],) for event in sent],
        "pixels_sent": moved_px,
        "pixels_recorded": sum(event.x for event in heard if event.kind == "mouse_delta"),
        "pixels_in_labels": sum(action.dx for action in actions if action is not None),
        "degrees_turned_in_game": round(float(np.rad2deg(np.unwrap(np.deg2rad(angles)))[-1]) - angles[0], 2),
        "engine": agreement(sent, times_ns, actions, tics),
    }


def as_sent(event: InputEvent) -> tuple[str, str, bool, int]:
    return event.kind, event.name, event.is_pressed, event.x


def deviations_ms(times_ns: Any) -> Any:
    """How far each frame is from the grid of ticks that fits best."""
    places = np.round((times_ns - times_ns[0]) / TICK_NS)
    off_ms = (times_ns - times_ns[0] - places * TICK_NS) / 1e6
    return off_ms - np.median(off_ms)


def is_quiet(times_ns: Any, watch: MachineWatch) -> Any:
    quiet = np.zeros(len(times_ns), bool)
    for window in watch.windows:
        if window.is_quiet:
            quiet |= (times_ns >= window.start_ns) & (times_ns < window.end_ns)
    return quiet


def agreement(sent: list[Sent], times_ns: Any, actions: list[Any], tics: list[Any]) -> dict[str, Any]:
    """Engine and labels, tick by tick and control by control, at the delay of the engine that fits best."""
    found = [_agreement(sent, times_ns, actions, tics, delay_ms) for delay_ms in range(0, 120, 5)]
    return max(found, key=lambda one: float(one["agreement"]))


def _agreement(sent: list[Sent], times_ns: Any, actions: list[Any], tics: list[Any], delay_ms: int) -> dict[str, Any]:
    tic_ns = np.array([tic[1] for tic in tics]) - delay_ms * 1_000_000
    held = np.array([tic[2] for tic in tics], bool)
    began = held & ~np.vstack([np.zeros((1, len(COLUMNS)), bool), held[:-1]])
    edges = {name: np.array([then for then, _, what, *_ in sent if what == name]) for name in COLUMNS}
    misses = at_edge = in_stall = compared = 0
    for index, action in enumerate(actions):
        first, end = np.searchsorted(tic_ns, times_ns[index : index + 2])
        if first == end or action is None:
            continue
        for column, name in enumerate(COLUMNS):
            engine = bool(held[end - 1, column] or began[first:end, column].any())
            ours = name in action.keys or name in action.buttons
            compared += 1
            if engine != ours:
                misses += 1
                near = edges[name] - times_ns[index]
                if bool(((near > -2 * TIC_NS) & (near < TICK_NS + 2 * TIC_NS)).any()):
                    at_edge += 1
                elif np.diff(tic_ns[max(0, first - 2) : end + 2]).max() > 3 * TIC_NS:
                    in_stall += 1
    skipped = int(sum(max(0, after[0] - before[0] - 1) for before, after in itertools.pairwise(tics)))
    return {
        "delay_ms": delay_ms,
        "compared": compared,
        "agreement": round(1 - misses / max(1, compared), 4),
        "misses_at_an_edge": at_edge,
        "misses_in_a_stall": in_stall,
        "misses_unexplained": misses - at_edge - in_stall,
        "tics": len(tics),
        "tics_not_seen": skipped,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=amount, default=600.0)
    parser.add_argument("--out", type=Path, help="file for the figures")
    parser.add_argument("--engine", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine is not None:
        run_engine(options.engine)
        return
    if options.out is not None:
        check_writable(options.out, as_file=True)
    with tempfile.TemporaryDirectory(prefix="eyehand-recording-") as folder:
        figures = measure(options.seconds, Path(folder))
    print(json.dumps(figures, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    sys.exit(exit_status(main))
