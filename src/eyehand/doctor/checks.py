"""Closed-loop checks of a running game: inject an action and test whether the picture answers.

Every check gives one `Finding` that passes, fails with what to do about it, or was not tried. The checks compare
acting with doing nothing, so that a game that moves by itself does not pass.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eyehand.action import NOTHING, Action
from eyehand.clock import FPS, SECOND_NS, Clock
from eyehand.desktop.profile import Profile, Step
from eyehand.frame import Frame, picture_change

__all__ = ["Finding", "Playable", "measure_latency_ms", "measure_px_per_degree", "run_checks"]

_ATTEMPTS = 6
_CLEAR_PAIRS = 30
"""Of the 36 pairs of six attempts with six waits. Where acting does nothing, at most 1 check in 31 has so many."""

_TURN_MEASUREMENTS = 2
_CALM_S = 0.6
"""Earlier motion has come to rest by then: Doom's player slides on for a while."""

_STEER_ATTEMPTS = 2
_STEER_TURNS = 5
_STEER_NOISE = 3.0
_STEER_PICTURES = 8
_STEER_LIMIT_S = 4.0
"""Pictures that a turn lasts for: a game on a busy machine draws few, and shows actions late."""

_STEER_PLACES = 8
_TICK_S = 1 / FPS
_VISIBLE_CHANGE = 0.4
_LATENCY_TRIALS = 8
_LATENCY_LIMIT_S = 3.0
_SETTLE_S = 0.25
_SCAN_DEGREES = 20.0
_SCAN_STEP_DEGREES = 1.0
_MAX_TURN_PX = 100
"""A game that puts the pointer back into the middle of its window loses what goes beyond the window in one frame."""

_ANSWER_S = 0.5
_BLUR_PX = 8


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: of the check.
        passed: None: not tried.
        text: the observation; for a failure also what to do.
    """

    name: str
    passed: bool | None
    text: str


class Playable(Protocol):
    """The part of a desktop game that the checks use; they wait on its clock."""

    clock: Clock

    def observe(self) -> Frame: ...

    def act(self, action: Action) -> Action | None: ...

    def perform(self, step: Step) -> None: ...


def run_checks(game: Playable, profile: Profile, only: Container[str] | None = None) -> Iterator[Finding]:
    """Check a game that stands at the beginning of a round, one finding after the other.

    Args:
        game: the running game.
        profile: has the steps to try.
        only: names of the checks to run; None: all.
    """
    tried = profile.checks
    checks: list[tuple[str, Callable[[str], Finding]]] = [("picture", lambda name: _picture(game, name))]

    def obeys(name: str, step: Step | None) -> None:
        if step is not None:
            checks.append((name, lambda name: _obeys(game, name, step, tried.change)))

    obeys("turn", tried.turn)
    if profile.px_per_degree > 0:  # now, before the player stands in front of a wall
        checks.append(("px per degree", lambda name: _turning(game, name, profile.px_per_degree)))
    answer = None if tried.steer_left else tried.turn or tried.fire or tried.move
    if answer is not None:
        checks.append(("latency", lambda name: _latency(game, name, answer)))
    obeys("fire", tried.fire)
    obeys("move", tried.move)
    left, right = tried.steer_left, tried.steer_right
    if left is not None and right is not None:
        checks.append(("steer", lambda name: _steers(game, name, left, right)))
    for name, check in checks:
        if only is None or name in only:
            yield check(name)


def measure_px_per_degree(game: Playable, expected: float) -> float | None:
    """Mouse pixels for one degree: turn once around until the first picture comes back.

    Args:
        game: standing where nothing big moves.
        expected: mouse pixels for one degree, to within 5%.

    Returns:
        Mouse pixels for one degree; None if no picture was clearly the first one.
    """
    _sleep(game, _SETTLE_S)
    first = _blurred(game.observe().pixels)
    turned_px = _turn(game, round((360.0 - _SCAN_DEGREES) * expected))
    changes: list[tuple[float, int]] = []
    while turned_px < (360.0 + _SCAN_DEGREES) * expected:
        turned_px += _turn(game, max(1, round(_SCAN_STEP_DEGREES * expected)))
        _sleep(game, _SETTLE_S)
        changes.append((float(np.abs(_blurred(game.observe().pixels) - first).mean()), turned_px))
    least, at_px = min(changes)
    usual = statistics.median(change for change, _ in changes)
    if usual < _VISIBLE_CHANGE or least > 0.6 * usual:
        return None
    return at_px / 360.0


def measure_latency_ms(game: Playable, step: Step, trials: int = _LATENCY_TRIALS) -> list[float]:
    """Milliseconds from the injection of an action to the first picture that shows it; trials without an answer
    within three seconds are left out."""
    found: list[float] = []
    for trial in range(trials):
        action = step.action if trial % 2 == 0 else _mirrored(step.action)
        _sleep(game, _SETTLE_S)
        before = game.observe().pixels
        _sleep(game, _TICK_S)
        noise = picture_change(before, game.observe().pixels)
        begin_s = _now_s(game)
        game.act(action)
        while (past_s := _now_s(game) - begin_s) < _LATENCY_LIMIT_S:
            picture = game.observe().pixels
            if picture_change(before, picture) > 2 * noise + _VISIBLE_CHANGE:
                found.append(1e3 * (_now_s(game) - begin_s))
                break
            _sleep(game, 0.002)
        game.act(NOTHING)
        _sleep(game, max(0.0, min(_TICK_S, _TICK_S - past_s)))
    return found


def _now_s(game: Playable) -> float:
    return game.clock.now_ns() / SECOND_NS


def _sleep(game: Playable, seconds: float) -> None:
    game.clock.wait_until(game.clock.now_ns() + round(seconds * SECOND_NS))


def _picture(game: Playable, name: str) -> Finding:
    """The picture's size and rate of change."""
    distinct, start_s = 0, _now_s(game)
    last = game.observe().pixels
    while _now_s(game) - start_s < 1.0:
        picture = game.observe().pixels
        distinct += not np.array_equal(last, picture)
        last = picture
        _sleep(game, 0.004)
    height, width = last.shape[:2]
    if last.std() < 1.0:
        return Finding(name, False, f"{width}x{height}, but all of one colour: is the game still loading?")
    return Finding(name, True, f"{width}x{height}, {distinct} new pictures in a second while nothing is done")


def _obeys(game: Playable, name: str, step: Step, factor: float) -> Finding:
    """Whether a step changes the picture more than waiting for as long does.

    One attempt is enough if it goes clearly beyond everything that happened while waiting. Otherwise, since one event
    (a bot that comes by, a stall) may have spoilt a wait or an attempt, all are compared with all in the end.
    """
    idle: list[float] = []
    acting: list[float] = []
    for attempt in range(_ATTEMPTS):
        _sleep(game, _CALM_S)
        tried = step if attempt % 2 == 0 or not (step.dx or step.dy) else _mirrored_step(step)
        idle.append(_largest_change(game, NOTHING, tried))
        acting.append(_largest_change(game, tried.action, tried))
        if acting[-1] > factor * max(idle) + _VISIBLE_CHANGE:
            return Finding(name, True, f"the picture changes by {acting[-1]:.1f}, by itself by {max(idle):.1f}")
    num_clear = sum(done > factor * undone + _VISIBLE_CHANGE for done in acting for undone in idle)
    text = f"the picture changes by {statistics.median(acting):.1f}, by itself by {statistics.median(idle):.1f}"
    if num_clear >= _CLEAR_PAIRS:
        return Finding(name, True, f"{text} (medians of {_ATTEMPTS})")
    return Finding(name, False, f"{text}: is the game in a menu, or does it not listen to {_hands(step)}?")


def _steers(game: Playable, name: str, left: Step, right: Step) -> Finding:
    """Whether left and right alternately give pictures that no other division into two halves separates better.

    With 5 and 5 pictures there are 126 divisions. A collision may spoil an attempt, so there are two, and a game that
    does not listen passes in 1 of 63 checks.
    """
    for _ in range(_STEER_ATTEMPTS):
        stack = _in_turns(game, left, right)
        ours = tuple(range(0, 2 * _STEER_TURNS, 2))
        others = [(0, *rest) for rest in itertools.combinations(range(1, 2 * _STEER_TURNS), _STEER_TURNS - 1)]
        own = _apart(stack, ours)
        best_other = max(_apart(stack, other) for other in others if other != ours)
        text = f"left and right differ by {own:.1f}, any other two halves by {best_other:.1f} at most"
        if own > best_other:
            return Finding(name, True, text)
    return Finding(name, False, f"{text}: does the game not listen to {_hands(left)} and {_hands(right)}?")


def _in_turns(game: Playable, left: Step, right: Step) -> NDArray[np.float32]:
    """The pictures after left, right, left, ...: (2 * turns, height, width, 3)."""
    pictures: list[NDArray[np.float32]] = []
    for turn in range(2 * _STEER_TURNS):
        step = right if turn % 2 else left
        game.act(step.action)
        begin_s = _now_s(game)
        picture, num_new = game.observe().pixels, 0
        while (past_s := _now_s(game) - begin_s) < step.hold_s or (
            num_new < _STEER_PICTURES and past_s < _STEER_LIMIT_S
        ):
            _sleep(game, _TICK_S)
            game.act(step.action.held())
            before, picture = picture, game.observe().pixels
            num_new += not np.array_equal(before, picture)
        pictures.append(_blurred(picture))
        game.act(NOTHING)
        _sleep(game, step.wait_s)
    return np.stack(pictures)


def _apart(stack: NDArray[np.float32], chosen: tuple[int, ...]) -> float:
    """The largest difference over places between the means of the chosen and the other pictures, relative to the
    differences within each half there."""
    is_chosen = np.isin(np.arange(len(stack)), chosen)
    first, second = stack[is_chosen], stack[~is_chosen]
    within = np.sqrt(first.var(axis=0) + second.var(axis=0)) + _STEER_NOISE
    by_place = (np.abs(first.mean(axis=0) - second.mean(axis=0)) / within).max(axis=-1)
    return float(np.partition(by_place.ravel(), -_STEER_PLACES)[-_STEER_PLACES:].mean())


def _largest_change(game: Playable, action: Action, step: Step) -> float:
    """The largest change of the picture while the action is held for the step's time."""
    before = game.observe().pixels
    end_s = _now_s(game) + step.hold_s + step.wait_s + _TICK_S
    release_s = end_s - step.wait_s
    largest = 0.0
    game.act(action)
    while (now_s := _now_s(game)) < end_s:
        _sleep(game, _TICK_S)
        game.act(action.held() if now_s < release_s else NOTHING)
        largest = max(largest, picture_change(before, game.observe().pixels))
    game.act(NOTHING)
    return largest


def _turning(game: Playable, name: str, expected: float) -> Finding:
    """Whether the profile's pixels per degree are right; a failure is measured again, for stalls lose motion."""
    is_near = False
    for _ in range(_TURN_MEASUREMENTS):
        measured = measure_px_per_degree(game, expected)
        if measured is None:
            return Finding(name, None, "could not be measured here: nothing looks like the first picture again")
        is_near = abs(measured - expected) <= 0.05 * expected
        if is_near:
            break
    text = f"{measured:.2f} mouse pixels turn by one degree, the profile says {expected:g}"
    if not is_near:
        text += ": correct px_per_degree, or the mouse speed and acceleration in the game's settings"
    return Finding(name, is_near, text)


def _latency(game: Playable, name: str, step: Step) -> Finding:
    found = sorted(measure_latency_ms(game, step))
    if len(found) < _LATENCY_TRIALS // 2:
        return Finding(
            name, False, f"only {len(found)} of {_LATENCY_TRIALS} actions were seen within {_LATENCY_LIMIT_S:g} s"
        )
    return Finding(name, True, f"from input to picture p50 {found[len(found) // 2]:.0f} ms, max {found[-1]:.0f}")


def _blurred(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of small squares, in which half a degree makes little difference."""
    height, width = (side // _BLUR_PX * _BLUR_PX for side in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // _BLUR_PX, _BLUR_PX, width // _BLUR_PX, _BLUR_PX, 3)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def _turn(game: Playable, px: int) -> int:
    """Turn right by this many mouse pixels, a few at a time, each once the picture shows those before."""
    left = px
    while left > 0:
        now = min(left, _MAX_TURN_PX)
        before = game.observe().pixels
        game.act(Action.of(dx=now))
        left -= now
        deadline_s = _now_s(game) + _ANSWER_S
        while np.array_equal(before, game.observe().pixels) and _now_s(game) < deadline_s:
            _sleep(game, 0.005)
        _sleep(game, _TICK_S)
    return px


def _mirrored(action: Action) -> Action:
    return Action(action.keys, action.buttons, -action.dx, -action.dy)


def _mirrored_step(step: Step) -> Step:
    return Step(step.keys, step.buttons, -step.dx, -step.dy, step.hold_s, step.wait_s)


def _hands(step: Step) -> str:
    parts = [*step.keys, *(f"mouse button {button}" for button in step.buttons)]
    return " and ".join(parts + (["the mouse"] if step.dx or step.dy else []))
