"""How fast a person takes over: `python benchmarks/takeover.py [--samples N]`

On an Xvfb of its own an agent holds two keys and a button in a window, and a scripted person presses a key of the
screen's own keyboard. Measured is the time from before that press until the X server holds nothing of the agent's.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the scripted person and the window are the tests'

from eyehand.action import Action
from eyehand.cli import exit_status
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.keys import key_codes
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.desktop.x11.windows import WindowQuery
from eyehand.game import Outcome
from eyehand.games.desktop.x11 import WindowGame
from eyehand.machine import MachineWatch
from eyehand.option_rules import count
from eyehand.play.play_options import TakeoverOptions
from eyehand.play.shared import share
from eyehand.player import Decision, Observation
from eyehand.players.takeover import Takeover
from eyehand.session import Session
from x_person import Person
from x_window import Window, buttons_down, keys_down

HELD = Action.of(["w", "LeftShift"], ["0"], dx=2)


class Agent:
    """Holds the same, always."""

    def reset(self, seed: int) -> None: ...

    def act(self, observation: Observation) -> Decision:
        return Decision(HELD)


def measure(display: XDisplay, person: Person, takeover: Takeover, samples: int) -> list[float]:
    """Milliseconds of every takeover, each at another moment of the tick."""
    key = key_codes(display)["a"]
    times_ms: list[float] = []
    for index in range(samples):
        while len(keys_down(display)) < len(HELD.keys):
            time.sleep(0.005)
        time.sleep(random.Random(index).random() * 0.1)
        begin_s = time.perf_counter()
        person.press("a")
        while keys_down(display) - {key} or buttons_down(display):
            pass
        times_ms.append(1e3 * (time.perf_counter() - begin_s))
        person.release("a")
        takeover.resume(time.monotonic_ns())
    return sorted(times_ms)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=count, default=100)
    samples = parser.parse_args().samples
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(contextlib.closing(Guard()))
        screen = stack.enter_context(contextlib.closing(OwnScreen((640, 480), guard)))
        window = stack.enter_context(contextlib.closing(Window(screen, "takeover")))
        window.focus()
        display = stack.enter_context(contextlib.closing(XDisplay.open(screen.name, screen.authority)))
        person = stack.enter_context(contextlib.closing(Person(screen)))
        game = WindowGame(WindowQuery(title="takeover"), screen.name, screen.authority, say=lambda _: None)
        stack.enter_context(contextlib.closing(game))
        play = stack.enter_context(share(game, Agent(), TakeoverOptions(), say=lambda _: None))
        assert play.takeover is not None
        ended = threading.Event()
        game.outcome = lambda: Outcome(done=ended.is_set())  # type: ignore[method-assign]
        session = Session(play.game, play.player, source=play.takeover)
        playing = threading.Thread(target=lambda: session.run_episode(0))
        playing.start()
        watch = MachineWatch()
        times_ms = measure(display, person, play.takeover, samples)
        watch.poll(is_last=True)
        ended.set()
        playing.join()
    steal = max(one.steal for one in watch.windows)
    print(
        f"{samples} takeovers: p50 {times_ms[samples // 2]:.1f} ms, p95 {times_ms[samples * 95 // 100]:.1f} ms, ",
        end="",
    )
    print(f"max {times_ms[-1]:.1f} ms; steal up to {steal:.0%}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
