"""Self-tests of display, input and a running game, each of which passes or says what to do.

`check_display` looks at the screen alone, `check_game` starts a game from its profile and plays it for a few seconds.
Findings come one by one, so that the user sees how far it got.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import xcffib
import xcffib.xinput
import xcffib.xtest

from eyehand.clock import FPS
from eyehand.desktop.profile import Profile, parse_size
from eyehand.desktop.x11.capture import NotVisible, WindowCapture
from eyehand.desktop.x11.display import XDisplay
from eyehand.desktop.x11.guard import Guard
from eyehand.desktop.x11.screen import OwnScreen
from eyehand.doctor.checks import Finding, run_checks
from eyehand.errors import UserError
from eyehand.games.desktop.score import SHARE_READ
from eyehand.games.desktop.x11 import LaunchedDesktopGame

if TYPE_CHECKING:
    from eyehand.console import Console

__all__ = ["check_display", "check_game", "check_machine", "check_own_screen", "print_findings"]

_PROBE_PX = 40
_SAMPLES = 50
_ROUNDS = 3
_RAW_MOTION = 1 << 17


def print_findings(findings: Iterable[Finding], console: Console) -> int:
    """Print each finding as it comes.

    Returns:
        0 if none failed, 2 otherwise.
    """
    status = 0
    for finding in findings:
        mark, style = {True: ("ok", "green"), False: ("FAIL", "red"), None: ("-", "dim")}[finding.passed]
        console.print(f"{mark:<4}", style=style, end=" ")
        console.print(f"{finding.name:<14} {finding.text}", soft_wrap=True)
        if finding.passed is False:
            status = 2
    return status


def check_machine() -> Iterator[Finding]:
    """Cores, stolen time, and the network's device."""
    from eyehand.machine import QUIET_STEAL, MachineWatch, num_cores

    watch = MachineWatch()
    time.sleep(1.0)
    watch.poll(is_last=True)
    for window in watch.windows[-1:]:
        is_quiet = window.steal < QUIET_STEAL
        text = f"{num_cores()} cores, {window.busy:.0%} busy, {window.steal:.0%} stolen by the host"
        yield Finding("machine", is_quiet, text + ("" if is_quiet else ": live play will be late until that ends"))
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, the policy runs on the CPU"
    yield Finding("GPU", True, device)


def check_display(name: str | None = None, authority: str | None = None) -> Iterator[Finding]:
    """Checks of the display's capabilities. The pointer is moved a little and put back."""
    try:
        display = XDisplay.open(name, authority)
    except UserError as error:
        yield Finding("display", False, str(error))
        return
    with contextlib.closing(display):
        width, height = display.size_px
        yield Finding("display", True, f"{display.name}, {width}x{height}")
        yield _capture(display)
        if not display.has_extension("XTEST"):
            yield Finding(
                "input", False, "no XTEST extension: choose another X server, input cannot be sent to this one"
            )
            return
        yield _pointer(display)
        yield _raw_events(display)
        yield _watchdog(display, authority)


def check_own_screen() -> Iterator[Finding]:
    """Whether games can have a screen of their own, and what that screen can do."""
    if shutil.which("Xvfb") is None:
        yield Finding("own screen", False, "Xvfb is not installed: apt install xvfb")
        return
    guard = Guard()
    with contextlib.closing(guard), contextlib.closing(OwnScreen((640, 480), guard)) as screen:
        yield Finding("own screen", True, f"Xvfb as {screen.name}")
        yield from check_display(screen.name, screen.authority)


def check_game(profile: Profile, own_screen: str | None) -> Iterator[Finding]:
    """Start a game in a calm round, run its closed-loop checks, end it.

    Failures are tried again in further rounds, since a game that begins on a busy machine may miss a key of its menus,
    and a race may end in a tree.

    Args:
        profile: the game.
        own_screen: size of a screen of its own; None: it appears on the person's, and needs the focus there.
    """
    game = LaunchedDesktopGame(profile.calm, None if own_screen is None else parse_size(own_screen))
    with contextlib.closing(game):
        begin_s = time.monotonic()
        try:
            game.reset(0)
            yield Finding("start", True, f"ready to be played after {time.monotonic() - begin_s:.1f} s")
            if profile.score is not None and not profile.score.thumbs:
                yield _score(game)
            wanted: list[str] | None = None
            for _ in range(_ROUNDS - 1):
                failed: list[str] = []
                for finding in run_checks(game, profile, wanted):
                    if finding.passed is False:
                        failed.append(finding.name)
                    else:
                        yield finding
                if not failed:
                    return
                wanted = failed
                game.reset(0)
            yield from run_checks(game, profile, wanted)
        except UserError as error:
            yield Finding("game", False, str(error))


def _score(game: LaunchedDesktopGame) -> Finding:
    """Whether the score is read on the screen, or in what the game writes, within two seconds."""
    for _ in range(40):
        game.observe()
        outcome = game.outcome()
        if outcome.facts[SHARE_READ]:
            return Finding("score", True, f"reads {outcome.score:g} {game.task.score}")
        time.sleep(1 / FPS)
    return Finding("score", False, "no number is read without doubt: see [score.screen] in docs/desktop.md")


def _capture(display: XDisplay) -> Finding:
    """Pictures of the whole screen through shared memory."""
    has_shm = display.has_extension("MIT-SHM")
    capture = WindowCapture(display, display.root)
    times_ms: list[float] = []
    try:
        for _ in range(_SAMPLES):
            begin_s = time.perf_counter()
            capture.grab()
            times_ms.append(1e3 * (time.perf_counter() - begin_s))
    except NotVisible as reason:
        return Finding("picture", False, f"the screen gives no picture: {reason}")
    finally:
        capture.close()
    text = f"whole screen in {sorted(times_ms)[_SAMPLES // 2]:.2f} ms"
    return Finding("picture", True, text if has_shm else text + ", without MIT-SHM: a local display would be faster")


def _pointer(display: XDisplay) -> Finding:
    """Whether relative motion arrives pixel for pixel. The probe goes towards the middle of the screen and back."""
    test = display.connection(xcffib.xtest.key)

    def position() -> int:
        return int(display.core.QueryPointer(display.root).reply().root_x)

    begin = position()
    way = _PROBE_PX if begin < display.size_px[0] // 2 else -_PROBE_PX
    test.FakeInput(6, 1, 0, display.root, way, 0, 0)
    moved = position() - begin
    test.FakeInput(6, 1, 0, display.root, -moved, 0, 0)
    position()
    if moved == way:
        return Finding("mouse", True, f"{_PROBE_PX} pixels sent, {_PROBE_PX} moved: no acceleration")
    if moved == 0:
        return Finding("mouse", False, "the pointer does not move: a program holds it, or input may not be sent here")
    return Finding(
        "mouse",
        False,
        f"{abs(way)} pixels sent, {abs(moved)} moved: turn the pointer's acceleration off (xset m 1/1 0)",
    )


def _raw_events(display: XDisplay) -> Finding:
    """Whether a recorder would see raw motion (XInput 2.2 also under a grab)."""
    if not display.has_extension("XInputExtension"):
        return Finding("raw events", False, "no XInput extension: people cannot be recorded on this display")
    xi = display.connection(xcffib.xinput.key)
    version = xi.XIQueryVersion(2, 2).reply()
    if (version.major_version, version.minor_version) < (2, 2):
        return Finding("raw events", False, "XInput is older than 2.2: people cannot be recorded while a game grabs")
    event_mask: Any = xcffib.xinput.EventMask
    mask = event_mask.synthetic(1, 1, [_RAW_MOTION])  # 1: all master devices
    try:
        xi.XISelectEventsChecked(display.root, 1, [mask]).check()
    except xcffib.Error:
        return Finding("raw events", False, "the server refuses them: people cannot be recorded on this display")
    test = display.connection(xcffib.xtest.key)
    test.FakeInput(6, 1, 0, display.root, 1, 0, 0)
    test.FakeInput(6, 1, 0, display.root, -1, 0, 0)
    display.core.GetInputFocus().reply()
    num_seen = 0
    while (event := display.connection.poll_for_event()) is not None:
        num_seen += isinstance(event, xcffib.xinput.RawMotionEvent)
    if num_seen < 2:
        return Finding("raw events", False, "none came: people cannot be recorded on this display")
    return Finding("raw events", True, "XInput 2.2, motions are seen")


def _watchdog(display: XDisplay, authority: str | None) -> Finding:
    """Whether the watchdog, which releases keys, can reach this display."""
    try:
        with contextlib.closing(Guard()) as guard:
            guard.watch(display.name, authority, display.root)
    except (RuntimeError, OSError) as error:
        return Finding("watchdog", False, f"{error}: keys could stay down after a crash, so nothing will be pressed")
    return Finding("watchdog", True, "it starts, reaches the display, and ends")
