"""What desktop play costs: `python benchmarks/desktop.py [--samples N]`, on a screen of its own.

For 640x480 and 1280x720: milliseconds to capture a window, and to have it as the network sees it (192x192 RGB) or as
RGB; to look how it stands; and to do an action (window looked at, watchdog told), with and without waiting until the
server has carried it out. p50 and p99, with the steal of the time. Every sample begins with a server that has nothing
to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable

import xcffib.xproto as x

from eyehand.action import NOTHING, Action
from eyehand.cli import exit_status
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.played_window import PlayedWindow
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.frame import Frame
from eyehand.machine import MachineWatch
from eyehand.option_rules import count


def main() -> None:
    """Measure and print one JSON object a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=count, default=500)
    samples = parser.parse_args().samples
    for size_px in ((640, 480), (1280, 720)):
        guard = Guard()
        with contextlib.closing(guard), contextlib.closing(OwnScreen(size_px, guard)) as screen:
            print(json.dumps(measure(screen, guard, samples)))


def measure(screen: OwnScreen, guard: Guard, samples: int) -> dict[str, object]:
    """All figures for a window that fills the screen."""
    width, height = screen.size_px
    owner = XDisplay.open(screen.name, screen.authority)
    window = owner.connection.generate_id()
    arguments = (24, window, owner.root, 0, 0, width, height, 0, x.WindowClass.InputOutput, 0)
    owner.core.CreateWindow(*arguments, x.CW.BackPixel, [0x336699])
    owner.core.MapWindow(window)
    owner.core.GetInputFocus().reply()
    display = XDisplay.open(screen.name, screen.authority)
    played = PlayedWindow(display, window, guard, authority=screen.authority, is_own_screen=True)
    actions = (Action.of(("w",), (), 3, 1), Action.of(("w", "d"), ("0",), -3, -1), NOTHING)
    turn = iter(range(10 * samples))
    watch = MachineWatch()

    def sync() -> None:
        """Wait until the server has dealt with everything of ours."""
        display.core.GetInputFocus().reply()

    with contextlib.closing(played):
        figures: dict[str, object] = {
            "size": f"{width}x{height}",
            "capture_ms": timed(played.capture.grab, samples, sync),
            "capture_small_ms": timed(lambda: Frame(played.capture.grab(), 0).small(), samples, sync),
            "capture_rgb_ms": timed(lambda: Frame(played.capture.grab(), 0).pixels, samples, sync),
            "state_ms": timed(played.state, samples, sync),
            "act_ms": timed(lambda: played.do(actions[next(turn) % len(actions)]), samples, sync),
            "act_done_ms": timed(lambda: (played.do(actions[next(turn) % len(actions)]), sync()), samples, sync),
        }
    owner.close()
    watch.poll(is_last=True)
    figures["steal"] = round(max((part.steal for part in watch.windows), default=0.0), 3)
    return figures


def timed(call: Callable[[], object], samples: int, prepare: Callable[[], None]) -> dict[str, float]:
    """p50 and p99 of its milliseconds, `prepare` called before each and not counted."""
    times_ms = []
    for _ in range(samples):
        prepare()
        begin_s = time.perf_counter()
        call()
        times_ms.append(1e3 * (time.perf_counter() - begin_s))
    times_ms.sort()
    return {"p50": round(times_ms[samples // 2], 3), "p99": round(times_ms[samples * 99 // 100], 3)}


if __name__ == "__main__":
    sys.exit(exit_status(main))
