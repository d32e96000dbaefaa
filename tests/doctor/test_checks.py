"""The closed-loop checks must find a game that does not listen, and must not blame one that does."""

from __future__ import annotations

import numpy as np
import pytest

from eyehand.action import NOTHING, Action
from eyehand.desktop.profile import Checks, Launch, Profile, Step
from eyehand.doctor.checks import Finding, measure_px_per_degree, run_checks
from eyehand.frame import Frame
from fake_clock import FakeClock

TURN = Step(dx=120, hold_s=0.0, wait_s=0.05)
FIRE = Step(buttons=("0",), hold_s=0.1, wait_s=0.0)
LEFT, RIGHT = Step(keys=("LeftArrow",), hold_s=0.02, wait_s=0.0), Step(keys=("RightArrow",), hold_s=0.02, wait_s=0.0)


class Panorama:
    """A small real game: a view over a ring of random brightness, a muzzle flash, a ship; restless if asked for.

    Its time is a fake clock's, so that the checks wait for nothing.
    """

    def __init__(self, px_per_degree: float = 10.0, *, is_deaf: bool = False, is_restless: bool = False) -> None:
        rng = np.random.default_rng(3)
        ring = np.repeat(rng.integers(40, 160, 180), 4)
        self.ring = np.concatenate([ring, ring]).astype(np.uint8)
        self.px_per_degree = px_per_degree
        self.is_deaf, self.is_restless = is_deaf, is_restless
        self.noises = rng.integers(-8, 8, (64, 120, 160, 3)).astype(np.int16)
        self.num_looks = 0
        self.px, self.held = 0, NOTHING
        self.clock = FakeClock()

    def observe(self) -> Frame:
        self.clock.advance(1_000_000)  # a look takes a millisecond
        column = round(self.px / self.px_per_degree * 2) % 720
        view = np.repeat(np.tile(self.ring[column : column + 160], (120, 1))[..., None], 3, axis=2)
        if self.is_restless:
            self.num_looks += 1
            view = np.clip(view + self.noises[self.num_looks % 64], 0, 255).astype(np.uint8)
        if "0" in self.held.buttons:
            view[40:80, 60:100] = 255
        if self.held.keys:
            left = 20 if "LeftArrow" in self.held.keys else 110
            view[90:120, left : left + 30] = 255
        return Frame(view, self.clock.now_ns())

    def act(self, action: Action) -> None:
        if not self.is_deaf:
            self.px += action.dx
            self.held = action

    def perform(self, step: Step) -> None:
        self.act(step.action)


def _profile(checks: Checks, px_per_degree: float = 0.0) -> Profile:
    return Profile("probe", "a probe", Launch(("probe",)), checks=checks, px_per_degree=px_per_degree)


def _named(findings: list[Finding]) -> dict[str, bool | None]:
    return {finding.name: finding.passed for finding in findings}


@pytest.mark.parametrize("is_restless", [False, True])
def test_a_game_that_listens_passes(is_restless: bool) -> None:
    game = Panorama(is_restless=is_restless)
    assert _named(list(run_checks(game, _profile(Checks(turn=TURN, fire=FIRE))))) == {
        "picture": True,
        "turn": True,
        "latency": True,
        "fire": True,
    }


@pytest.mark.parametrize("is_restless", [False, True])
def test_a_deaf_game_fails(is_restless: bool) -> None:
    game = Panorama(is_deaf=True, is_restless=is_restless)
    findings = list(run_checks(game, _profile(Checks(turn=TURN, fire=FIRE))))
    assert _named(findings) == {"picture": True, "turn": False, "latency": False, "fire": False}
    assert "mouse button 0" in findings[-1].text


class Shot(Panorama):
    """Somebody shoots at the player while nothing is done: the whole picture flashes."""

    flashes = range(202, 204)  # looks of the first wait, after the 201 that the picture's finding takes

    def observe(self) -> Frame:
        frame = super().observe()
        self.num_looks += 1
        return Frame(255 - frame.pixels, frame.time_ns) if self.num_looks in self.flashes else frame


def test_one_event_does_not_spoil_a_check() -> None:
    found = {finding.name: finding for finding in run_checks(Shot(), _profile(Checks(turn=TURN)), ("picture", "turn"))}
    assert found["turn"].passed
    assert "medians" in found["turn"].text, "the flash fell into the wait, so that one attempt could not be enough"
    deaf = list(run_checks(Shot(is_deaf=True), _profile(Checks(turn=TURN)), ("picture", "turn")))
    assert _named(deaf) == {"picture": True, "turn": False}


def test_steering_is_told_from_noise() -> None:
    checks = Checks(steer_left=LEFT, steer_right=RIGHT)
    assert _named(list(run_checks(Panorama(is_restless=True), _profile(checks))))["steer"] is True
    assert _named(list(run_checks(Panorama(is_restless=True, is_deaf=True), _profile(checks))))["steer"] is False


def test_pixels_per_degree_are_measured() -> None:
    assert measure_px_per_degree(Panorama(8.2), 8.0) == pytest.approx(8.2, rel=0.01)
    assert measure_px_per_degree(Panorama(10.0, is_deaf=True), 10.0) is None
